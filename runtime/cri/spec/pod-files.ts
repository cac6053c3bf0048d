// The texts of /etc/resolv.conf, /etc/hosts and /etc/hostname of a pod.
import type { DNSConfig } from '../../../proto/cri-types.ts';
import { invalidField } from '../errors.ts';

/** Without a DNS configuration the host's own file is used, given as `hostText`. */
export function resolvConf(dns: DNSConfig | null | undefined, hostText: string): string {
  if (!dns) return hostText;
  const path = 'config.dns_config';
  const lines: string[] = [];
  const words = (values: readonly string[] | undefined, field: string) => {
    for (const value of values ?? []) {
      if (/[\s\0]/.test(value)) throw invalidField(`${path}.${field}`, `"${value}" holds white space`);
    }
    return values ?? [];
  };
  const searches = words(dns.searches, 'searches');
  const options = words(dns.options, 'options');
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  for (const server of words(dns.servers, 'servers')) lines.push(`nameserver ${server}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.length === 0 ? hostText : `${lines.join('\n')}\n`;
}

/** A pod's own hosts file; the host's is used on the host's network. */
export function hostsFile(hostname: string, ips: readonly string[]): string {
  const lines = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback'];
  for (const ip of ips) lines.push(`${ip}\t${hostname}`);
  return `${lines.join('\n')}\n`;
}
