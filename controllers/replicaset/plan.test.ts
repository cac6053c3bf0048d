import { describe, expect, it } from 'vitest';
import type { ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { rfc3339 } from '../parts/time.ts';
import { nextAvailableInMs, planReplicas, rankForDeletion, replicaSetStatus } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 1, 12);
const ago = (seconds: number) => rfc3339(nowMs - seconds * 1000);

interface Facts {
  node?: string | null;
  phase?: string;
  ready?: boolean;
  readyAgo?: number;
  createdAgo?: number;
  restarts?: number;
  cost?: string;
  terminating?: boolean;
}

const pod = (name: string, facts: Facts = {}): Pod => ({
  metadata: {
    name,
    namespace: 'ns',
    uid: `uid-${name}`,
    labels: { app: 'web' },
    creationTimestamp: ago(facts.createdAgo ?? 3600),
    ...(facts.cost && { annotations: { 'controller.kubernetes.io/pod-deletion-cost': facts.cost } }),
    ...(facts.terminating && { deletionTimestamp: ago(1) }),
  },
  spec: { containers: [], ...(facts.node !== null && { nodeName: facts.node ?? 'node-a' }) },
  status: {
    phase: facts.phase ?? 'Running',
    conditions: [
      {
        type: 'Ready',
        status: facts.ready === false ? 'False' : 'True',
        lastTransitionTime: ago(facts.readyAgo ?? 1800),
      },
    ],
    containerStatuses: [{ name: 'c', restartCount: facts.restarts ?? 0, image: '', imageID: '', ready: true }],
  },
});

const set = (replicas: number, more: Partial<ReplicaSet> = {}): ReplicaSet => ({
  metadata: { name: 'web', namespace: 'ns', uid: 'set', generation: 3 },
  spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } } } },
  ...more,
});

describe('how many pods', () => {
  it.each([
    ['none yet', 3, [], 3, []],
    ['enough', 1, [pod('a')], 0, []],
    ['terminating ones do not count', 2, [pod('a'), pod('b', { terminating: true })], 1, []],
    ['ended ones do not count', 1, [pod('a', { phase: 'Failed' })], 1, []],
    ['too many', 1, [pod('a'), pod('b', { ready: false }), pod('c', { phase: 'Pending' })], 0, ['c', 'b']],
    ['to zero', 0, [pod('a')], 0, ['a']],
    ['a burst at most', 2000, [], 500, []],
  ] as const)('%s', (_, replicas, pods, create, remove) => {
    const plan = planReplicas(set(replicas), pods, pods, nowMs);
    expect([plan.create, plan.remove.map((each) => each.metadata.name)]).toEqual([create, remove]);
  });

  it('nothing, once it is being deleted itself', () => {
    const deleted = set(3, { metadata: { name: 'web', deletionTimestamp: ago(1) } });
    expect(planReplicas(deleted, [], [], nowMs)).toEqual({ create: 0, remove: [] });
  });
});

describe('which pod goes first', () => {
  it.each([
    ['not placed before placed', pod('x', { node: null }), pod('y')],
    ['pending before running', pod('x', { phase: 'Pending' }), pod('y')],
    ['not ready before ready', pod('x', { ready: false }), pod('y')],
    ['lower deletion cost', pod('x', { cost: '-5' }), pod('y')],
    ['ready for a shorter time', pod('x', { readyAgo: 5 }), pod('y', { readyAgo: 5000 })],
    ['more restarts', pod('x', { restarts: 3 }), pod('y', { restarts: 1 })],
    ['younger', pod('x', { createdAgo: 60 }), pod('y', { createdAgo: 9000 })],
    ['phase weighs more than cost', pod('x', { phase: 'Pending', cost: '100' }), pod('y', { cost: '-100' })],
  ])('%s', (_, first, second) => {
    expect(rankForDeletion([second, first], [first, second], nowMs)[0]).toBe(first);
    expect(rankForDeletion([first, second], [first, second], nowMs)[0]).toBe(first);
  });

  it('one of those that share a node, counting the whole family', () => {
    const own = [pod('a', { node: 'n1' }), pod('b', { node: 'n2' })];
    const related = [...own, pod('other', { node: 'n2' })];
    expect(rankForDeletion(own, related, nowMs)[0]?.metadata.name).toBe('b');
  });

  it('ages of the same magnitude are equal: the uid decides', () => {
    const [a, b] = [pod('a', { readyAgo: 4000 }), pod('b', { readyAgo: 3990 })];
    expect(rankForDeletion([b, a], [a, b], nowMs)[0]).toBe(a);
  });
});

describe('status', () => {
  it('counts, leaves zeros out, and waits for minReadySeconds', () => {
    const pods = [pod('a'), pod('b', { ready: false }), pod('c', { readyAgo: 10 }), pod('d', { terminating: true })];
    const waiting = set(3);
    (waiting.spec as { minReadySeconds?: number }).minReadySeconds = 60;
    expect(replicaSetStatus(waiting, pods, undefined, nowMs)).toEqual({
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 1,
      observedGeneration: 3,
    });
    expect(nextAvailableInMs(waiting, pods.slice(0, 3), nowMs)).toBe(50_000);
    expect(replicaSetStatus(set(0), [], undefined, nowMs)).toEqual({
      replicas: 0,
      terminatingReplicas: 0,
      observedGeneration: 3,
    });
  });

  it('keeps the time of a failure that goes on and drops one that is over', () => {
    const failure = { reason: 'FailedCreate', message: 'quota' } as const;
    const failed = replicaSetStatus(set(1), [], failure, nowMs);
    expect(failed.conditions).toEqual([
      { type: 'ReplicaFailure', status: 'True', lastTransitionTime: rfc3339(nowMs), ...failure },
    ]);
    const later = replicaSetStatus(set(1, { status: failed }), [], failure, nowMs + 60_000);
    expect(later.conditions).toEqual(failed.conditions);
    expect(replicaSetStatus(set(1, { status: failed }), [], undefined, nowMs)).not.toHaveProperty('conditions');
  });
});
