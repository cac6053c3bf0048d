// What /stats/summary and /metrics/resource say of what the runtime, the kernel and the disk have.
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerStats, PodSandboxStats } from '../../proto/cri-types.ts';
import { type CriClient, CriError } from '../cri/client.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { DriverUsage } from '../volumes/csi/rules.ts';
import { diskUsage, PodDiskUsages } from './disk-usage.ts';
import { volumeFamilies } from './volume-metrics.ts';
import { Counter, Histogram, renderFamilies, renderMetrics } from './exposition.ts';
import { NodeUsageReader } from './node-usage.ts';
import { readPodUsage } from './pod-usage.ts';
import { cadvisorMetrics, resourceMetrics } from './resource-metrics.ts';
import { UsageReader } from './usage-reader.ts';
import { systemClock } from '../../lib/clock.ts';
import { summaryOf, type UsageReading } from './summary.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stats-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('learns where images are from the runtime, before anybody asks for a summary', async () => {
  const cri = { call: async () => ({ imageFilesystems: [{ fsId: { mountpoint: dir } }] }) } as unknown as CriClient;
  const reader = new UsageReader({ cri, stateDir: dir, clock: systemClock } as never);
  expect(reader.imageFsNow()).toBeUndefined();
  await new Promise(setImmediate);
  expect(reader.imageFsNow()?.capacityBytes).toBeGreaterThan(0);
});

const labels = (container?: string) => ({
  'io.kubernetes.pod.uid': 'u1',
  'io.kubernetes.pod.name': 'web',
  'io.kubernetes.pod.namespace': 'default',
  ...(container && { 'io.kubernetes.container.name': container }),
});
const at = Date.UTC(2026, 0, 1);
const container = (name: string, nanoseconds: number, workingSet: number): ContainerStats => ({
  attributes: { id: `id-${name}`, metadata: { name, attempt: 0 }, labels: labels(name), annotations: {} },
  cpu: {
    timestamp: at * 1e6,
    usageCoreNanoSeconds: { value: nanoseconds },
    usageNanoCores: { value: nanoseconds / 10 },
  },
  memory: { timestamp: at * 1e6, workingSetBytes: { value: workingSet }, usageBytes: { value: workingSet + 1 } },
  writableLayer: { usedBytes: { value: 4096 }, inodesUsed: { value: 3 } },
});

function fakeCri(answers: { sandboxes?: PodSandboxStats[]; containers?: ContainerStats[] }): CriClient {
  return {
    call: async (method: string) => {
      if (method === 'ListContainerStats') return { stats: answers.containers ?? [] } as never;
      if (answers.sandboxes) return { stats: answers.sandboxes } as never;
      throw new CriError(method, 'other', 'unknown method');
    },
    events: async function* () {},
    close: () => {},
  };
}

async function reading(): Promise<UsageReading> {
  const sandboxes: PodSandboxStats[] = [
    {
      attributes: { id: 's1', metadata: null, labels: labels(), annotations: {} },
      linux: {
        cpu: { timestamp: at * 1e6, usageCoreNanoSeconds: { value: 5e9 } },
        memory: { timestamp: at * 1e6, workingSetBytes: { value: 3000 } },
        network: { timestamp: at * 1e6, defaultInterface: { name: 'eth0', rxBytes: { value: 7 } } },
        process: { timestamp: at * 1e6, processCount: { value: 4 } },
        containers: [container('app', 2e9, 1000)],
      },
    },
  ];
  const [usage] = await readPodUsage(fakeCri({ sandboxes }));
  const fs = { capacityBytes: 100, availableBytes: 40, usedBytes: 50, inodes: 10, inodesFree: 4 };
  return {
    nodeName: 'node-1',
    cpus: 2,
    atMs: at,
    imageFs: { fs, usedBytes: 30, inodesUsed: 2 },
    node: {
      atMs: at,
      bootedAtMs: at - 1000,
      cpuNanoseconds: 9e9,
      cpuNanoCores: 1e9,
      memory: {
        totalBytes: 1000,
        availableBytes: 600,
        usageBytes: 500,
        workingSetBytes: 400,
        rssBytes: 300,
        pageFaults: 1,
        majorPageFaults: 0,
      },
      swap: { totalBytes: 0, usedBytes: 0 },
      fs,
      processes: 50,
      maxProcesses: 32_768,
      interfaces: [{ name: 'eth0', rxBytes: 1, rxErrors: 0, txBytes: 2, txErrors: 0 }],
      defaultInterface: 'eth0',
    },
    pods: [
      {
        usage: usage as never,
        pod: undefined,
        startedAtMs: at - 5000,
        disk: {
          atMs: at,
          volumes: [
            { name: 'data', pvcName: undefined, usedBytes: 100, inodesUsed: 1, fs, isEphemeral: true },
            { name: 'claim', pvcName: 'c', usedBytes: 900, inodesUsed: 1, fs, isEphemeral: false },
          ],
          logs: new Map([['app', { bytes: 10, inodes: 1 }]]),
        },
        container: () => undefined,
        containerStart: () => at - 4000,
      },
    ],
  };
}

