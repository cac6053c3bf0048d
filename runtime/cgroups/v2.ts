// cgroup v2 alone.
import { readdirSync } from 'node:fs';
import type { Hierarchies } from '../../lib/cgroups/hierarchy.ts';
import { cgroupName, type FileWrite, levels, renderV2 } from '../../lib/cgroups/limits.ts';
import type { CgroupDetails, CgroupStats } from '../launch/port.ts';
import type { CgroupDriver } from './driver.ts';
import { pairs, parseIoStat, readPressures, readText } from './pressure.ts';

const CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];

export function createV2Driver(hierarchies: Hierarchies, root: string): CgroupDriver {
  const mount = hierarchies.unified as string;
  const base = root === '/' ? '' : cgroupName(root);
  const below = (cgroup: string) => `${base}${cgroupName(cgroup)}`;
  const directory = (cgroup: string) => mount + below(cgroup);
  const available = new Set(readText(`${mount}/cgroup.controllers`).split(/\s+/));

  return {
    mode: 'v2',
    directories: (cgroup) => levels(below(cgroup)).map((level) => mount + level),
    prepare(cgroup) {
      const enable = CONTROLLERS.filter((each) => available.has(each));
      if (enable.length === 0) return [];
      // Every level above the cgroup hands its controllers down, the hierarchy's root first.
      return ['', ...levels(below(cgroup)).slice(0, -1)].flatMap((level): FileWrite[] => {
        const path = `${mount}${level}/cgroup.subtree_control`;
        const enabled = new Set(readText(path).split(/\s+/));
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
      const stat = pairs(readText(`${at}/memory.stat`));
      const usage = Number(readText(`${at}/memory.current`) || 0);
      const limit = readText(`${at}/memory.max`);
      return {
        cpuUsageNs: Number(pairs(readText(`${at}/cpu.stat`))['usage_usec'] ?? 0) * 1000,
        memoryUsageBytes: usage,
        memoryWorkingSetBytes: Math.max(0, usage - Number(stat['inactive_file'] ?? 0)),
        memoryRssBytes: Number(stat['anon'] ?? 0),
        memoryLimitBytes: limit === '' || limit === 'max' ? undefined : Number(limit),
        swapUsageBytes: Number(readText(`${at}/memory.swap.current`) || 0),
        swapLimitBytes: limitOf(readText(`${at}/memory.swap.max`)),
        pageFaults: Number(stat['pgfault'] ?? 0),
        majorPageFaults: Number(stat['pgmajfault'] ?? 0),
        pids: Number(readText(`${at}/pids.current`) || 0),
        pressures: readPressures(at),
      };
    },
    details(cgroup): CgroupDetails {
      const at = directory(cgroup);
      const cpu = pairs(readText(`${at}/cpu.stat`));
      const memory = pairs(readText(`${at}/memory.stat`));
      const events = pairs(readText(`${at}/memory.events`));
      const micros = (name: string) => Number(cpu[name] ?? 0) * 1000;
      return {
        cpuUserNs: micros('user_usec'),
        cpuSystemNs: micros('system_usec'),
        cpuPeriods: Number(cpu['nr_periods'] ?? 0),
        cpuThrottledPeriods: Number(cpu['nr_throttled'] ?? 0),
        cpuThrottledNs: micros('throttled_usec'),
        memoryCacheBytes: Number(memory['file'] ?? 0),
        memoryMappedBytes: Number(memory['file_mapped'] ?? 0),
        memoryKernelBytes: Number(memory['kernel'] ?? 0),
        memoryPeakBytes: Number(readText(`${at}/memory.peak`) || 0),
        memoryFailures: Number(events['max'] ?? 0),
        oomKills: Number(events['oom_kill'] ?? 0),
        processes: processesBelow(at),
        pidsLimit: limitOf(readText(`${at}/pids.max`)),
        hugepages: hugepageSizes(at, /^hugetlb\.(\d+[KMG]B)\.current$/).map((pageSize) => ({
          pageSize,
          usageBytes: Number(readText(`${at}/hugetlb.${pageSize}.current`) || 0),
          // v2 keeps no peak.
          peakBytes: 0,
        })),
        io: parseIoStat(readText(`${at}/io.stat`)),
      };
    },
  };
}

/** Everything in a cgroup and below it. */
export function processesBelow(directory: string): number[] {
  const own = readText(`${directory}/cgroup.procs`).split('\n').filter(Boolean).map(Number);
  return own.concat(subdirectories(directory).flatMap((name) => processesBelow(`${directory}/${name}`)));
}

function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? each.name : []));
  } catch {
    return [];
  }
}

const limitOf = (text: string) => (text === '' || text === 'max' ? undefined : Number(text));

/** Page sizes that a cgroup's directory has files for. */
export function hugepageSizes(directory: string, file: RegExp): string[] {
  try {
    return readdirSync(directory).flatMap((name) => file.exec(name)?.[1] ?? []);
  } catch {
    return [];
  }
}
