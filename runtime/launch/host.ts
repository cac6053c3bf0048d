// What launch plans need to know of this host: cgroups, our own rights and limits, device files. Read, never changed.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupDriver } from '../cgroups/driver.ts';
import { findHierarchies } from '../../lib/cgroups/hierarchy.ts';
import { createCgroupDriver } from '../cgroups/index.ts';
import { type OwnLimits, parseOwnLimits } from './capabilities.ts';
import type { ContainerHost, DeviceNode } from './container-plan.ts';
import { type ContainerSpec, LaunchError } from './port.ts';
import { createSeccompLoader, type SeccompProgram } from './seccomp/index.ts';

export interface Host {
  cgroups: CgroupDriver;
  own: OwnLimits;
  /** The program for a process of the container with these capabilities; undefined for none. */
  seccomp(spec: ContainerSpec, capabilities: readonly string[]): SeccompProgram | undefined;
  /** All that a container's plan needs besides the specification. */
  of(spec: ContainerSpec, at: Pick<ContainerHost, 'directory' | 'sandboxDirectory' | 'pidNamespace'>): ContainerHost;
}

/** Everything of ours lives below `cgroupRoot`. */
export function readHost(cgroupRoot: string): Host {
  const mountInfo = readFileSync('/proc/self/mountinfo', 'utf8');
  const cgroups = createCgroupDriver(cgroupRoot, mountInfo);
  const cgroupMounts = cgroupMountsOf(mountInfo, cgroups);
  const own = parseOwnLimits(
    readFileSync('/proc/self/status', 'utf8'),
    readFileSync('/proc/self/limits', 'utf8'),
    readFileSync('/proc/self/oom_score_adj', 'utf8'),
  );
  const load = createSeccompLoader();
  const seccomp: Host['seccomp'] = (spec, capabilities) =>
    spec.privileged && spec.seccomp.kind !== 'localhost' ? undefined : load(spec.seccomp, capabilities);
  return {
    cgroups,
    own,
    seccomp,
    of: (spec, at) => ({
      ...at,
      cgroups,
      own,
      cgroupMounts,
      seccomp: seccomp(spec, spec.process.capabilities),
      devices: (spec.devices ?? []).map((device) => deviceNode(device.hostPath)),
      hostDevices: spec.privileged ? hostDevices('/dev') : [],
    }),
  };
}

function deviceNode(path: string): DeviceNode {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (!facts || !(facts.isCharacterDevice() || facts.isBlockDevice()))
    throw new LaunchError('mknod', 'ENODEV', `"${path}" is not a device`);
  const major = ((facts.rdev >>> 8) & 0xfff) | (Math.floor(facts.rdev / 2 ** 32) & ~0xfff);
  const minor = (facts.rdev & 0xff) | ((facts.rdev >>> 12) & ~0xff);
  return { type: facts.isBlockDevice() ? 'b' : 'c', major, minor, mode: facts.mode & 0o777 };
}

/** Every device of the host, for privileged containers; terminals are the container's own. */
function hostDevices(directory: string): { path: string; node: DeviceNode }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory())
      return ['pts', 'shm', 'mqueue', 'fd', '.udev'].includes(entry.name) ? [] : hostDevices(path);
    if (!(entry.isCharacterDevice() || entry.isBlockDevice()) || ['/dev/console', '/dev/ptmx'].includes(path))
      return [];
    try {
      return [{ path, node: deviceNode(path) }];
    } catch {
      return []; // unplugged meanwhile
    }
  });
}

/** What /sys/fs/cgroup looks like inside: one directory per hierarchy of the host, mounted in the cgroup namespace. */
function cgroupMountsOf(mountInfo: string, driver: CgroupDriver): ContainerHost['cgroupMounts'] {
  const hierarchies = findHierarchies(mountInfo);
  const byMount = new Map<string, string[]>();
  // Only those a container has a cgroup of its own in: of the others it would see the host's.
  const joined = driver.own('/x');
  for (const [controller, mount] of hierarchies.v1)
    if (joined.some((path) => path.startsWith(`${mount}/`)))
      byMount.set(mount, [...(byMount.get(mount) ?? []), controller]);
  return {
    v1: [...byMount].map(([mount, names]) => [mount.slice(mount.lastIndexOf('/') + 1), names.join(',')]),
    unified: hierarchies.unified !== undefined,
  };
}
