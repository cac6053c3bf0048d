import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive, isPodTerminal } from '../../api/pod-conditions.ts';
import type { Job } from '../../api/types/batch-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { rfc3339 } from '../parts/time.ts';
import { jobRef } from '../parts/workload-refs.ts';
import { type Harness, seededRandom, startHarness } from '../testing/harness.ts';
import { runJobController, runTtlAfterFinished } from './controller.ts';
import { formatIndexes, parseIndexes } from './indexes.ts';
import { completionIndex, isTracked } from './pods.ts';

const work = (spec: Partial<NonNullable<Job['spec']>> = {}): Job => ({
  metadata: { name: 'work', namespace: 'default' },
  spec: {
    parallelism: 1,
    completions: 1,
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    selector: { matchLabels: { 'batch.kubernetes.io/job-name': 'work' } },
    template: {
      metadata: { labels: { 'batch.kubernetes.io/job-name': 'work' } },
      spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] },
    },
    ...spec,
  },
});

const start = (options?: Parameters<typeof startHarness>[1]) =>
  startHarness([runJobController, runTtlAfterFinished], options);
const get = (harness: Harness) => harness.client.object<Job>(jobRef, 'default/work') as Job;
const pods = (harness: Harness) => harness.client.objects<Pod>(podKind);
const running = (harness: Harness) => pods(harness).filter(isPodActive);
const conditions = (harness: Harness) =>
  (get(harness).status?.conditions ?? []).map((each) => `${each.type}=${each.status} ${each.reason}`);
function end(harness: Harness, pod: Pod, exitCode = 0): void {
  harness.client.change<Pod>(podKind, keyOf(pod), (each) => {
    const finishedAt = rfc3339(harness.clock.now());
    const containerStatuses = [
      {
        name: 'c',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { terminated: { exitCode, finishedAt } },
      },
    ];
    return { ...each, status: { ...each.status, phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses } };
  });
}
const edit = (harness: Harness, change: (spec: NonNullable<Job['spec']>) => void) =>
  harness.client.change<Job>(jobRef, 'default/work', (job) => {
    change(job.spec as NonNullable<Job['spec']>);
    return job;
  });

describe('sets of indexes', () => {
  it.each([
    ['', ''],
    ['0', '0'],
    ['0,1', '0,1'],
    ['2,0,1', '0-2'],
    ['0-3,5,7,8', '0-3,5,7,8'],
    ['5-900', '5-9'],
    ['x,3', '3'],
  ])('%s is %s', (text, expected) => expect(formatIndexes(parseIndexes(text, 10))).toBe(expected));
});

