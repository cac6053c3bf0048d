// Limits of a cgroup as the files that hold them, for v1 and v2. Pure. Names of cgroups are absolute: `/a/b`.

/** What a cgroup is given; absent means unlimited or inherited. `renderV1` and `renderV2` translate. */
export interface CgroupResources {
  cpuShares?: number;
  cpuQuotaUs?: number;
  cpuPeriodUs?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  memoryLimitBytes?: number;
  memorySwapLimitBytes?: number;
  pidsLimit?: number;
  hugepageLimits?: { pageSize: string; limitBytes: number }[];
  /** Raw v2 files such as `memory.high`, taken as they are on v2 and ignored on v1. */
  unified?: Record<string, string>;
}

export interface FileWrite {
  path: string;
  value: string;
  why: string;
}

export interface Rendered {
  writes: FileWrite[];
  /** What this host cannot enforce. */
  warnings: string[];
}

/** Refuses what would leave our root; returns the name without a trailing slash. */
export function cgroupName(cgroup: string): string {
  const parts = cgroup.split('/').filter((part) => part !== '');
  if (!cgroup.startsWith('/') || parts.length === 0 || parts.some((part) => part === '.' || part === '..'))
    throw new Error(`cgroup "${cgroup}" is not an absolute name below our root`);
  return `/${parts.join('/')}`;
}

/** Each level from the root down: `/a`, `/a/b`, `/a/b/c`. */
export function levels(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '');
  return parts.map((_, at) => `/${parts.slice(0, at + 1).join('/')}`);
}

/** The weight v2 has for v1's shares: 2..262144 onto 1..10000, linear, as runc and crun convert. */
export function weightOfShares(shares: number): number {
  const clamped = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

/** `currentMemsw` orders the two memory writes: memory may never be above memory plus swap. */
export function renderV1(
  file: (controller: string, name: string) => string,
  available: ReadonlySet<string>,
  resources: CgroupResources,
  currentMemsw: number,
): Rendered {
  const writes: FileWrite[] = [];
  const warnings: string[] = [];
  const put = (controller: string, name: string, value: number | string, why: string) => {
    if (available.has(controller)) writes.push({ path: file(controller, name), value: String(value), why });
    else warnings.push(`cgroup controller ${controller} is not available: ${name} ${value} is not enforced`);
  };
  if (resources.cpuShares) put('cpu', 'cpu.shares', Math.max(2, resources.cpuShares), 'share of cpu under contention');
  if (resources.cpuPeriodUs) put('cpu', 'cpu.cfs_period_us', resources.cpuPeriodUs, 'cpu accounting period');
  if (resources.cpuQuotaUs !== undefined && resources.cpuQuotaUs !== 0)
    put('cpu', 'cpu.cfs_quota_us', resources.cpuQuotaUs < 0 ? -1 : Math.max(1000, resources.cpuQuotaUs), 'cpu limit');
  if (resources.cpusetCpus) put('cpuset', 'cpuset.cpus', resources.cpusetCpus, 'cpus it may run on');
  if (resources.cpusetMems) put('cpuset', 'cpuset.mems', resources.cpusetMems, 'memory nodes it may use');
  const memory: [string, number][] = [];
  if (resources.memoryLimitBytes) memory.push(['memory.limit_in_bytes', resources.memoryLimitBytes]);
  if (resources.memorySwapLimitBytes) memory.push(['memory.memsw.limit_in_bytes', resources.memorySwapLimitBytes]);
  if (memory.length === 2 && (resources.memoryLimitBytes as number) > currentMemsw) memory.reverse();
  for (const [name, value] of memory) put('memory', name, value < 0 ? -1 : value, 'memory limit');
  if (resources.pidsLimit)
    put('pids', 'pids.max', resources.pidsLimit < 0 ? 'max' : resources.pidsLimit, 'process limit');
  for (const { pageSize, limitBytes } of resources.hugepageLimits ?? []) {
    // A limit of 0 without the controller forbids what nobody asked for.
    if (available.has('hugetlb')) put('hugetlb', `hugetlb.${pageSize}.limit_in_bytes`, limitBytes, 'huge page limit');
    else if (limitBytes > 0)
      warnings.push(`cgroup controller hugetlb is not available: ${pageSize} ${limitBytes} is not enforced`);
  }
  return { writes, warnings };
}

export function renderV2(directory: string, available: ReadonlySet<string>, resources: CgroupResources): Rendered {
  const writes: FileWrite[] = [];
  const warnings: string[] = [];
  const put = (name: string, value: number | string, why: string) => {
    const controller = name.split('.')[0] as string;
    if (available.has(controller)) writes.push({ path: `${directory}/${name}`, value: String(value), why });
    else warnings.push(`cgroup controller ${controller} is not available: ${name} ${value} is not enforced`);
  };
  const { cpuQuotaUs, cpuPeriodUs, memoryLimitBytes, memorySwapLimitBytes } = resources;
  if (resources.cpuShares) put('cpu.weight', weightOfShares(resources.cpuShares), `${resources.cpuShares} shares`);
  if (cpuQuotaUs || cpuPeriodUs)
    put(
      'cpu.max',
      `${cpuQuotaUs && cpuQuotaUs > 0 ? Math.max(1000, cpuQuotaUs) : 'max'} ${cpuPeriodUs ?? 100_000}`,
      'cpu limit',
    );
  if (resources.cpusetCpus) put('cpuset.cpus', resources.cpusetCpus, 'cpus it may run on');
  if (resources.cpusetMems) put('cpuset.mems', resources.cpusetMems, 'memory nodes it may use');
  // v2 counts swap alone, CRI memory plus swap.
  if (memorySwapLimitBytes)
    put(
      'memory.swap.max',
      memorySwapLimitBytes < 0 ? 'max' : Math.max(0, memorySwapLimitBytes - (memoryLimitBytes ?? 0)),
      'swap limit',
    );
  if (memoryLimitBytes) put('memory.max', memoryLimitBytes < 0 ? 'max' : memoryLimitBytes, 'memory limit');
  if (resources.pidsLimit) put('pids.max', resources.pidsLimit < 0 ? 'max' : resources.pidsLimit, 'process limit');
  for (const { pageSize, limitBytes } of resources.hugepageLimits ?? []) {
    if (available.has('hugetlb')) put(`hugetlb.${pageSize}.max`, limitBytes, 'huge page limit');
    else if (limitBytes > 0)
      warnings.push(`cgroup controller hugetlb is not available: ${pageSize} ${limitBytes} is not enforced`);
  }
  for (const [name, value] of Object.entries(resources.unified ?? {})) {
    if (!/^[a-z0-9_]+(\.[a-zA-Z0-9_]+)+$/.test(name)) throw new Error(`"${name}" is not the name of a cgroup v2 file`);
    put(name, value, 'as asked');
  }
  return { writes, warnings };
}
