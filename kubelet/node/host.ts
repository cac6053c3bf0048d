// Facts about the machine, read from the kernel: what the Node object says about it and the pressures it is under.
import { readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os';

export interface HostFacts {
  hostname: string;
  cpus: number;
  memoryBytes: number;
  diskBytes: number;
  machineId: string;
  systemUuid: string;
  bootId: string;
  kernelVersion: string;
  osImage: string;
  architecture: string;
  hugepages: Record<string, number>;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

export function readHostFacts(stateDir: string): HostFacts {
  const release = Object.fromEntries(
    read('/etc/os-release')
      .split('\n')
      .map((line) => line.split('=') as [string, string])
      .map(([key, value = '']) => [key, value.replace(/^"|"$/g, '')]),
  );
  const disk = statfsSync(stateDir);
  return {
    hostname: hostname().toLowerCase(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    diskBytes: disk.blocks * disk.bsize,
    machineId: read('/etc/machine-id') || read('/var/lib/dbus/machine-id'),
    systemUuid: read('/sys/class/dmi/id/product_uuid') || read('/etc/machine-id'),
    bootId: read('/proc/sys/kernel/random/boot_id'),
    kernelVersion: read('/proc/sys/kernel/osrelease'),
    osImage: release['PRETTY_NAME'] ?? 'Linux',
    architecture: architectures[arch()] ?? arch(),
    hugepages: { 'hugepages-2Mi': 0, 'hugepages-1Gi': 0 },
  };
}

/** The address that the default route leaves by, else the first that is not loopback. */
export function defaultNodeIp(): string {
  const interfaces = networkInterfaces();
  const route = read('/proc/net/route')
    .split('\n')
    .map((line) => line.split('\t'))
    .find((fields) => fields[1] === '00000000');
  const ordered = [
    ...(route?.[0] ? (interfaces[route[0]] ?? []) : []),
    ...Object.values(interfaces).flatMap((each) => each ?? []),
  ];
  return ordered.find((each) => each.family === 'IPv4' && !each.internal)?.address ?? '127.0.0.1';
}
