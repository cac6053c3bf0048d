import { describe, expect, it } from 'vitest';
import { lease as leaseKind } from '../../api/kinds/lease.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { isPodReady } from '../../api/pod-conditions.ts';
import type { Lease } from '../../api/types/coordination-v1.ts';
import type { Node, Pod, Toleration } from '../../api/types/core-v1.ts';
import { microTime, NetworkError } from '../../client/index.ts';
import { type Harness, readyStatus, startHarness } from '../testing/harness.ts';
import { runNodeLifecycleController } from './controller.ts';
import { tolerates } from '../../api/node-rules.ts';
import { planEviction, plannedTaints, unknownConditions } from './plan.ts';
import { runPodGarbageCollector, surplusTerminated } from './pod-gc.ts';
import { runTaintEviction } from './taint-eviction.ts';

const node = (name = 'node-a', ready = 'True', more: Partial<Node['spec']> = {}): Node => ({
  metadata: { name },
  spec: { ...more },
  status: {
    conditions: [
      {
        type: 'Ready',
        status: ready,
        lastHeartbeatTime: '2026-01-01T00:00:00Z',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  },
});
const pod = (name: string, nodeName = 'node-a', tolerations: Toleration[] = []): Pod =>
  readyStatus({ metadata: { name, namespace: 'default' }, spec: { containers: [], nodeName, tolerations } }, 0);

describe('taints', () => {
  const keys = (found: Node) => plannedTaints(found, 0)?.map((each) => `${each.key.split('/')[1]}:${each.effect}`);
  it.each([
    ['ready', node(), undefined],
    ['not ready', node('n', 'False'), ['not-ready:NoSchedule', 'not-ready:NoExecute']],
    ['unknown', node('n', 'Unknown'), ['unreachable:NoSchedule', 'unreachable:NoExecute']],
    ['cordoned', node('n', 'True', { unschedulable: true }), ['unschedulable:NoSchedule']],
    ['never reported', { metadata: { name: 'n' } } as Node, ['not-ready:NoSchedule']],
  ])('of a node that is %s', (_, found, wanted) => {
    expect(keys(found)).toEqual(wanted);
  });

  it('of others stay, ours go when they no longer hold', () => {
    const taints = [
      { key: 'example.com/gpu', effect: 'NoSchedule' },
      { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' },
    ];
    expect(plannedTaints(node('n', 'True', { taints }), 0)).toEqual([taints[0]]);
    expect(plannedTaints(node('n', 'False', { taints }), 0)?.[1]).toEqual(taints[1]);
  });
});

describe('eviction', () => {
  const taint = { key: 'k', value: 'v', effect: 'NoExecute', timeAdded: '1970-01-01T00:00:10Z' };
  it.each([
    ['no toleration', [], { kind: 'evict' }],
    ['for ever', [{ key: 'k', operator: 'Exists' }], { kind: 'stay' }],
    [
      'for a while, from when the taint was added',
      [{ key: 'k', operator: 'Exists', tolerationSeconds: 300 }],
      { kind: 'evictAt', atMs: 310_000 },
    ],
    ['the while is over', [{ key: 'k', operator: 'Exists', tolerationSeconds: 5 }], { kind: 'evict' }],
    [
      'the shortest counts',
      [{ operator: 'Exists' }, { key: 'k', value: 'v', tolerationSeconds: 60 }],
      { kind: 'evictAt', atMs: 70_000 },
    ],
    ['another value', [{ key: 'k', value: 'w' }], { kind: 'evict' }],
  ])('%s', (_, tolerations, wanted) => {
    expect(planEviction(pod('p', 'n', tolerations), [taint], 20_000)).toEqual(wanted);
  });

  it('is for NoExecute only', () => {
    expect(planEviction(pod('p'), [{ key: 'k', effect: 'NoSchedule' }], 0)).toEqual({ kind: 'stay' });
    expect(tolerates({ operator: 'Equal' }, taint)).toBe(false);
  });
});

describe('the life of a node', () => {
  const start = () => startHarness([runNodeLifecycleController, runTaintEviction], {});
  const get = (harness: Harness) => harness.client.object<Node>(nodeKind, 'node-a') as Node;
  const beat = async (harness: Harness) => {
    harness.client.change<Lease>(leaseKind, 'kube-node-lease/node-a', (each) => ({
      ...each,
      spec: { renewTime: microTime(harness.clock.now()) },
    }));
    await harness.run(10_000);
  };
  const readyOf = (harness: Harness) => get(harness).status?.conditions?.find((each) => each.type === 'Ready');

  it('goes on with its lease, becomes Unknown 40 s after the last sign, drives pods out, and recovers', async () => {
    const harness = start();
    await harness.create(leaseKind, { metadata: { name: 'node-a', namespace: 'kube-node-lease' }, spec: {} } as Lease);
    await harness.create(nodeKind, node());
    await harness.create(
      podKind,
      pod('soon', 'node-a', [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', tolerationSeconds: 30 }]),
    );
    await harness.create(podKind, pod('never', 'node-a', [{ operator: 'Exists' }]));
    for (let i = 0; i < 12; i++) await beat(harness);
    expect(readyOf(harness)?.status).toBe('True');
    expect(harness.takeWrites().filter((write) => !write.startsWith('create'))).toEqual([]);
    await harness.run(25_000);
    expect(readyOf(harness)?.status).toBe('True');
    await harness.run(10_000);
    expect(readyOf(harness)).toMatchObject({
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
    });
    expect(get(harness).spec?.taints?.map((each) => each.effect)).toEqual(['NoSchedule', 'NoExecute']);
    expect(harness.client.objects<Pod>(podKind).filter(isPodReady)).toEqual([]);
    expect(harness.client.objects(podKind)).toHaveLength(2);
    await harness.run(31_000);
    expect(harness.client.objects(podKind).map((each) => each.metadata.name)).toEqual(['never']);
    expect(harness.messages()).toContain('TaintManagerEviction: Marking for deletion Pod default/soon');
    harness.client.change<Node>(nodeKind, 'node-a', (each) => ({ ...each, status: node().status }));
    await beat(harness);
    expect(get(harness).spec?.taints ?? []).toEqual([]);
    harness.takeWrites();
    harness.client.compact();
    harness.client.dropWatches();
    await harness.run(20_000);
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it.each([5, -5])('is judged by the time that passes, not by a clock that is set by %d hours', async (hours) => {
    const harness = start();
    await harness.create(leaseKind, { metadata: { name: 'node-a', namespace: 'kube-node-lease' }, spec: {} } as Lease);
    await harness.create(nodeKind, node());
    await harness.create(
      podKind,
      pod('soon', 'node-a', [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', tolerationSeconds: 30 }]),
    );
    await beat(harness);
    harness.clock.jump(hours * 3600_000);
    await harness.run(29_000);
    expect(readyOf(harness)?.status).toBe('True');
    await harness.run(2_000);
    expect(readyOf(harness)?.status).toBe('Unknown');
    harness.clock.jump(hours * 3600_000);
    await harness.run(27_000);
    expect(harness.client.objects(podKind)).toHaveLength(1);
    await harness.run(4_000);
    expect(harness.client.objects(podKind)).toEqual([]);
    await harness.stop();
  });

  it('marks its pods once when it says that it is not ready, and leaves the rest to its kubelet', async () => {
    const harness = start();
    await harness.create(nodeKind, node());
    await harness.create(podKind, pod('p', 'node-a', [{ operator: 'Exists' }]));
    await harness.run();
    harness.client.change<Node>(nodeKind, 'node-a', (each) => ({ ...each, status: node('node-a', 'False').status }));
    await harness.run();
    const isReady = () => isPodReady(harness.client.object<Pod>(podKind, 'default/p') as Pod);
    expect(isReady()).toBe(false);
    harness.client.change<Pod>(podKind, 'default/p', (each) => readyStatus(each, harness.clock.now()));
    harness.client.change<Node>(nodeKind, 'node-a', (each) => ({
      ...each,
      metadata: { ...each.metadata, labels: { a: 'b' } },
    }));
    await harness.run();
    expect(isReady()).toBe(true);
    await harness.stop();
  });

  it('is not judged by a silence in which nobody could speak', async () => {
    let down = false;
    const harness = startHarness([runNodeLifecycleController], {
      before: () => {
        if (down) throw new NetworkError('connection refused');
      },
    });
    await harness.create(leaseKind, { metadata: { name: 'node-a', namespace: 'kube-node-lease' }, spec: {} } as Lease);
    await harness.create(nodeKind, node());
    await harness.run();
    down = true;
    harness.client.dropWatches();
    await harness.run(300_000);
    down = false;
    await harness.run(30_000);
    expect(readyOf(harness)?.status).toBe('True');
    await beat(harness);
    await harness.run(25_000);
    expect(readyOf(harness)?.status).toBe('True');
    await harness.run(60_000);
    expect(readyOf(harness)?.status).toBe('Unknown');
    await harness.stop();
  });

  it('is Unknown as a whole when the kubelet never reported', () => {
    const silent = unknownConditions({ metadata: { name: 'n', creationTimestamp: '2026-01-01T00:00:00Z' } }, 0);
    expect(silent?.map((each) => `${each.type} ${each.reason}`)).toEqual([
      'Ready NodeStatusNeverUpdated',
      'MemoryPressure NodeStatusNeverUpdated',
      'DiskPressure NodeStatusNeverUpdated',
      'PIDPressure NodeStatusNeverUpdated',
    ]);
    expect(unknownConditions({ metadata: { name: 'n' }, status: { conditions: silent } }, 0)).toBeUndefined();
  });
});

describe('pods that nobody else removes', () => {
  it('go when their node is gone for good, not before', async () => {
    const harness = startHarness([runPodGarbageCollector], { gracefulPods: true });
    await harness.create(nodeKind, node());
    await harness.create(nodeKind, node('node-b'));
    await harness.create(podKind, pod('a'));
    await harness.create(podKind, pod('b', 'node-b'));
    await harness.run();
    harness.client.change(nodeKind, 'node-a', () => undefined);
    await harness.run(30_000);
    expect(harness.client.objects(podKind)).toHaveLength(2);
    await harness.run(15_000);
    expect(harness.client.objects(podKind).map((each) => each.metadata.name)).toEqual(['b']);
    harness.client.change(nodeKind, 'node-b', () => undefined);
    await harness.run(20_000);
    await harness.create(nodeKind, node('node-b'));
    await harness.run(60_000);
    expect(harness.client.objects(podKind)).toHaveLength(1);
    await harness.stop();
  });

  it('and the oldest ended ones above the threshold', () => {
    const ended = (name: string, second: number): Pod => ({
      metadata: { name, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
      status: { phase: 'Succeeded' },
    });
    const pods = [ended('c', 3), ended('a', 1), pod('running'), ended('b', 2)];
    expect(surplusTerminated(pods, 1).map((each) => each.metadata.name)).toEqual(['a', 'b']);
    expect(surplusTerminated(pods, 3)).toEqual([]);
  });
});
