// The whole loop against an API in memory, in virtual time.
import { afterEach, expect, test } from 'vitest';
import { errors } from '../api/errors.ts';
import type { Node, Pod } from '../api/types/core-v1.ts';
import type { PodDisruptionBudget } from '../api/types/policy-v1.ts';
import { NetworkError } from '../client/port.ts';
import type { FakeRequest } from '../client/testing/fake-client.ts';
import { FakeClock, settle } from '../lib/clock.ts';
import { runScheduler } from './index.ts';
import { overcommitted } from './oracle.ts';
import * as refs from './refs.ts';
import { aNode, aPod, fakeApi } from './testing.ts';

let stop: (() => Promise<void>) | undefined;
afterEach(async () => {
  await stop?.();
  stop = undefined;
});

async function start(options: Parameters<typeof fakeApi>[1] = {}, nodes: Node[] = []) {
  const clock = new FakeClock();
  const api = fakeApi(clock, options);
  for (const node of nodes) await api.fake.resource<Node>(refs.nodes).create(node);
  const controller = new AbortController();
  const work = [api.context.informers.run(controller.signal), runScheduler(api.context, controller.signal)];
  stop = async () => {
    controller.abort();
    await Promise.all(work);
  };
  await run(clock, 0);
  return { ...api, clock };
}

async function run(clock: FakeClock, ms: number) {
  for (let i = 0; i < 20; i++) await settle();
  await clock.advance(ms);
  for (let i = 0; i < 20; i++) await settle();
}

const nodeOf = (pods: Pod[], name: string) => pods.find((each) => each.metadata.name === name)?.spec?.nodeName;
const isBinding = (request: FakeRequest) => request.subresource === 'binding';

test('a pod whose binding answer was lost stays where it is, and its room is not given away', async () => {
  let lost = 2;
  const after = (request: FakeRequest) => {
    if (isBinding(request) && lost-- > 0) throw new NetworkError('lost');
  };
  const { createPod, pods, clock } = await start({ after, watchDelayMs: 60_000 }, [
    aNode('n', { allocatable: { cpu: '1' } }),
  ]);
  await clock.advance(60_000);
  await createPod(aPod('a', {}, { cpu: '1' }));
  await createPod(aPod('b', {}, { cpu: '1' }));
  await run(clock, 300_000);
  expect(pods().filter((each) => each.spec?.nodeName === 'n')).toHaveLength(1);
});

test('a binding that fails is tried again until it holds', async () => {
  let failures = 7;
  const before = (request: FakeRequest) => {
    if (isBinding(request) && failures-- > 0) {
      throw failures % 2 ? errors.internal('broken') : errors.conflict(refs.pods, 'p', 'changed');
    }
  };
  const { createPod, pods, clock } = await start({ before }, [aNode('n')]);
  await createPod(aPod('p'));
  await run(clock, 120_000);
  expect(nodeOf(pods(), 'p')).toBe('n');
});

test('a gated pod waits outside until its last gate is gone', async () => {
  const { createPod, pods, clock, fake } = await start({}, [aNode('n')]);
  await createPod(aPod('p', { schedulingGates: [{ name: 'quota' }] }));
  await run(clock, 600_000);
  expect([nodeOf(pods(), 'p'), fake.writes.filter((each) => each.verb === 'patch')]).toEqual([undefined, []]);
  fake.change<Pod>(refs.pods, 'default/p', (pod) => ({ ...pod, spec: { ...pod.spec!, schedulingGates: [] } }));
  await run(clock, 0);
  expect(nodeOf(pods(), 'p')).toBe('n');
});

test('pods are bound by priority, and in order of arrival within it', async () => {
  const order: string[] = [];
  const after = (request: FakeRequest) => {
    if (isBinding(request)) order.push(request.name ?? '');
  };
  const { createPod, clock, fake } = await start({ after });
  for (const [name, priority] of [
    ['a', 0],
    ['b', 5],
    ['c', 0],
    ['d', 5],
  ] as const) {
    await createPod(aPod(name, { priority }));
  }
  // Past everyone's back-off, so that the node wakes them together.
  await run(clock, 10_000);
  await fake.resource<Node>(refs.nodes).create(aNode('n'));
  await run(clock, 60_000);
  expect(order).toEqual(['b', 'd', 'a', 'c']);
});

test('a pod that needs another beside it is placed as soon as that one is', async () => {
  const term = { topologyKey: 'host', labelSelector: { matchLabels: { app: 'db' } } };
  const affinity = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  const { createPod, pods, clock } = await start({}, [
    aNode('n1', { labels: { host: 'n1' } }),
    aNode('n2', { labels: { host: 'n2' } }),
  ]);
  await createPod(aPod('web', { affinity }));
  await run(clock, 5_000);
  const condition = pods()[0]?.status?.conditions?.[0];
  expect(condition?.message).toBe(
    "0/2 nodes are available: 2 node(s) didn't match pod affinity rules. " +
      'preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
  );
  const db = aPod('db', { nodeName: 'n2' });
  db.metadata.labels = { app: 'db' };
  await createPod(db);
  await run(clock, 20_000);
  expect(nodeOf(pods(), 'web')).toBe('n2');
});

