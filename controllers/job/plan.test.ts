import { describe, expect, it } from 'vitest';
import type { Job, JobStatus } from '../../api/types/batch-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { rfc3339 } from '../parts/time.ts';
import { planJob } from './plan.ts';
import { trackingFinalizer } from './pods.ts';

const nowMs = Date.UTC(2026, 0, 1, 12);
const ago = (seconds: number) => rfc3339(nowMs - seconds * 1000);

function pod(uid: string, phase: string, facts: { untracked?: boolean; deleted?: boolean } = {}): Pod {
  const ended = [{ name: 'c', state: { terminated: { exitCode: phase === 'Failed' ? 1 : 0, finishedAt: ago(3600) } } }];
  return {
    metadata: {
      name: uid,
      namespace: 'ns',
      uid,
      creationTimestamp: ago(4000),
      finalizers: facts.untracked ? [] : [trackingFinalizer],
      ...(facts.deleted && { deletionTimestamp: ago(1) }),
    },
    status: { phase, containerStatuses: ended as NonNullable<Pod['status']>['containerStatuses'] },
  };
}
const job = (status: JobStatus, spec: Partial<NonNullable<Job['spec']>> = {}): Job => ({
  metadata: { name: 'work', namespace: 'ns', uid: 'job' },
  spec: { parallelism: 2, completions: 3, backoffLimit: 1, template: {}, ...spec },
  status: { startTime: ago(60), ...status },
});

describe('a pod that has ended', () => {
  const succeeded = { uncountedTerminatedPods: { succeeded: ['a'] } };
  it.each<[string, JobStatus, Pod[], Partial<JobStatus>, string[]]>([
    ['is noted first', {}, [pod('a', 'Succeeded')], { ...succeeded }, ['a']],
    ['is noted once', succeeded, [pod('a', 'Succeeded')], { ...succeeded }, ['a']],
    [
      'becomes a count when its finalizer is gone',
      succeeded,
      [pod('a', 'Succeeded', { untracked: true })],
      { succeeded: 1, uncountedTerminatedPods: {} },
      [],
    ],
    ['becomes a count when it is gone itself', succeeded, [], { succeeded: 1, uncountedTerminatedPods: {} }, []],
    [
      'is not counted again later',
      { succeeded: 1, uncountedTerminatedPods: {} },
      [pod('a', 'Succeeded', { untracked: true })],
      { succeeded: 1, uncountedTerminatedPods: {} },
      [],
    ],
    [
      'has failed when it is being deleted',
      {},
      [pod('a', 'Running', { deleted: true })],
      { uncountedTerminatedPods: { failed: ['a'] }, terminating: 1 },
      ['a'],
    ],
  ])('%s', (_, status, pods, expected, untracked) => {
    const plan = planJob(job(status), pods, nowMs);
    expect(plan.status).toMatchObject(expected);
    expect(plan.untrack.map((each) => each.metadata.uid)).toEqual(untracked);
  });
});

describe('how many pods run', () => {
  const running = [pod('a', 'Running'), pod('b', 'Running')];
  it.each<[string, Job, Pod[], number, number]>([
    ['as many as in parallel', job({}), [], 2, 0],
    ['no more than are missing', job({ succeeded: 2 }), [], 1, 0],
    ['enough', job({}), running, 0, 0],
    ['too many', job({ succeeded: 2 }), running, 0, 1],
    ['suspended', job({}, { suspend: true }), running, 0, 2],
    ['a work queue before its first success', job({}, { completions: undefined }), [], 2, 0],
    ['a work queue after it', job({ succeeded: 1 }, { completions: undefined }), [pod('a', 'Running')], 0, 0],
    ['beyond the back-off limit', job({ failed: 2 }), running, 0, 2],
    ['too late', job({}, { activeDeadlineSeconds: 60 }), running, 0, 2],
    ['done', job({ conditions: [{ type: 'Complete', status: 'True' }] }), running, 0, 0],
  ])('%s', (_, given, pods, create, remove) => {
    const plan = planJob(given, pods, nowMs);
    expect([plan.create.length, plan.remove.length]).toEqual([create, remove]);
  });
});

