import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cgroupName, weightOfShares } from './driver.ts';
import { findHierarchies } from './hierarchy.ts';
import { createV1Driver, renderV1 } from './v1.ts';
import { createV2Driver, renderV2 } from './v2.ts';

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
    put('/memory/root/pod/memory.stat', 'cache 5\ntotal_rss 300\ntotal_inactive_file 400\n');
    put('/cpu,cpuacct/root/pod/cpuacct.usage', '77\n');
    put('/pids/root/pod/pids.current', '3\n');
    expect(driver.stats('/pod')).toEqual({
      cpuUsageNs: 77,
      memoryUsageBytes: 1000,
      memoryWorkingSetBytes: 600,
      memoryRssBytes: 300,
      memoryLimitBytes: undefined,
      pids: 3,
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
    put('/root/pod/memory.stat', 'anon 300\ninactive_file 400\n');
    put('/root/pod/cpu.stat', 'usage_usec 12\nuser_usec 1\n');
    put('/root/pod/pids.current', '3\n');
    expect(driver.stats('/pod')).toEqual({
      cpuUsageNs: 12_000,
      memoryUsageBytes: 1000,
      memoryWorkingSetBytes: 600,
      memoryRssBytes: 300,
      memoryLimitBytes: 2000,
      pids: 3,
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