describe('summary', () => {
  it('tells of node, pods, containers, volumes', async () => {
    const summary = summaryOf(await reading(), false);
    expect(summary.node).toMatchObject({
      nodeName: 'node-1',
      cpu: { usageNanoCores: 1e9, usageCoreNanoSeconds: 9e9 },
      memory: { availableBytes: 600, workingSetBytes: 400 },
      network: { name: 'eth0', rxBytes: 1 },
      fs: { availableBytes: 40, inodesUsed: 6 },
      runtime: { imageFs: { usedBytes: 30 } },
      rlimit: { maxpid: 32_768, curproc: 50 },
    });
    expect(summary.pods[0]).toMatchObject({
      podRef: { name: 'web', namespace: 'default', uid: 'u1' },
      containers: [
        {
          name: 'app',
          startTime: '2025-12-31T23:59:56Z',
          cpu: { time: '2026-01-01T00:00:00Z', usageCoreNanoSeconds: 2e9, usageNanoCores: 2e8 },
          memory: { workingSetBytes: 1000, usageBytes: 1001 },
          rootfs: { usedBytes: 4096 },
          logs: { usedBytes: 10 },
        },
      ],
      cpu: { usageCoreNanoSeconds: 5e9 },
      network: { name: 'eth0', rxBytes: 7 },
      volume: [{ name: 'data' }, { name: 'claim', pvcRef: { name: 'c', namespace: 'default' } }],
      'ephemeral-storage': { usedBytes: 4096 + 10 + 100 },
      process_stats: { process_count: 4 },
    });
  });

  it('leaves out all but CPU and memory when asked to', async () => {
    const { node, pods } = summaryOf(await reading(), true);
    expect(Object.keys(node)).toEqual(['nodeName', 'startTime', 'cpu', 'memory', 'swap']);
    expect(Object.keys(pods[0] ?? {})).toEqual(['podRef', 'startTime', 'containers', 'cpu', 'memory']);
  });

  it('adds containers up when the runtime knows no pods', async () => {
    const [usage] = await readPodUsage(fakeCri({ containers: [container('a', 1e9, 10), container('b', 2e9, 20)] }));
    expect(usage).toMatchObject({ name: 'web', cpu: { nanoseconds: 3e9 }, memory: { workingSetBytes: 30 } });
  });
});

describe('metrics', () => {
  it('are what metrics-server reads', async () => {
    const text = resourceMetrics(await reading());
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        `container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} 2 ${at}`,
        `container_memory_working_set_bytes{container="app",namespace="default",pod="web"} 1000 ${at}`,
        `container_start_time_seconds{container="app",namespace="default",pod="web"} ${(at - 4000) / 1000}`,
        `node_cpu_usage_seconds_total 9 ${at}`,
        `node_memory_working_set_bytes 400 ${at}`,
        `pod_cpu_usage_seconds_total{namespace="default",pod="web"} 5 ${at}`,
        `pod_memory_working_set_bytes{namespace="default",pod="web"} 3000 ${at}`,
        'scrape_error 0',
      ]),
    );
    expect(resourceMetrics(undefined)).toContain('scrape_error 1');
    expect(cadvisorMetrics(await reading())).toContain(
      'container_network_receive_bytes_total{container="",id="/kubepods/podu1",image="",name="",namespace="default",pod="web",interface="eth0"} 7',
    );
  });

  it('are written as Prometheus reads them', () => {
    const counter = new Counter('c_total', 'Counts.');
    counter.add({ a: 'x"\n' });
    counter.add({ a: 'x"\n' }, 2);
    const histogram = new Histogram('h', 'Times.', [1, 2]);
    for (const each of [0.5, 1.5, 9]) histogram.observe(each);
    expect(renderMetrics([counter, histogram])).toBe(
      [
        '# HELP c_total Counts.',
        '# TYPE c_total counter',
        'c_total{a="x\\"\\n"} 3',
        '# HELP h Times.',
        '# TYPE h histogram',
        'h_bucket{le="1"} 1',
        'h_bucket{le="2"} 2',
        'h_bucket{le="+Inf"} 3',
        'h_sum 11',
        'h_count 3',
        '',
      ].join('\n'),
    );
    expect(renderFamilies([{ name: 'none', help: '', type: 'gauge', samples: [] }])).toBe('');
  });
});

