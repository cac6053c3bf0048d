import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cgroupName, renderV1, renderV2, weightOfShares } from '../../lib/cgroups/limits.ts';
import { findHierarchies } from '../../lib/cgroups/hierarchy.ts';
import { createV1Driver } from './v1.ts';
import { createV2Driver } from './v2.ts';

const V1 = (root: string) =>
  ['cpu,cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'pids']
    .map((name, at) => `${at} 1 0:${at} / ${root}/${name} rw shared:3 - cgroup cgroup rw,${name}`)
    .join('\n');
const V2 = (root: string) => `30 1 0:9 / ${root} rw - cgroup2 cgroup2 rw`;

describe('hierarchies', () => {
  it('finds v1, hybrid and v2', () => {
    expect(findHierarchies(V1('/c')).mode).toBe('v1');
    expect(findHierarchies(`${V1('/c')}\n${V2('/c/unified')}`)).toMatchObject({
      mode: 'hybrid',
      unified: '/c/unified',
    });
    expect(findHierarchies(V2('/sys/fs/cgroup'))).toMatchObject({ mode: 'v2', unified: '/sys/fs/cgroup' });
    expect(findHierarchies(V1('/c')).v1.get('cpuacct')).toBe('/c/cpu,cpuacct');
    expect(() => findHierarchies('1 2 0:3 / / rw - ext4 /dev/x rw')).toThrow('no cgroup hierarchy');
  });
  it('keeps names below our root', () => {
    expect(cgroupName('/a//b/')).toBe('/a/b');
    for (const bad of ['a', '/', '/a/../b', '/./a']) expect(() => cgroupName(bad)).toThrow('not an absolute name');
  });
});

describe('drivers on a directory', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync('/tmp/sampan-cgroups-');
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const put = (path: string, text: string) => {
    mkdirSync(`${directory}${path.slice(0, path.lastIndexOf('/'))}`, { recursive: true });
    writeFileSync(directory + path, text);
  };

  it('v1: directories, cpuset copy-down, joins, stats', () => {
    put('/cpuset/cpuset.cpus', '0-3\n');
    put('/cpuset/cpuset.mems', '0\n');
    put('/cpuset/root/cpuset.cpus', '0-1\n');
    put('/cpuset/root/cpuset.mems', '\n');
    const driver = createV1Driver(findHierarchies(V1(directory)), '/root');
    expect(driver.directories('/pod')).toContain(`${directory}/cpu,cpuacct/root/pod`);
    expect(driver.directories('/pod').filter((path) => path.includes('cpuacct'))).toEqual([
      `${directory}/cpu,cpuacct/root`,
      `${directory}/cpu,cpuacct/root/pod`,
    ]);
    expect(driver.prepare('/pod').map((each) => [each.path.slice(directory.length), each.value])).toEqual([
      ['/cpuset/root/cpuset.mems', '0'],
      ['/cpuset/root/pod/cpuset.cpus', '0-1'],
      ['/cpuset/root/pod/cpuset.mems', '0'],
    ]);
    expect(driver.unifiedDirectory('/pod')).toBe('');
    expect(driver.killFile('/pod')).toBe('');
    expect(driver.killDirectories('/pod').length).toBe(1);
    put('/memory/root/pod/memory.usage_in_bytes', '1000\n');
    put('/memory/root/pod/memory.limit_in_bytes', '9223372036854771712\n');
    put('/memory/root/pod/memory.memsw.limit_in_bytes', '9223372036854771712\n');
    put(
      '/memory/root/pod/memory.stat',
      'cache 5\ntotal_rss 300\ntotal_inactive_file 400\ntotal_swap 7\ntotal_pgfault 4\n',
    );
    put('/cpu,cpuacct/root/pod/cpuacct.usage', '77\n');
    put('/pids/root/pod/pids.current', '3\n');
    expect(driver.stats('/pod')).toEqual({
      cpuUsageNs: 77,
      memoryUsageBytes: 1000,
      memoryWorkingSetBytes: 600,
      memoryRssBytes: 300,
      memoryLimitBytes: undefined,
      swapUsageBytes: 7,
      swapLimitBytes: undefined,
      pageFaults: 4,
      majorPageFaults: 0,
      pids: 3,
      pressures: {},
    });
  });

  it('v2: controllers handed down, kill file, stats', () => {
    put('/cgroup.controllers', 'cpuset cpu io memory hugetlb pids rdma\n');
    put('/cgroup.subtree_control', 'cpu memory\n');
    const driver = createV2Driver(findHierarchies(V2(directory)), '/root');
    expect(driver.prepare('/pod').map((each) => [each.path.slice(directory.length), each.value])).toEqual([
      ['/cgroup.subtree_control', '+cpuset +io +hugetlb +pids'],
      ['/root/cgroup.subtree_control', '+cpuset +cpu +io +memory +hugetlb +pids'],
    ]);
    expect(driver.killFile('/pod')).toBe(`${directory}/root/pod/cgroup.kill`);
    put('/root/pod/memory.current', '1000\n');
    put('/root/pod/memory.max', '2000\n');
    put('/root/pod/memory.stat', 'anon 300\ninactive_file 400\npgfault 9\npgmajfault 2\n');
    put('/root/pod/cpu.stat', 'usage_usec 12\nuser_usec 1\nnr_periods 5\nnr_throttled 2\nthrottled_usec 9\n');
    put('/root/pod/pids.current', '3\n');
    put('/root/pod/memory.swap.current', '10\n');
    put('/root/pod/memory.swap.max', '50\n');
    put(
      '/root/pod/cpu.pressure',
      'some avg10=1.50 avg60=2.00 avg300=3.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n',
    );
    expect(driver.stats('/pod')).toEqual({
      cpuUsageNs: 12_000,
      memoryUsageBytes: 1000,
      memoryWorkingSetBytes: 600,
      memoryRssBytes: 300,
      memoryLimitBytes: 2000,
      swapUsageBytes: 10,
      swapLimitBytes: 50,
      pageFaults: 9,
      majorPageFaults: 2,
      pids: 3,
      pressures: {
        cpu: {
          some: { avg10: 1.5, avg60: 2, avg300: 3, totalNs: 7000 },
          full: { avg10: 0, avg60: 0, avg300: 0, totalNs: 1000 },
        },
      },
    });
    put('/root/pod/io.stat', '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \n');
    put('/root/pod/memory.events', 'low 0\nmax 3\noom 1\noom_kill 1\n');
    put('/root/pod/memory.peak', '1500\n');
    put('/root/pod/pids.max', 'max\n');
    put('/root/pod/hugetlb.2MB.current', '0\n');
    put('/root/pod/cgroup.procs', '12\n');
    put('/root/pod/c1/cgroup.procs', '34\n56\n');
    expect(driver.details('/pod')).toEqual({
      cpuUserNs: 1000,
      cpuSystemNs: 0,
      cpuPeriods: 5,
      cpuThrottledPeriods: 2,
      cpuThrottledNs: 9000,
      memoryCacheBytes: 0,
      memoryMappedBytes: 0,
      memoryKernelBytes: 0,
      memoryPeakBytes: 1500,
      memoryFailures: 3,
      oomKills: 1,
      processes: [12, 34, 56],
      pidsLimit: undefined,
      hugepages: [{ pageSize: '2MB', usageBytes: 0, peakBytes: 0 }],
      io: [{ major: '8', minor: '0', readBytes: 1, writeBytes: 2, reads: 3, writes: 4 }],
    });
  });
});

