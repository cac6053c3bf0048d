// What happens when a node runs short: the rules as tables, then a whole kubelet in virtual time.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod, PodSpec } from '../../api/types/core-v1.ts';
import { evictable, bytesToFree, DEFAULT_IMAGE_POLICY } from '../images/collector.ts';
import { planShutdown, groupsOf } from '../pods/shutdown.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';
import type { PodUsage } from '../stats/pod-usage.ts';
import { initialState, planEviction } from './plan.ts';
import { type Candidate, evictionMessage, localStorageExcess, rankFor } from './rank.ts';
import { DEFAULT_HARD, formatBytes, type Observations, parseThresholds } from './thresholds.ts';

const Mi = 2 ** 20;
const seen = (availableMi: number): Observations =>
  new Map([['memory.available', { available: availableMi * Mi, capacity: 1000 * Mi }]]);

describe('thresholds', () => {
  it('hold for the state that was seen, soft ones after their time, conditions for five minutes more', () => {
    const thresholds = parseThresholds({
      hard: { 'memory.available': '100Mi' },
      soft: { 'memory.available': '30%' },
      softGraceMs: { 'memory.available': 60_000 },
      minimumReclaim: { 'memory.available': '50Mi' },
    });
    let now = 0;
    let state = initialState;
    const look = (availableMi: number, atMs: number) => {
      now = atMs;
      const plan = planEviction(state, thresholds, seen(availableMi), now);
      state = plan.state;
      return [plan.act && (plan.act.isHard ? 'hard' : 'soft'), [...state.conditions].join()];
    };
    expect(look(400, 0)).toEqual([undefined, '']);
    expect(look(250, 10_000)).toEqual([undefined, 'MemoryPressure']);
    expect(look(250, 60_000)).toEqual([undefined, 'MemoryPressure']);
    expect(look(250, 70_000)).toEqual(['soft', 'MemoryPressure']);
    expect(look(90, 80_000)).toEqual(['hard', 'MemoryPressure']);
    // Above the hard threshold, but not by what must be reclaimed.
    expect(look(120, 90_000)).toEqual(['hard', 'MemoryPressure']);
    expect(look(900, 100_000)).toEqual([undefined, 'MemoryPressure']);
    expect(look(900, 389_000)).toEqual([undefined, 'MemoryPressure']);
    expect(look(900, 391_000)).toEqual([undefined, '']);
  });

  it.each([
    [{ hard: { 'cpu.available': '1' } }, 'unsupported eviction signal cpu.available'],
    [{ hard: { 'memory.available': '120%' } }, 'must be <= 100%'],
    [{ hard: { 'memory.available': 'lots' } }, 'not a quantity'],
    [{ hard: {}, soft: { 'memory.available': '1Gi' } }, 'grace period must be specified'],
  ])('refuses %j', (settings, message) => {
    expect(() => parseThresholds(settings)).toThrow(message);
  });

  it('0% switches one off', () => {
    expect(parseThresholds({ hard: { ...DEFAULT_HARD, 'nodefs.available': '0%' } }).map((each) => each.signal)).toEqual(
      ['memory.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree', 'pid.available'],
    );
  });
});

const candidate = (name: string, usedMi: number, requestMi: number, more: Partial<PodSpec> = {}): Candidate => {
  const requests = { memory: `${requestMi}Mi` };
  const pod: Pod = {
    metadata: { name, namespace: 'default', uid: name },
    spec: { containers: [{ name: 'app', resources: { requests } }], ...more },
  };
  const memory = { workingSetBytes: usedMi * Mi } as PodUsage['memory'];
  return {
    pod,
    usage: {
      memory,
      processes: usedMi,
      containers: [{ name: 'app', memory, rootfs: { usedBytes: usedMi * Mi, inodesUsed: usedMi } }],
    } as PodUsage,
    disk: { atMs: 0, volumes: [], logs: new Map() },
  };
};