describe('volumes of drivers', () => {
  const pod = {
    metadata: { name: 'web', namespace: 'default', uid: 'u1' },
    spec: { containers: [], volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'claim' } }] },
  } as Pod;
  const counted = (driverUsage: () => Promise<DriverUsage | undefined> | undefined) =>
    new PodDiskUsages(systemClock).of({ pod, volumePath: () => dir, driverUsage, logDirectory: join(dir, 'none') });

  it('are what the driver says, and nothing when it says nothing', async () => {
    const fs = { capacityBytes: 1000, availableBytes: 600, usedBytes: 400, inodes: 10, inodesFree: 7 };
    const { volumes } = await counted(async () => ({ fs, inodesUsed: 3, isAbnormal: true }));
    const text = renderFamilies(volumeFamilies(volumes.map((volume) => ({ namespace: 'default', volume }))));
    const of = (name: string, value: number) =>
      `kubelet_volume_stats_${name}{namespace="default",persistentvolumeclaim="claim"} ${value}`;
    expect(text.split('\n').filter((each) => each && !each.startsWith('#'))).toEqual([
      of('capacity_bytes', 1000),
      of('available_bytes', 600),
      of('used_bytes', 400),
      of('inodes', 10),
      of('inodes_free', 7),
      of('inodes_used', 3),
      of('health_status_abnormal', 1),
    ]);
    expect((await counted(async () => undefined)).volumes).toEqual([]);
    // Of any other volume the files are counted.
    expect((await counted(() => undefined)).volumes).toMatchObject([{ pvcName: 'claim', inodesUsed: 1 }]);
  });
});

describe('what is read', () => {
  it('counts a linked file once', async () => {
    mkdirSync(join(dir, 'a'));
    writeFileSync(join(dir, 'a/one'), Buffer.alloc(8192));
    const before = await diskUsage(dir);
    linkSync(join(dir, 'a/one'), join(dir, 'two'));
    expect((await diskUsage(dir)).bytes).toBe(before.bytes);
    expect(before.bytes).toBeGreaterThanOrEqual(8192);
    expect(before.inodes).toBe(3);
    expect(await diskUsage(join(dir, 'nothing'))).toEqual({ bytes: 0, inodes: 0 });
  });

  it('reckons the machine from /proc', () => {
    const proc = (name: string, text: string) => {
      mkdirSync(join(dir, 'proc', name, '..'), { recursive: true });
      writeFileSync(join(dir, 'proc', name), text);
    };
    proc('stat', 'cpu  100 0 50 9999 5 1 2 0 0 0\ncpu0 1 1\nbtime 1000\n');
    proc(
      'meminfo',
      'MemTotal: 1000 kB\nMemFree: 400 kB\nInactive(file): 100 kB\nAnonPages: 50 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n',
    );
    proc('loadavg', '0 0 0 3/77 1234\n');
    proc('sys/kernel/pid_max', '500\n');
    proc('net/route', 'Iface\tDestination\neth9\t00000000\n');
    proc('net/dev', 'Inter-|\n face |\n  lo: 1 1\n eth9: 11 0 1 0 0 0 0 0 22 0 2\n');
    const reader = new NodeUsageReader(dir, join(dir, 'proc'));
    const first = reader.read(10_000);
    expect(first).toMatchObject({
      bootedAtMs: 1_000_000,
      cpuNanoseconds: 153 * 1e7,
      cpuNanoCores: undefined,
      memory: { totalBytes: 1_024_000, availableBytes: 512_000, workingSetBytes: 512_000 },
      swap: { usedBytes: 6144 },
      processes: 77,
      maxProcesses: 500,
      defaultInterface: 'eth9',
      interfaces: [{ name: 'eth9', rxBytes: 11, rxErrors: 1, txBytes: 22, txErrors: 2 }],
    });
    proc('stat', 'cpu  200 0 50 9999 5 1 2 0 0 0\nbtime 1000\n');
    // One second of one processor in two.
    expect(reader.read(12_000).cpuNanoCores).toBe(5e8);
  });
});
