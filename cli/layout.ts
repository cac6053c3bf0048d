// Where a cluster keeps its files below its data directory, and what it is called on the host.
import { createHash } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const DEFAULT_DATA_DIR = '/var/lib/sampan';

export interface Layout {
  dataDir: string;
  pkiDir: string;
  kubeconfig: string;
  /** The EncryptionConfiguration that is made with the certificates, for servers that are given no other. */
  encryptionConfig: string;
  database: string;
  kubeletDir: string;
  runtimeDir: string;
  criSocket: string;
  logDir: string;
  /** Written by `sampan up`: its pid and start time. */
  lockFile: string;
}

export function layoutOf(dataDir: string): Layout {
  const root = resolve(dataDir);
  return {
    dataDir: root,
    pkiDir: join(root, 'pki'),
    kubeconfig: join(root, 'kubeconfig'),
    encryptionConfig: join(root, 'pki', 'encryption.yaml'),
    database: join(root, 'server.db'),
    kubeletDir: join(root, 'kubelet'),
    runtimeDir: join(root, 'runtime'),
    criSocket: join(root, 'runtime', 'cri.sock'),
    logDir: join(root, 'logs'),
    lockFile: join(root, 'up.lock'),
  };
}

/**
 * The cgroup below which everything of a node lives. Clusters with other data directories get their own, so that several
 * can run on one machine.
 */
export function cgroupRootOf(dataDir: string): string {
  const root = resolve(dataDir);
  return root === DEFAULT_DATA_DIR
    ? '/sampan'
    : `/sampan-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`;
}

export const defaultNodeName = (): string =>
  hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, '-');

/** Where a node answers for the cluster's DNS: at its bridge, or, when CNI plugins make the networks of pods, at its own address. */
export const dnsAddressOf = (
  { podCidr, cniConfDir }: { podCidr: string; cniConfDir?: string | undefined },
  nodeIp: string,
): string => (cniConfDir === undefined ? gatewayOf(podCidr) : nodeIp);

/** The IPv4 address other hosts reach this one by: of the default route's interface, else any that is not loopback. */
export function hostAddress(fallback: string): string {
  const interfaces = networkInterfaces();
  const preferred = defaultRouteInterface();
  const names = [...(preferred ? [preferred] : []), ...Object.keys(interfaces)];
  for (const name of names) {
    if (/^(sampan|veth|docker|cni|br-)/.test(name)) continue;
    const address = interfaces[name]?.find((each) => each.family === 'IPv4' && !each.internal)?.address;
    if (address) return address;
  }
  return fallback;
}

function defaultRouteInterface(): string | undefined {
  try {
    for (const line of readFileSync('/proc/net/route', 'utf8').split('\n').slice(1)) {
      const [name, destination] = line.split('\t');
      if (destination === '00000000') return name;
    }
  } catch {
    // No procfs, no preference.
  }
  return undefined;
}

/** The first address of a range, which the pod bridge has: `10.244.0.0/24` → `10.244.0.1`. */
export function gatewayOf(podCidr: string): string {
  const octets = (podCidr.split('/')[0] ?? '').split('.').map(Number);
  return [...octets.slice(0, 3), (octets[3] ?? 0) + 1].join('.');
}

/** The servers of /etc/resolv.conf. */
export function hostResolvers(): string[] {
  try {
    return [...readFileSync('/etc/resolv.conf', 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)].map(
      (match) => match[1] as string,
    );
  } catch {
    return [];
  }
}

/** Where the node that ran last wrote down how its runtime was set up. */
export const runtimeFlagsFile = (layout: Layout): string => join(layout.dataDir, 'node.json');