describe('order', () => {
  it('is: over its request, then the least important, then the furthest over', () => {
    const pods = [
      candidate('within', 100, 200),
      candidate('over-a-little', 110, 100),
      candidate('over-a-lot', 300, 100),
      candidate('important', 900, 100, { priority: 1000 }),
      candidate('unimportant-within', 10, 50, { priority: -5 }),
    ];
    expect(rankFor('memory.available', pods).map((each) => each.pod.metadata.name)).toEqual([
      'over-a-lot',
      'over-a-little',
      'important',
      'unimportant-within',
      'within',
    ]);
    expect(rankFor('pid.available', pods)[0]?.pod.metadata.name).toBe('unimportant-within');
    expect(rankFor('nodefs.available', pods)[0]?.pod.metadata.name).toBe('unimportant-within');
  });

  it('is told to whom it hits', () => {
    const [threshold] = parseThresholds({ hard: { 'memory.available': '100Mi' } });
    expect(threshold && evictionMessage(threshold, seen(50), candidate('web', 300, 64))).toBe(
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container app was using 300Mi, request is 64Mi, has larger consumption of memory. ',
    );
    expect(formatBytes(1500)).toBe('1500');
  });

  it('leaves room for limits of local storage', () => {
    const limited = candidate('a', 20, 0, { volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }] });
    const volume = {
      name: 'v',
      pvcName: undefined,
      usedBytes: 2 * Mi,
      inodesUsed: 1,
      fs: undefined,
      isEphemeral: true,
    };
    limited.disk = { atMs: 0, volumes: [volume], logs: new Map() };
    expect(localStorageExcess(limited)).toBe('Usage of EmptyDir volume "v" exceeds the limit "1Mi". ');
    const own = candidate('b', 20, 0, {
      containers: [{ name: 'app', resources: { limits: { 'ephemeral-storage': '10Mi' } } }, { name: 'other' }],
    });
    expect(localStorageExcess(own)).toBe('Container app exceeded its local ephemeral storage limit "10Mi". ');
    expect(localStorageExcess(candidate('c', 20, 0))).toBeUndefined();
  });
});

describe('images', () => {
  const image = (id: string, more: object = {}) => ({
    id,
    sizeBytes: 1,
    isPinned: false,
    detectedAtMs: 0,
    lastUsedMs: 0,
    inUse: false,
    ...more,
  });

  it('go when unused, the longest unused first, never pinned or new ones', () => {
    const images = [
      image('used', { inUse: true }),
      image('pinned', { isPinned: true }),
      image('new', { detectedAtMs: 90_000 }),
      image('recent', { lastUsedMs: 50_000 }),
      image('old', { lastUsedMs: 10_000 }),
      image('never'),
    ];
    expect(evictable(images, 30_000, 100_000).map((each) => each.id)).toEqual(['never', 'old', 'recent']);
  });

  it.each([
    [84, 0],
    [85, 5],
    [100, 20],
  ])('at %i percent of the disk free %i', (usedPercent, wanted) => {
    const fs = { capacityBytes: 100, availableBytes: 100 - usedPercent, usedBytes: 0, inodes: 0, inodesFree: 0 };
    expect(bytesToFree(fs, DEFAULT_IMAGE_POLICY)).toBe(wanted);
  });
});

it('a node that ends gives each group of pods its time, critical ones last', () => {
  const pod = (name: string, priority?: number): Pod => ({
    metadata: { name },
    spec: { containers: [], ...(priority !== undefined && { priority }) },
  });
  const plan = planShutdown([pod('a'), pod('system', 2_000_001_000), pod('b', 100)], groupsOf(30, 10));
  expect(plan.map((each) => [each.seconds, each.pods.map((of) => of.metadata.name)])).toEqual([
    [20, ['a', 'b']],
    [10, ['system']],
  ]);
});

