// cgroup v1, alone or beside a v2 tree (hybrid): limits in v1; process sets in v2 where there is one, because it has
// CLONE_INTO_CGROUP and cgroup.kill.
import type { Hierarchies } from '../../lib/cgroups/hierarchy.ts';
import { cgroupName, type FileWrite, levels, renderV1 } from '../../lib/cgroups/limits.ts';
import type { CgroupDetails, CgroupStats } from '../launch/port.ts';
import { type CgroupDriver, type DeviceRule, renderDevice } from './driver.ts';
import { pairs, parseIoStat, readPressures, readText as read } from './pressure.ts';
import { hugepageSizes, processesBelow } from './v2.ts';

const UNLIMITED = 2 ** 62;

export function createV1Driver(hierarchies: Hierarchies, root: string): CgroupDriver {
  const unified = hierarchies.unified;
  // Without v2 the freezer joins in, since killing then needs it thawed; blkio has no limit that CRI could set.
  const wanted = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'pids', 'hugetlb', ...(unified ? [] : ['freezer'])];
  const controllers = wanted.filter((each) => hierarchies.v1.has(each));
  // cpu,cpuacct are often mounted together: one directory then.
  const mounts = [...new Set(controllers.map((each) => hierarchies.v1.get(each) as string))];
  const base = root === '/' ? '' : cgroupName(root);
  const below = (cgroup: string) => `${base}${cgroupName(cgroup)}`;
  const file = (controller: string, cgroup: string, name: string) =>
    `${hierarchies.v1.get(controller)}${below(cgroup)}/${name}`;
  const number = (path: string) => Number(read(path) || 0);

  return {
    mode: unified ? 'hybrid' : 'v1',
    directories: (cgroup) =>
      [...mounts, ...(unified ? [unified] : [])].flatMap((mount) =>
        levels(below(cgroup)).map((level) => mount + level),
      ),
    prepare(cgroup) {
      const mount = hierarchies.v1.get('cpuset');
      if (!mount) return [];
      // A new cpuset is empty and takes no process: every level gets what the one above has.
      const top = { cpus: read(`${mount}/cpuset.cpus`), mems: read(`${mount}/cpuset.mems`) };
      return levels(below(cgroup)).flatMap((level): FileWrite[] => {
        const writes: FileWrite[] = [];
        for (const name of ['cpus', 'mems'] as const) {
          if (read(`${mount}${level}/cpuset.${name}`) === '') {
            const parent = read(`${mount}${level.slice(0, level.lastIndexOf('/'))}/cpuset.${name}`);
            writes.push({
              path: `${mount}${level}/cpuset.${name}`,
              value: parent || top[name],
              why: 'inherit the cpuset',
            });
          }
        }
        return writes;
      });
    },
    limits(cgroup, resources) {
      const memsw = hierarchies.v1.has('memory') ? number(file('memory', cgroup, 'memory.memsw.limit_in_bytes')) : 0;
      return renderV1(
        (controller, name) => file(controller, cgroup, name),
        new Set(hierarchies.v1.keys()),
        resources,
        memsw || UNLIMITED,
      );
    },
    devices: (cgroup, rules) =>
      hierarchies.v1.has('devices') ? renderV1Devices(file('devices', cgroup, ''), rules) : [],
    deviceFilter: (cgroup) => (!hierarchies.v1.has('devices') && unified ? unified + below(cgroup) : undefined),
    unifiedDirectory: (cgroup) => (unified ? unified + below(cgroup) : ''),
    procsFiles: (cgroup) => mounts.map((mount) => `${mount}${below(cgroup)}/cgroup.procs`),
    warmFile: () => (mounts.length > 0 ? `${mounts.at(-1)}${base}/cgroup.procs` : ''),
    killFile: (cgroup) => (unified ? `${unified}${below(cgroup)}/cgroup.kill` : ''),
    // One hierarchy is enough to see them all; pids and memory are always joined.
    killDirectories: (cgroup) => (unified ? [] : mounts.slice(-1).map((mount) => mount + below(cgroup))),
    oomFile: (cgroup) => (hierarchies.v1.has('memory') ? file('memory', cgroup, 'memory.oom_control') : ''),
    own: (cgroup) => [...mounts, ...(unified ? [unified] : [])].map((mount) => mount + below(cgroup)),
    roots: () => (base === '' ? [] : [...mounts, ...(unified ? [unified] : [])].map((mount) => mount + base)),
    stats(cgroup): CgroupStats {
      const stat = pairs(read(file('memory', cgroup, 'memory.stat')));
      const usage = number(file('memory', cgroup, 'memory.usage_in_bytes'));
      const limit = number(file('memory', cgroup, 'memory.limit_in_bytes'));
      return {
        cpuUsageNs: number(file('cpuacct', cgroup, 'cpuacct.usage')),
        memoryUsageBytes: usage,
        memoryWorkingSetBytes: Math.max(0, usage - Number(stat['total_inactive_file'] ?? 0)),
        memoryRssBytes: Number(stat['total_rss'] ?? 0),
        memoryLimitBytes: limit > 0 && limit < UNLIMITED ? limit : undefined,
        swapUsageBytes: Number(stat['total_swap'] ?? 0),
        swapLimitBytes: swapLimit(limit, number(file('memory', cgroup, 'memory.memsw.limit_in_bytes'))),
        pageFaults: Number(stat['total_pgfault'] ?? 0),
        majorPageFaults: Number(stat['total_pgmajfault'] ?? 0),
        pids: number(file('pids', cgroup, 'pids.current')),
        pressures: unified ? readPressures(unified + below(cgroup)) : {},
      };
    },
    details(cgroup): CgroupDetails {
      const cpu = pairs(read(file('cpu', cgroup, 'cpu.stat')));
      const memory = pairs(read(file('memory', cgroup, 'memory.stat')));
      const oom = pairs(read(file('memory', cgroup, 'memory.oom_control')));
      const pidsMax = read(file('pids', cgroup, 'pids.max'));
      const hugetlb = hierarchies.v1.has('hugetlb') ? file('hugetlb', cgroup, '') : '';
      return {
        cpuUserNs: number(file('cpuacct', cgroup, 'cpuacct.usage_user')),
        cpuSystemNs: number(file('cpuacct', cgroup, 'cpuacct.usage_sys')),
        cpuPeriods: Number(cpu['nr_periods'] ?? 0),
        cpuThrottledPeriods: Number(cpu['nr_throttled'] ?? 0),
        cpuThrottledNs: Number(cpu['throttled_time'] ?? 0),
        memoryCacheBytes: Number(memory['total_cache'] ?? 0),
        memoryMappedBytes: Number(memory['total_mapped_file'] ?? 0),
        memoryKernelBytes: number(file('memory', cgroup, 'memory.kmem.usage_in_bytes')),
        memoryPeakBytes: number(file('memory', cgroup, 'memory.max_usage_in_bytes')),
        memoryFailures: number(file('memory', cgroup, 'memory.failcnt')),
        oomKills: Number(oom['oom_kill'] ?? 0),
        processes: processesBelow((unified ?? (mounts.at(-1) as string)) + below(cgroup)),
        pidsLimit: pidsMax === '' || pidsMax === 'max' ? undefined : Number(pidsMax),
        hugepages: (hugetlb ? hugepageSizes(hugetlb, /^hugetlb\.(\d+[KMG]B)\.usage_in_bytes$/) : []).map(
          (pageSize) => ({
            pageSize,
            usageBytes: number(`${hugetlb}hugetlb.${pageSize}.usage_in_bytes`),
            peakBytes: number(`${hugetlb}hugetlb.${pageSize}.max_usage_in_bytes`),
          }),
        ),
        io: unified ? parseIoStat(read(`${unified}${below(cgroup)}/io.stat`)) : [],
      };
    },
  };
}

/** v1 limits memory and swap together. */
const swapLimit = (memory: number, both: number): number | undefined =>
  both > 0 && both < UNLIMITED ? Math.max(0, both - memory) : undefined;

export function renderV1Devices(directory: string, rules: DeviceRule[]): FileWrite[] {
  return [
    { path: `${directory}devices.deny`, value: 'a', why: 'no device' },
    ...rules.map((rule) => ({
      path: `${directory}devices.${rule.allow ? 'allow' : 'deny'}`,
      value: renderDevice(rule),
      why: rule.allow ? 'but this one' : 'and not this one',
    })),
  ];
}
