// One interface over the three kinds of hosts. Everything here is a pure rendering into paths and file writes, which the
// launcher executes; only `stats` reads. Cgroups are named absolutely (`/kubepods/pod1/abc`) and live below `root`.
import type { FileWrite, Rendered } from '../../lib/cgroups/limits.ts';
import type { CgroupDetails, CgroupStats, Resources } from '../launch/port.ts';

export interface DeviceRule {
  allow: boolean;
  /** `a` is all devices. */
  type: 'a' | 'b' | 'c';
  /** -1 is any. */
  major: number;
  minor: number;
  /** Of `r`, `w`, `m`. */
  access: string;
}

export interface CgroupDriver {
  readonly mode: 'v1' | 'hybrid' | 'v2';
  /** Directories to make, parents first, from the root of ours down. */
  directories(cgroup: string): string[];
  /** What new directories need before they can be used: cpuset copy-down on v1, subtree_control on v2. */
  prepare(cgroup: string): FileWrite[];
  limits(cgroup: string, resources: Resources): Rendered;
  /** v1's device list; on v2 empty, where a program is attached instead (`deviceFilter`). */
  devices(cgroup: string, rules: DeviceRule[]): FileWrite[];
  /** Directory that takes a device program, on v2 only. */
  deviceFilter(cgroup: string): string | undefined;
  /** v2 directory for CLONE_INTO_CGROUP; empty where there is none. */
  unifiedDirectory(cgroup: string): string;
  /** v1 `cgroup.procs` files a process must be written to. */
  procsFiles(cgroup: string): string[];
  /** A v1 `cgroup.procs` file whose writing readies the kernel for joins (step `warm`); empty where none are needed. */
  warmFile(): string;
  /** Empty where there is no cgroup.kill. */
  killFile(cgroup: string): string;
  /** v1 directories to empty by signals where there is no cgroup.kill. */
  killDirectories(cgroup: string): string[];
  /** Holds an `oom_kill N` line. */
  oomFile(cgroup: string): string;
  /** The cgroup's own directories, one per hierarchy. */
  own(cgroup: string): string[];
  /** Our root's directories, one per hierarchy. */
  roots(): string[];
  stats(cgroup: string): CgroupStats;
  details(cgroup: string): CgroupDetails;
}

/** What containers may do with devices unless they are privileged. */
export const defaultDevices: DeviceRule[] = [
  { allow: true, type: 'c', major: -1, minor: -1, access: 'm' },
  { allow: true, type: 'b', major: -1, minor: -1, access: 'm' },
  ...[
    [1, 3],
    [1, 5],
    [1, 7],
    [1, 8],
    [1, 9],
    [5, 0],
    [5, 1],
    [5, 2],
    [136, -1],
  ].map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' }) as DeviceRule),
];

export function renderDevice(rule: DeviceRule): string {
  if (rule.type === 'a') return 'a';
  const number = (value: number) => (value < 0 ? '*' : String(value));
  return `${rule.type} ${number(rule.major)}:${number(rule.minor)} ${rule.access}`;
}