describe('limits', () => {
  const all = {
    cpuShares: 1024,
    cpuQuotaUs: 500,
    cpuPeriodUs: 100_000,
    cpusetCpus: '0',
    memoryLimitBytes: 100,
    memorySwapLimitBytes: 150,
    pidsLimit: 9,
    hugepageLimits: [{ pageSize: '2MB', limitBytes: 0 }],
  };
  const v1 = (available: string[], memsw = 2 ** 62, resources: Parameters<typeof renderV1>[2] = all) =>
    renderV1((controller, name) => `${controller}:${name}`, new Set(available), resources, memsw);
  const lines = (rendered: ReturnType<typeof v1>) => rendered.writes.map((each) => `${each.path} ${each.value}`);

  it('v1', () => {
    expect(lines(v1(['cpu', 'cpuset', 'memory', 'pids']))).toEqual([
      'cpu:cpu.shares 1024',
      'cpu:cpu.cfs_period_us 100000',
      'cpu:cpu.cfs_quota_us 1000',
      'cpuset:cpuset.cpus 0',
      'memory:memory.limit_in_bytes 100',
      'memory:memory.memsw.limit_in_bytes 150',
      'pids:pids.max 9',
    ]);
    // Raising above the present sum: the sum goes first.
    expect(lines(v1(['memory'], 50)).slice(0, 2)).toEqual([
      'memory:memory.memsw.limit_in_bytes 150',
      'memory:memory.limit_in_bytes 100',
    ]);
    expect(v1(['cpu']).warnings).toContain('cgroup controller pids is not available: pids.max 9 is not enforced');
  });
  it('v2', () => {
    const rendered = renderV2('/c', new Set(['cpu', 'cpuset', 'memory', 'pids', 'hugetlb']), {
      ...all,
      unified: { 'memory.high': '90' },
    });
    expect(lines(rendered)).toEqual([
      '/c/cpu.weight 39',
      '/c/cpu.max 1000 100000',
      '/c/cpuset.cpus 0',
      '/c/memory.swap.max 50',
      '/c/memory.max 100',
      '/c/pids.max 9',
      '/c/hugetlb.2MB.max 0',
      '/c/memory.high 90',
    ]);
    expect(lines(renderV2('/c', new Set(['cpu']), { cpuQuotaUs: -1 }))).toEqual(['/c/cpu.max max 100000']);
    expect(() => renderV2('/c', new Set(['memory']), { unified: { '../../x': '1' } })).toThrow(
      'not the name of a cgroup v2 file',
    );
    expect([2, 1024, 262_144, 0].map(weightOfShares)).toEqual([1, 39, 10_000, 1]);
  });
});
