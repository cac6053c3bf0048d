// The pods' rules as nft transactions: masquerade for what leaves the pods' network, and host ports. Pure. One table of
// our own, so that removing it removes everything.
import { createHash } from 'node:crypto';

export const TABLE = 'sampan_pods';

export interface PortMapping {
  protocol: 'TCP' | 'UDP' | 'SCTP';
  hostPort: number;
  hostIP?: string;
  containerPort: number;
}

/** Makes the table anew, empty of host ports. */
export function baseRules(podCidr: string, bridge: string): string {
  return `table inet ${TABLE}
delete table inet ${TABLE}
table inet ${TABLE} {
  chain ports {
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local goto ports
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local goto ports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${podCidr} ip daddr != ${podCidr} oifname != "${bridge}" masquerade
    ip saddr 127.0.0.0/8 oifname "${bridge}" masquerade
    ip saddr ${podCidr} ip daddr ${podCidr} ct status dnat masquerade
  }
}
`;
}

const chainOf = (sandboxId: string) => `pod-${createHash('sha256').update(sandboxId).digest('hex').slice(0, 20)}`;

/** A chain per sandbox with one rule per port, reached by a jump. */
export function openPorts(sandboxId: string, address: string, ports: readonly PortMapping[]): string {
  const chain = chainOf(sandboxId);
  const rules = ports.map((port) => {
    const local = port.hostIP && port.hostIP !== '0.0.0.0' ? `ip daddr ${port.hostIP} ` : '';
    return `add rule inet ${TABLE} ${chain} meta nfproto ipv4 ${local}${port.protocol.toLowerCase()} dport ${port.hostPort} dnat ip to ${address}:${port.containerPort}\n`;
  });
  return `add chain inet ${TABLE} ${chain}\n${rules.join('')}add rule inet ${TABLE} ports jump ${chain} comment "${chain}"\n`;
}

/** `listing` is the output of `nft -a list chain` of the ports chain, where the jump's handle is. */
export function closePorts(sandboxId: string, listing: string): string {
  const chain = chainOf(sandboxId);
  const handles = [...listing.matchAll(new RegExp(`jump ${chain}\\b.*# handle (\\d+)`, 'g'))].map((match) => match[1]);
  if (handles.length === 0) return '';
  return `${handles.map((handle) => `delete rule inet ${TABLE} ports handle ${handle}\n`).join('')}delete chain inet ${TABLE} ${chain}\n`;
}

export const removeRules = `table inet ${TABLE}\ndelete table inet ${TABLE}\n`;

/** Refuses two sandboxes (or one twice) on one host port. */
export function checkPorts(ports: readonly PortMapping[], taken: Iterable<PortMapping>): void {
  const seen = [...taken];
  const any = (port: PortMapping) => !port.hostIP || port.hostIP === '0.0.0.0';
  for (const port of ports) {
    if (port.hostIP?.includes(':'))
      throw new Error(`host port ${port.hostPort}: IPv6 address ${port.hostIP} is not supported`);
    if (port.hostIP && !/^\d+(\.\d+){3}$/.test(port.hostIP))
      throw new Error(`host port ${port.hostPort}: "${port.hostIP}" is not an address`);
    const clash = seen.find(
      (other) =>
        other.protocol === port.protocol &&
        other.hostPort === port.hostPort &&
        (any(other) || any(port) || other.hostIP === port.hostIP),
    );
    if (clash) throw new Error(`host port ${port.hostPort}/${port.protocol} is already taken`);
    seen.push(port);
  }
}