test('a more important pod evicts the least that makes room, and is told so', async () => {
  const { createPod, pods, clock, events, fake } = await start({ gracefulPods: true }, [
    aNode('n1', { allocatable: { cpu: '2' } }),
    aNode('n2', { allocatable: { cpu: '2' } }),
  ]);
  const running = (name: string, nodeName: string, priority: number, cpu: string) =>
    createPod(aPod(name, { nodeName, priority }, { cpu }));
  await running('low', 'n1', 1, '1');
  await running('lower', 'n1', 0, '1');
  await running('high', 'n2', 9, '2');
  const vip = await createPod(aPod('vip', { priority: 10 }, { cpu: '1' }));
  await run(clock, 0);
  const lower = pods().find((each) => each.metadata.name === 'lower');
  expect(lower?.metadata.deletionTimestamp).toBeDefined();
  expect(lower?.status?.conditions).toMatchObject([
    { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' },
  ]);
  expect(events).toContainEqual({
    reason: 'Preempted',
    message: `Preempted by pod ${vip.metadata.uid} on node n1`,
    about: 'lower',
  });
  expect(pods().find((each) => each.metadata.name === 'vip')?.status).toMatchObject({ nominatedNodeName: 'n1' });
  // The room is kept for it: nobody of lower rank slips in.
  await createPod(aPod('thief', { priority: 5, preemptionPolicy: 'Never' }, { cpu: '1' }));
  fake.change<Pod>(refs.pods, 'default/lower', () => undefined);
  await run(clock, 30_000);
  expect([nodeOf(pods(), 'vip'), nodeOf(pods(), 'thief')]).toEqual(['n1', undefined]);
  expect(pods().filter((each) => each.metadata.deletionTimestamp)).toEqual([]);
});

test('a pod that may not preempt waits, and says why', async () => {
  const { createPod, pods, clock } = await start({}, [aNode('n', { allocatable: { cpu: '1' } })]);
  await createPod(aPod('low', { nodeName: 'n' }, { cpu: '1' }));
  await createPod(aPod('p', { priority: 10, preemptionPolicy: 'Never' }, { cpu: '1' }));
  await run(clock, 60_000);
  expect(pods().find((each) => each.metadata.name === 'p')?.status?.conditions?.[0]?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.',
  );
});

test('victims are taken where no disruption budget is broken', async () => {
  const { createPod, pods, clock, fake } = await start({}, [
    aNode('n1', { allocatable: { cpu: '1' } }),
    aNode('n2', { allocatable: { cpu: '1' } }),
  ]);
  await fake.resource<PodDisruptionBudget>(refs.disruptionBudgets, 'default').create({
    metadata: { name: 'b', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'guarded' } } },
  });
  fake.change<PodDisruptionBudget>(refs.disruptionBudgets, 'default/b', (each) => ({
    ...each,
    status: { disruptionsAllowed: 0 },
  }));
  const guarded = aPod('guarded', { nodeName: 'n1' }, { cpu: '1' });
  guarded.metadata.labels = { app: 'guarded' };
  await createPod(guarded);
  await createPod(aPod('other', { nodeName: 'n2', priority: 3 }, { cpu: '1' }));
  await createPod(aPod('vip', { priority: 10 }, { cpu: '1' }));
  await run(clock, 60_000);
  expect(pods().map((each) => [each.metadata.name, each.spec?.nodeName])).toEqual([
    ['guarded', 'n1'],
    ['vip', 'n2'],
  ]);
});

/** Numbers that look random and are the same each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test.each([1, 2, 3, 4, 5, 6])(
  'under faults no node is filled twice and every pod that fits is bound (%i)',
  async (seed) => {
    const random = seeded(seed);
    let calm = false;
    const fault = (share: number) => {
      if (calm || random() >= share) return;
      const error = [new NetworkError('lost'), errors.internal('broken'), errors.conflict(refs.pods, 'p', 'changed')];
      throw error[Math.floor(random() * 3)];
    };
    const { createPod, pods, clock, fake } = await start(
      {
        random,
        watchDelayMs: 20,
        before: (request) => {
          if (request.subresource) fault(0.3);
        },
        after: (request) => {
          if (isBinding(request)) fault(0.3);
        },
      },
      Array.from({ length: 5 }, (_, i) => aNode(`n${i}`, { allocatable: { cpu: '2' } })),
    );
    await run(clock, 100);
    let bindings = 0;
    for (let i = 0; i < 60; i++) {
      await createPod(aPod(`p${i}`, { priority: i % 3 === 0 ? 1 : 0, preemptionPolicy: 'Never' }, { cpu: '200m' }));
      if (random() < 0.2) fake.dropWatches();
      if (random() < 0.1) fake.compact();
      if (random() < 0.3) fake.duplicateEvents(5);
      if (random() < 0.3) {
        const running = pods().filter((each) => each.spec?.nodeName);
        const victim = running[Math.floor(random() * running.length)];
        if (victim) fake.change<Pod>(refs.pods, `default/${victim.metadata.name}`, () => undefined);
      }
      await run(clock, random() * 400);
      for (const node of fake.objects<Node>(refs.nodes)) {
        const there = pods().filter((each) => each.spec?.nodeName === node.metadata.name);
        bindings += there.length;
        expect(overcommitted(node, there)).toBe(false);
      }
    }
    expect(bindings).toBeGreaterThan(0);
    calm = true;
    await run(clock, 120_000);
    const left = pods().filter((each) => !each.spec?.nodeName).length;
    const free = 50 - (pods().length - left);
    expect(Math.min(left, free)).toBe(0);
  },
);