describe('a Job', () => {
  it('runs its completions, counts them, and is complete', async () => {
    const harness = start();
    await harness.create(jobRef, work({ completions: 3, parallelism: 2 }));
    await harness.run();
    expect(running(harness)).toHaveLength(2);
    expect(pods(harness)[0]?.metadata.finalizers).toEqual(['batch.kubernetes.io/job-tracking']);
    expect(get(harness).status).toMatchObject({ active: 2, ready: 0, terminating: 0, startTime: expect.any(String) });
    for (let i = 0; i < 3; i++) {
      end(harness, running(harness)[0] as Pod);
      await harness.run();
    }
    expect(get(harness).status).toEqual({
      conditions: [
        expect.objectContaining({
          type: 'SuccessCriteriaMet',
          status: 'True',
          reason: 'CompletionsReached',
          message: 'Reached expected number of succeeded pods',
        }),
        expect.objectContaining({ type: 'Complete', status: 'True', reason: 'CompletionsReached' }),
      ],
      startTime: expect.any(String),
      completionTime: expect.any(String),
      succeeded: 3,
      ready: 0,
      terminating: 0,
      uncountedTerminatedPods: {},
    });
    expect(pods(harness).some(isTracked)).toBe(false);
    expect(harness.messages()).toContain('Completed: Job completed');
    harness.takeWrites();
    await harness.run(600_000);
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it('tries again after 10 s, 20 s, …, and gives up at its limit', async () => {
    const harness = start();
    await harness.create(jobRef, work({ backoffLimit: 2 }));
    await harness.run();
    for (const waitMs of [10_000, 20_000]) {
      end(harness, running(harness)[0] as Pod, 1);
      await harness.run(waitMs - 2_000);
      expect(running(harness)).toHaveLength(0);
      await harness.run(4_000);
      expect(running(harness)).toHaveLength(1);
    }
    end(harness, running(harness)[0] as Pod, 1);
    await harness.run(5_000);
    expect(conditions(harness)).toEqual([
      'FailureTarget=True BackoffLimitExceeded',
      'Failed=True BackoffLimitExceeded',
    ]);
    expect(get(harness).status?.failed).toBe(3);
    expect(harness.messages()).toContain('BackoffLimitExceeded: Job has reached the specified backoff limit');
    await harness.stop();
  });

  it('past its deadline ends what runs', async () => {
    const harness = start({ gracefulPods: true });
    await harness.create(jobRef, work({ activeDeadlineSeconds: 30 }));
    await harness.run(20_000);
    expect(running(harness)).toHaveLength(1);
    await harness.run(20_000);
    expect(running(harness)).toHaveLength(0);
    expect(conditions(harness)).toEqual(['FailureTarget=True DeadlineExceeded', 'Failed=True DeadlineExceeded']);
    await harness.stop();
  });

  it('is suspended and resumed', async () => {
    const harness = start();
    await harness.create(jobRef, work({ suspend: true }));
    await harness.run();
    expect(running(harness)).toHaveLength(0);
    expect(conditions(harness)).toEqual(['Suspended=True JobSuspended']);
    expect(get(harness).status?.startTime).toBeUndefined();
    edit(harness, (spec) => void (spec.suspend = false));
    await harness.run();
    expect(running(harness)).toHaveLength(1);
    expect(conditions(harness)).toEqual(['Suspended=False JobResumed']);
    edit(harness, (spec) => void (spec.suspend = true));
    await harness.run();
    expect(running(harness)).toHaveLength(0);
    await harness.stop();
  });

  it('Indexed gives each pod its index, once', async () => {
    const harness = start();
    await harness.create(jobRef, work({ completions: 4, parallelism: 3, completionMode: 'Indexed' }));
    await harness.run();
    expect(running(harness).map(completionIndex).sort()).toEqual([0, 1, 2]);
    const pod = running(harness).find((each) => completionIndex(each) === 1) as Pod;
    expect(pod.metadata.name).toMatch(/^work-1-[a-z0-9]{5}$/);
    expect(pod.metadata.labels).toMatchObject({ 'batch.kubernetes.io/job-completion-index': '1' });
    expect(pod.spec?.hostname).toBe('work-1');
    expect(pod.spec?.containers[0]?.env).toEqual([
      {
        name: 'JOB_COMPLETION_INDEX',
        valueFrom: {
          fieldRef: { apiVersion: 'v1', fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" },
        },
      },
    ]);
    end(harness, pod);
    await harness.run();
    expect(get(harness).status).toMatchObject({ completedIndexes: '1', succeeded: 1 });
    expect(running(harness).map(completionIndex).sort()).toEqual([0, 2, 3]);
    for (const each of running(harness)) end(harness, each);
    await harness.run();
    expect(get(harness).status?.completedIndexes).toBe('0-3');
    expect(conditions(harness)).toContain('Complete=True CompletionsReached');
    await harness.stop();
  });

  it('follows the failure policy and the success policy', async () => {
    const harness = start();
    const rules = [
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } },
    ];
    await harness.create(jobRef, work({ podFailurePolicy: { rules } }));
    await harness.run();
    const pod = running(harness)[0] as Pod;
    end(harness, pod, 42);
    await harness.run();
    expect(conditions(harness)).toEqual(['FailureTarget=True PodFailurePolicy', 'Failed=True PodFailurePolicy']);
    expect(get(harness).status?.conditions?.[0]?.message).toBe(
      `Container c for pod default/${pod.metadata.name} failed with exit code 42 matching FailJob rule at index 1`,
    );
    harness.client.change(jobRef, 'default/work', () => undefined);
    const successPolicy = { rules: [{ succeededIndexes: '1' }] };
    await harness.create(jobRef, work({ completions: 3, parallelism: 3, completionMode: 'Indexed', successPolicy }));
    await harness.run();
    end(harness, running(harness).find((each) => completionIndex(each) === 1) as Pod);
    await harness.run();
    expect(conditions(harness)).toEqual(['SuccessCriteriaMet=True SuccessPolicy', 'Complete=True SuccessPolicy']);
    await harness.stop();
  });

  it('is removed when its time to live after the end is over; pods of a Job that is gone are let go', async () => {
    const harness = start();
    await harness.create(jobRef, work({ ttlSecondsAfterFinished: 100 }));
    await harness.run();
    end(harness, running(harness)[0] as Pod);
    await harness.run(90_000);
    expect(get(harness).metadata.deletionTimestamp).toBeUndefined();
    await harness.run(20_000);
    expect(get(harness).metadata.deletionTimestamp).toBeDefined();
    harness.client.change(jobRef, 'default/work', () => undefined);
    await harness.create(jobRef, { ...work(), metadata: { name: 'other', namespace: 'default' } });
    await harness.run();
    harness.client.change(jobRef, 'default/other', () => undefined);
    await harness.run();
    expect(pods(harness).filter(isTracked)).toEqual([]);
    await harness.stop();
  });

  it('loses and doubles no completion, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), fc.boolean(), async (seed, indexed) => {
        const random = seededRandom(seed);
        let faulty = false;
        const fault = (share: number) => {
          if (faulty && random() < share) throw new NetworkError('lost');
        };
        const completions = 8;
        const harness = start({
          seed,
          watchDelayMs: random() < 0.5 ? 150 : 0,
          before: ({ ref }) => fault(ref.resource === 'events' ? 0 : 0.1),
          after: ({ ref }) => fault(ref.resource === 'events' ? 0 : 0.1),
        });
        const completionMode = indexed ? 'Indexed' : 'NonIndexed';
        await harness.create(jobRef, work({ completions, parallelism: 3, completionMode, backoffLimit: 1000 }));
        faulty = true;
        let ended = 0;
        for (let round = 0; round < 40; round++) {
          await harness.run(3_000);
          for (const pod of running(harness)) {
            if (random() < 0.4) continue;
            const fails = random() < 0.2;
            if (!fails) ended++;
            end(harness, pod, fails ? 1 : 0);
          }
          if (random() < 0.2) harness.client.dropWatches();
          if (random() < 0.2) harness.client.duplicateEvents(3);
          if (random() < 0.1) harness.client.compact();
        }
        faulty = false;
        for (let round = 0; round < 40 && !conditions(harness).some((each) => each.startsWith('Complete')); round++) {
          await harness.run(60_000);
          for (const pod of running(harness)) {
            ended++;
            end(harness, pod);
          }
        }
        expect(conditions(harness)).toContain('Complete=True CompletionsReached');
        expect([get(harness).status?.succeeded, ended]).toEqual([completions, completions]);
        const failed = pods(harness).filter((pod) => isPodTerminal(pod) && pod.status?.phase === 'Failed').length;
        expect(get(harness).status?.failed ?? 0).toBe(failed);
        expect(pods(harness).some(isTracked)).toBe(false);
        harness.takeWrites();
        await harness.run(120_000);
        expect(harness.takeWrites()).toEqual([]);
        await harness.stop();
      }),
      { numRuns: 25 },
    );
  }, 30_000);
});
