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
    ['a field that is not supported', job({}, { backoffLimitPerIndex: 1 }), [], 0, 0],
    ['done', job({ conditions: [{ type: 'Complete', status: 'True' }] }), running, 0, 0],
  ])('%s', (_, given, pods, create, remove) => {
    const plan = planJob(given, pods, nowMs);
    expect([plan.create.length, plan.remove.length]).toEqual([create, remove]);
  });
});
