import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive, isPodReady } from '../../api/pod-conditions.ts';
import type { ControllerRevision, DaemonSet } from '../../api/types/apps-v1.ts';
import type { Node, Pod, Taint } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { controllerRevisionRef, daemonSetRef } from '../parts/workload-refs.ts';
import { type Harness, readyStatus, seededRandom, startHarness } from '../testing/harness.ts';
import { runDaemonSetController } from './controller.ts';
import { nodeFit } from './node-fit.ts';
import { nodeOf } from './plan.ts';

const agent = (more: Partial<NonNullable<DaemonSet['spec']>> = {}): DaemonSet => ({
  metadata: { name: 'agent', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } },
    ...more,
  },
});
const node = (name: string, taints?: Taint[]): Node => ({
  metadata: { name, labels: { disk: 'ssd' } },
  spec: { taints },
});
const start = (options?: Parameters<typeof startHarness>[1]) => startHarness([runDaemonSetController], options);
const get = (harness: Harness) => harness.client.object<DaemonSet>(daemonSetRef, 'default/agent') as DaemonSet;
const pods = (harness: Harness) => harness.client.objects<Pod>(podKind);
const places = (harness: Harness) => pods(harness).filter(isPodActive).map(nodeOf).sort();
const images = (harness: Harness) => pods(harness).map((pod) => pod.spec?.containers[0]?.image);
const makeReady = (harness: Harness, pod: Pod) =>
  harness.client.change<Pod>(podKind, keyOf(pod), (each) =>
    readyStatus(
      { ...each, spec: { ...(each.spec as NonNullable<Pod['spec']>), nodeName: nodeOf(each) } },
      harness.clock.now(),
    ),
  );
async function ready(harness: Harness, rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await harness.run(500);
    for (const pod of pods(harness)) if (isPodActive(pod) && !isPodReady(pod)) makeReady(harness, pod);
  }
  await harness.run();
}
const setImage = (harness: Harness, image: string) =>
  harness.client.change<DaemonSet>(daemonSetRef, 'default/agent', (each) => {
    for (const container of each.spec?.template.spec?.containers ?? []) container.image = image;
    return each;
  });

describe('which nodes', () => {
  const taint = (effect: string, key = 'k') => ({ key, effect });
  it.each([
    ['plain', {}, [], [true, true]],
    ['selected', { nodeSelector: { disk: 'ssd' } }, [], [true, true]],
    ['not selected', { nodeSelector: { disk: 'hdd' } }, [], [false, false]],
    ['NoSchedule', {}, [taint('NoSchedule')], [false, true]],
    ['NoExecute', {}, [taint('NoExecute')], [false, false]],
    ['tolerated', { tolerations: [{ operator: 'Exists' }] }, [taint('NoExecute')], [true, true]],
    ['cordoned', {}, [taint('NoSchedule', 'node.kubernetes.io/unschedulable')], [true, true]],
    ['not ready', {}, [taint('NoExecute', 'node.kubernetes.io/not-ready')], [true, true]],
    ['by name', { nodeName: 'b' }, [], [false, false]],
  ])('%s', (_, spec, taints, [shouldRun, mayStay]) => {
    expect(nodeFit({ containers: [], ...spec }, node('a', taints))).toEqual({ shouldRun, mayStay });
  });
});