describe('a node that runs short', () => {
  let test: Harness;
  beforeEach(() => {
    test = createHarness();
  });
  afterEach(() => test.stop());
  const nodeCondition = (type: string) =>
    test.api
      .objects<{ metadata: object; status?: { conditions?: { type: string; status: string }[] } }>({
        group: '',
        version: 'v1',
        resource: 'nodes',
        kind: 'Node',
        namespaced: false,
      })[0]
      ?.status?.conditions?.find((each) => each.type === type)?.status;

  it('takes the containers of pods that are over before it evicts any, when the disk is short', async () => {
    await test.start();
    await test.create(makePod({ restartPolicy: 'Never' }, 'over'));
    test.cri.exit(test.cri.running()[0]?.status.id as string, 0);
    await test.create(makePod({}, 'runs'));
    await test.quiet();
    test.free.set('imagefs.available', { available: 10 * Mi, capacity: 8192 * Mi });
    await test.advance(10_000);
    const names = [...test.cri.containers.values()].map((each) => each.status.labels?.['io.kubernetes.pod.name']);
    expect(names).not.toContain('over');
    expect(test.pod('over')?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(0);
  });

  it('evicts the pod that upstream would, says why, and keeps out what it could not keep', async () => {
    await test.start();
    const requests = { requests: { memory: '64Mi' } };
    await test.create(makePod({ containers: [{ name: 'app', image: 'app:1', resources: requests }] }, 'modest'));
    await test.create(makePod({}, 'greedy'));
    test.free.set('memory.available', { available: 50 * Mi, capacity: 8192 * Mi });
    const use = (name: string, workingSetMi: number) => {
      const sandbox = [...test.cri.sandboxes.values()].find((each) => each.status.metadata?.name === name);
      return {
        attributes: { id: '', metadata: null, labels: sandbox?.status.labels ?? {}, annotations: {} },
        linux: { memory: { workingSetBytes: { value: workingSetMi * Mi } }, containers: [] },
      };
    };
    test.cri.stats = () => [use('modest', 60), use('greedy', 500)];
    test.cri.ignoreTermMs = 20_000;
    await test.advance(10_000);
    // Not over before its containers are.
    await test.advance(2000);
    const greedy = test.pod('greedy');
    expect(greedy?.status).toMatchObject({
      phase: 'Failed',
      reason: 'Evicted',
      message: 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ',
    });
    expect(greedy?.status?.conditions?.find((each) => each.type === 'DisruptionTarget')).toMatchObject({
      status: 'True',
      reason: 'TerminationByKubelet',
    });
    expect(test.pod('modest')?.status?.phase).toBe('Running');
    expect(nodeCondition('MemoryPressure')).toBe('True');
    expect(nodeCondition('Ready')).toBe('True');
    expect(test.events.find((each) => each.reason === 'Evicted')?.about).toBe('greedy');

    test.free.delete('memory.available');
    await test.create(makePod({}, 'late'));
    await test.quiet();
    expect(test.pod('late')?.status).toMatchObject({
      reason: 'Evicted',
      message: 'Pod was rejected: The node had condition: [MemoryPressure]. ',
    });
    await test.advance(6 * 60_000);
    expect(nodeCondition('MemoryPressure')).toBe('False');
  });

  it('ends its pods group by group when it is to end, and takes no new ones', async () => {
    const begins = new AbortController();
    let over = false;
    const shutdown = { begins: begins.signal, groups: groupsOf(30, 10), onOver: () => (over = true) };
    await test.start({ shutdown });
    await test.create(makePod({}, 'app'));
    await test.create(makePod({ priority: 2_000_001_000 }, 'critical'));
    test.cri.ignoreTermMs = 60_000;
    begins.abort();
    await test.advance(1000);
    await test.create(makePod({}, 'late'));
    expect(test.pod('late')?.status?.reason).toBe('NodeShutdown');
    expect(test.cri.running().length).toBe(2);
    expect(nodeCondition('Ready')).toBe('False');
    await test.advance(20_000);
    expect(test.pod('app')?.status).toMatchObject({
      phase: 'Failed',
      reason: 'Terminated',
      message: 'Pod was terminated in response to imminent node shutdown.',
    });
    expect(test.cri.running().length).toBe(1);
    await test.advance(11_000);
    expect(test.cri.running()).toEqual([]);
    expect(over).toBe(true);
  });
});
