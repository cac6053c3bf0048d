// Which cgroup hierarchies this host has, found in the mount table. Pure: the text comes in.

export type CgroupMode = 'v1' | 'hybrid' | 'v2';

export interface Hierarchies {
  mode: CgroupMode;
  /** Controller name to mount point (v1 and hybrid). */
  v1: Map<string, string>;
  /** Mount point of the v2 tree (v2 and hybrid). */
  unified: string | undefined;
}

const V1_CONTROLLERS = new Set([
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'hugetlb',
]);

/** `mountInfo` is the text of /proc/self/mountinfo. Throws when the host has no cgroups at all. */
export function findHierarchies(mountInfo: string): Hierarchies {
  const v1 = new Map<string, string>();
  let unified: string | undefined;
  for (const line of mountInfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const mountPoint = before
      ?.split(' ')[4]
      ?.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const [type, , options] = after?.split(' ') ?? [];
    if (!mountPoint || !type) continue;
    if (type === 'cgroup2') unified ??= mountPoint;
    if (type !== 'cgroup') continue;
    for (const option of options?.split(',') ?? []) {
      if (V1_CONTROLLERS.has(option) && !v1.has(option)) v1.set(option, mountPoint);
    }
  }
  if (v1.size === 0 && !unified) throw new Error('no cgroup hierarchy is mounted on this host');
  return { mode: v1.size === 0 ? 'v2' : unified ? 'hybrid' : 'v1', v1, unified };
}