describe('a DaemonSet', () => {
  it('runs one pod on each node it fits, as nodes come and go', async () => {
    const harness = start();
    await harness.create(nodeKind, node('a'));
    await harness.create(nodeKind, node('b'));
    await harness.create(daemonSetRef, agent());
    await ready(harness);
    expect(places(harness)).toEqual(['a', 'b']);
    expect(get(harness).status).toMatchObject({
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      numberReady: 2,
      numberAvailable: 2,
      updatedNumberScheduled: 2,
      numberMisscheduled: 0,
    });
    const [pod] = pods(harness) as [Pod];
    const [revision] = harness.client.objects<ControllerRevision>(controllerRevisionRef) as [ControllerRevision];
    expect(pod.metadata.labels?.['controller-revision-hash']).toBe(
      revision.metadata.labels?.['controller-revision-hash'],
    );
    expect(pod.spec?.tolerations?.map((each) => each.key)).toContain('node.kubernetes.io/unschedulable');
    await harness.create(nodeKind, node('c'));
    await ready(harness);
    expect(places(harness)).toEqual(['a', 'b', 'c']);
    harness.client.change<Node>(nodeKind, 'b', (each) => ({
      ...each,
      spec: { taints: [{ key: 'k', effect: 'NoExecute' }] },
    }));
    await ready(harness);
    expect(places(harness)).toEqual(['a', 'c']);
    harness.takeWrites();
    await harness.run(60_000);
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it('rolls over one node at a time, and back', async () => {
    const harness = start();
    for (const name of ['a', 'b', 'c']) await harness.create(nodeKind, node(name));
    await harness.create(daemonSetRef, agent());
    await ready(harness);
    setImage(harness, 'i:2');
    for (let i = 0; i < 20; i++) {
      await harness.run(200);
      expect(pods(harness).filter(isPodReady).length).toBeGreaterThanOrEqual(2);
      const waiting = pods(harness).find((pod) => !isPodReady(pod));
      if (waiting) makeReady(harness, waiting);
    }
    expect(images(harness)).toEqual(['i:2', 'i:2', 'i:2']);
    setImage(harness, 'i:1');
    await ready(harness, 20);
    expect(images(harness)).toEqual(['i:1', 'i:1', 'i:1']);
    const numbers = harness.client.objects<ControllerRevision>(controllerRevisionRef).map((each) => each.revision);
    expect(numbers.sort()).toEqual([2, 3]);
    await harness.stop();
  });

  it('surges: the old pod goes when the new one is available; OnDelete waits', async () => {
    const harness = start();
    await harness.create(nodeKind, node('a'));
    const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
    await harness.create(daemonSetRef, agent({ updateStrategy: { type: 'RollingUpdate', rollingUpdate } }));
    await ready(harness);
    setImage(harness, 'i:2');
    await harness.run();
    expect(images(harness).sort()).toEqual(['i:1', 'i:2']);
    await ready(harness);
    expect(images(harness)).toEqual(['i:2']);
    harness.client.change<DaemonSet>(daemonSetRef, 'default/agent', (each) => {
      (each.spec as { updateStrategy: object }).updateStrategy = { type: 'OnDelete' };
      return each;
    });
    setImage(harness, 'i:3');
    await ready(harness);
    expect(images(harness)).toEqual(['i:2']);
    harness.client.change<Pod>(podKind, keyOf(pods(harness)[0] as Pod), () => undefined);
    await ready(harness);
    expect(images(harness)).toEqual(['i:3']);
    await harness.stop();
  });

  it('replaces a pod that ended, ever more slowly', async () => {
    const harness = start();
    await harness.create(nodeKind, node('a'));
    await harness.create(daemonSetRef, agent());
    for (let i = 0; i < 600; i++) {
      await harness.run(100);
      for (const pod of pods(harness))
        if (isPodActive(pod))
          harness.client.change<Pod>(podKind, keyOf(pod), (each) => ({ ...each, status: { phase: 'Failed' } }));
    }
    const created = harness.client.writes.filter(
      (each) => each.verb === 'create' && each.ref.resource === 'pods',
    ).length;
    expect(created).toBeGreaterThan(3);
    expect(created).toBeLessThan(10);
    expect(
      harness.messages().some((each) => each.startsWith('FailedDaemonPod: Found failed daemon pod default/agent-')),
    ).toBe(true);
    await harness.stop();
  });

  it('ends right, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), async (seed) => {
        const random = seededRandom(seed);
        let faulty = false;
        const fault = (resource: string) => {
          if (faulty && resource !== 'events' && random() < 0.1) throw new NetworkError('lost');
        };
        const harness = start({
          seed,
          watchDelayMs: random() < 0.5 ? 150 : 0,
          before: ({ ref }) => fault(ref.resource),
          after: ({ ref }) => fault(ref.resource),
        });
        for (const name of ['a', 'b', 'c']) await harness.create(nodeKind, node(name));
        await harness.create(daemonSetRef, agent());
        for (let round = 0; round < 12; round++) {
          faulty = true;
          await ready(harness, 2);
          if (random() < 0.4) setImage(harness, `i:${Math.floor(random() * 3)}`);
          const victim = pods(harness)[Math.floor(random() * 4)];
          if (victim && random() < 0.4) harness.client.change<Pod>(podKind, keyOf(victim), () => undefined);
          if (random() < 0.3) harness.client.dropWatches();
          if (random() < 0.3) harness.client.duplicateEvents(3);
          if (random() < 0.2) harness.client.compact();
        }
        faulty = false;
        setImage(harness, 'i:last');
        for (let round = 0; round < 8; round++) {
          await harness.run(70_000);
          await ready(harness, 3);
        }
        expect(places(harness)).toEqual(['a', 'b', 'c']);
        expect(images(harness)).toEqual(['i:last', 'i:last', 'i:last']);
        expect(get(harness).status).toMatchObject({ numberAvailable: 3, updatedNumberScheduled: 3 });
        harness.takeWrites();
        await harness.run(120_000);
        expect(harness.takeWrites()).toEqual([]);
        await harness.stop();
      }),
      { numRuns: 12 },
    );
  }, 30_000);
});