describe('a limit of failures for each index', () => {
  const failedPod = (uid: string, index: number, before: number, facts: { ended?: number; ignored?: number } = {}) => {
    const made = pod(uid, 'Failed');
    made.metadata.annotations = {
      'batch.kubernetes.io/job-completion-index': String(index),
      'batch.kubernetes.io/job-index-failure-count': String(before),
      ...(facts.ignored && { 'batch.kubernetes.io/job-index-ignored-failure-count': String(facts.ignored) }),
    };
    const status = made.status?.containerStatuses?.[0];
    if (status?.state?.terminated) status.state.terminated.finishedAt = ago(facts.ended ?? 3600);
    return made;
  };
  const running = (uid: string, index: number, before: number) => {
    const made = failedPod(uid, index, before);
    made.status = { phase: 'Running' };
    return made;
  };
  const indexed = (status: JobStatus, spec: Partial<NonNullable<Job['spec']>> = {}) =>
    job(status, {
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 3,
      backoffLimit: 2 ** 31 - 1,
      backoffLimitPerIndex: 1,
      ...spec,
    });
  const policy = (action: string) => ({
    podFailurePolicy: { rules: [{ action, onExitCodes: { operator: 'In', values: [1] } }] },
  });

  it.each<[string, Job, Pod[], { create: number[]; untrack: string[]; failedIndexes: string; target?: string }]>([
    [
      'is tried again, and the failed pod stays until the next one has counted it',
      indexed({}),
      [failedPod('a', 0, 0), running('b', 1, 0), running('c', 2, 0)],
      { create: [0], untrack: [], failedIndexes: '' },
    ],
    [
      'which lets the failed pod go',
      indexed({ uncountedTerminatedPods: { failed: ['a'] } }),
      [failedPod('a', 0, 0), running('a2', 0, 1), running('b', 1, 0), running('c', 2, 0)],
      { create: [], untrack: ['a'], failedIndexes: '' },
    ],
    [
      'fails when its limit is reached, while others go on',
      indexed({}),
      [failedPod('a', 0, 1), running('b', 1, 0), running('c', 2, 0)],
      { create: [], untrack: ['a'], failedIndexes: '0' },
    ],
    [
      'waits for its back-off',
      indexed({}),
      [failedPod('a', 0, 0, { ended: 4 }), running('b', 1, 0), running('c', 2, 0)],
      { create: [], untrack: [], failedIndexes: '' },
    ],
    [
      'fails at once where the policy says so',
      indexed({}, policy('FailIndex')),
      [failedPod('a', 0, 0), running('b', 1, 0), running('c', 2, 0)],
      { create: [], untrack: ['a'], failedIndexes: '0' },
    ],
    [
      'is not counted where the policy says so',
      indexed({}, policy('Ignore')),
      [failedPod('a', 0, 1), running('b', 1, 0), running('c', 2, 0)],
      { create: [0], untrack: [], failedIndexes: '' },
    ],
    [
      'fails the Job when all indexes are done',
      indexed({ completedIndexes: '1,2', failedIndexes: '0' }),
      [],
      { create: [], untrack: [], failedIndexes: '0', target: 'FailedIndexes: Job has failed indexes' },
    ],
    [
      'fails the Job when too many have failed',
      indexed({ failedIndexes: '0,2' }, { maxFailedIndexes: 1 }),
      [running('b', 1, 0)],
      {
        create: [],
        untrack: [],
        failedIndexes: '0,2',
        target: 'MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed indexes',
      },
    ],
  ])('%s', (_, given, pods, expected) => {
    const plan = planJob(given, pods, nowMs);
    const target = plan.status.conditions?.find((each) => each.type === 'FailureTarget');
    expect({
      create: plan.create,
      untrack: plan.untrack.map((each) => each.metadata.uid),
      failedIndexes: plan.status.failedIndexes,
      ...(target && { target: `${target.reason}: ${target.message}` }),
    }).toEqual(expected);
  });

  it('tells the next pod how often its index has failed', () => {
    expect(planJob(indexed({}), [failedPod('a', 0, 0)], nowMs).failuresOf?.(0)).toEqual({ counted: 1, ignored: 0 });
    const ignoring = indexed({}, policy('Ignore'));
    expect(planJob(ignoring, [failedPod('a', 0, 1)], nowMs).failuresOf?.(0)).toEqual({ counted: 1, ignored: 1 });
    expect(planJob(indexed({}), [], nowMs).failuresOf?.(2)).toEqual({ counted: 0, ignored: 0 });
  });
});
