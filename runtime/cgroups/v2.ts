// cgroup v2 alone.
import { readFileSync } from 'node:fs';
import type { CgroupStats, Resources } from '../launch/port.ts';
import { type CgroupDriver, cgroupName, type FileWrite, levels, type Rendered, weightOfShares } from './driver.ts';
import type { Hierarchies } from './hierarchy.ts';

const CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];

export function createV2Driver(hierarchies: Hierarchies, root: string): CgroupDriver {
  const mount = hierarchies.unified as string;
  const base = root === '/' ? '' : cgroupName(root);
  const below = (cgroup: string) => `${base}${cgroupName(cgroup)}`;
  const directory = (cgroup: string) => mount + below(cgroup);
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return '';
    }
  };
  const available = new Set(read(`${mount}/cgroup.controllers`).split(/\s+/));
  const pairs = (text: string) =>
    Object.fromEntries(text.split('\n').map((line) => line.split(' ') as [string, string]));

  return {
    mode: 'v2',
    directories: (cgroup) => levels(below(cgroup)).map((level) => mount + level),
    prepare(cgroup) {
      const enable = CONTROLLERS.filter((each) => available.has(each));
      if (enable.length === 0) return [];
      // Every level above the cgroup hands its controllers down, the hierarchy's root first.
      return ['', ...levels(below(cgroup)).slice(0, -1)].flatMap((level): FileWrite[] => {
        const path = `${mount}${level}/cgroup.subtree_control`;
        const enabled = new Set(read(path).split(/\s+/));
        const missing = enable.filter((each) => !enabled.has(each));
        if (missing.length === 0) return [];
        return [{ path, value: missing.map((each) => `+${each}`).join(' '), why: 'hand controllers down' }];
      });
    },
    limits: (cgroup, resources) => renderV2(directory(cgroup), available, resources),
    devices: () => [],
    deviceFilter: (cgroup) => directory(cgroup),
    unifiedDirectory: directory,
    procsFiles: () => [],
    killFile: (cgroup) => `${directory(cgroup)}/cgroup.kill`,
    killDirectories: () => [],
    warmFile: () => '',
    oomFile: (cgroup) => `${directory(cgroup)}/memory.events`,
    own: (cgroup) => [directory(cgroup)],
    roots: () => (base === '' ? [] : [mount + base]),
    stats(cgroup): CgroupStats {
      const at = directory(cgroup);
      const stat = pairs(read(`${at}/memory.stat`));
      const usage = Number(read(`${at}/memory.current`) || 0);
      const limit = read(`${at}/memory.max`);
      return {
        cpuUsageNs: Number(pairs(read(`${at}/cpu.stat`))['usage_usec'] ?? 0) * 1000,
        memoryUsageBytes: usage,
        memoryWorkingSetBytes: Math.max(0, usage - Number(stat['inactive_file'] ?? 0)),
        memoryRssBytes: Number(stat['anon'] ?? 0),
        memoryLimitBytes: limit === '' || limit === 'max' ? undefined : Number(limit),
        pids: Number(read(`${at}/pids.current`) || 0),
      };
    },
  };
}

export function renderV2(directory: string, available: ReadonlySet<string>, resources: Resources): Rendered {
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
