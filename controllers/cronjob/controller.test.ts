import { describe, expect, it } from 'vitest';
import type { CronJob, Job } from '../../api/types/batch-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { rfc3339 } from '../parts/time.ts';
import { cronJobRef, jobRef } from '../parts/workload-refs.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { runCronJobController } from './controller.ts';
import { parseSchedule } from './schedule.ts';

describe('schedules', () => {
  it.each([
    ['* * * * *', 'UTC', '2026-01-01T00:00:30Z', '2026-01-01T00:01:00Z'],
    ['*/15 * * * *', 'UTC', '2026-01-01T00:15:00Z', '2026-01-01T00:30:00Z'],
    ['5 4 * * sun', 'UTC', '2026-01-01T00:00:00Z', '2026-01-04T04:05:00Z'],
    ['0 0 31 * *', 'UTC', '2026-02-01T00:00:00Z', '2026-03-31T00:00:00Z'],
    ['0 0 13 * fri', 'UTC', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'],
    ['0 22 * jan-mar 1-5', 'UTC', '2026-03-31T23:00:00Z', '2027-01-01T22:00:00Z'],
    ['0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 0 31 2 *', 'UTC', '2026-01-01T00:00:00Z', undefined],
    ['@hourly', 'UTC', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z'],
    ['@weekly', 'UTC', '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z'],
    ['@every 1h30m', 'UTC', '2026-01-01T00:00:10Z', '2026-01-01T01:30:10Z'],
    ['0 9 * * *', 'Asia/Kolkata', '2026-01-01T00:00:00Z', '2026-01-01T03:30:00Z'],
    ['0 9 * * *', 'America/New_York', '2026-07-01T00:00:00Z', '2026-07-01T13:00:00Z'],
    // Clocks go from 2:00 to 3:00 on 8 March: 2:30 does not happen.
    ['30 2 * * *', 'America/New_York', '2026-03-07T12:00:00Z', '2026-03-09T06:30:00Z'],
    // Clocks go from 2:00 back to 1:00 on 1 November: 1:30 happens twice.
    ['30 1 * * *', 'America/New_York', '2026-11-01T05:30:00Z', '2026-11-01T06:30:00Z'],
  ])('%s in %s after %s', (text, zone, after, expected) => {
    const next = parseSchedule(text, zone).next(Date.parse(after));
    expect(next === undefined ? undefined : rfc3339(next)).toBe(expected);
  });

  it.each(['* * * *', '60 * * * *', '* * * * 8', '*/0 * * * *', '5-1 * * * *', '@sometimes', 'a * * * *', '@every x'])(
    '%s is refused',
    (text) => expect(() => parseSchedule(text, 'UTC')).toThrow(),
  );
});

const tick = (spec: Partial<CronJob['spec']> = {}): CronJob => ({
  metadata: { name: 'tick', namespace: 'default' },
  spec: {
    schedule: '*/5 * * * *',
    timeZone: 'UTC',
    concurrencyPolicy: 'Allow',
    jobTemplate: {
      metadata: { labels: { app: 'tick' } },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } } },
    },
    ...spec,
  },
});
const minutes = (count: number) => count * 60_000;
const start = (options?: Parameters<typeof startHarness>[1]) => startHarness([runCronJobController], options);
const get = (harness: Harness) => harness.client.object<CronJob>(cronJobRef, 'default/tick') as CronJob;
const jobs = (harness: Harness) => harness.client.objects<Job>(jobRef);
function finish(harness: Harness, job: Job, type = 'Complete'): void {
  const now = rfc3339(harness.clock.now());
  harness.client.change<Job>(jobRef, `default/${job.metadata.name}`, (each) => ({
    ...each,
    status: {
      conditions: [{ type, status: 'True', lastTransitionTime: now }],
      ...(type === 'Complete' && { completionTime: now }),
    },
  }));
}

describe('a CronJob', () => {
  it('starts a Job when it is time, once, and follows it', async () => {
    const harness = start();
    await harness.create(cronJobRef, tick());
    await harness.run(minutes(4));
    expect(jobs(harness)).toEqual([]);
    await harness.run(minutes(2));
    const [job] = jobs(harness) as [Job];
    expect(job.metadata).toMatchObject({
      name: `tick-${Date.UTC(2026, 0, 1, 0, 5) / 60_000}`,
      labels: { app: 'tick' },
      annotations: { 'batch.kubernetes.io/cronjob-scheduled-timestamp': '2026-01-01T00:05:00Z' },
      ownerReferences: [expect.objectContaining({ kind: 'CronJob', name: 'tick', controller: true })],
    });
    expect(get(harness).status).toMatchObject({
      lastScheduleTime: '2026-01-01T00:05:00Z',
      active: [{ kind: 'Job', name: job.metadata.name, uid: job.metadata.uid }],
    });
    finish(harness, job);
    await harness.run();
    expect(get(harness).status?.active).toBeUndefined();
    expect(get(harness).status?.lastSuccessfulTime).toBe(jobs(harness)[0]?.status?.completionTime);
    expect(harness.messages()).toEqual(
      expect.arrayContaining([
        `SuccessfulCreate: Created job ${job.metadata.name}`,
        `SawCompletedJob: Saw completed job: ${job.metadata.name}, condition: Complete`,
      ]),
    );
    harness.takeWrites();
    await harness.run(minutes(3));
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it('keeps three successful ones and one that failed', async () => {
    const harness = start();
    await harness.create(cronJobRef, tick());
    for (let i = 0; i < 10; i++) {
      await harness.run(minutes(5));
      for (const job of jobs(harness)) if (!job.status?.conditions) finish(harness, job, i % 2 ? 'Failed' : 'Complete');
    }
    await harness.run();
    const ended = jobs(harness).flatMap((job) => job.status?.conditions?.[0]?.type ?? []);
    expect(ended.sort()).toEqual(['Complete', 'Complete', 'Complete', 'Failed']);
    await harness.stop();
  });

  it('does not overlap, or replaces, as told', async () => {
    for (const [concurrencyPolicy, expected] of [
      ['Allow', 3],
      ['Forbid', 1],
      ['Replace', 1],
    ] as const) {
      const harness = start();
      await harness.create(cronJobRef, tick({ concurrencyPolicy }));
      await harness.run(minutes(16));
      expect([concurrencyPolicy, jobs(harness).length]).toEqual([concurrencyPolicy, expected]);
      expect(get(harness).status?.active).toHaveLength(expected);
      const last = jobs(harness).at(-1)?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'];
      expect(last).toBe(concurrencyPolicy === 'Forbid' ? '2026-01-01T00:05:00Z' : '2026-01-01T00:15:00Z');
      await harness.stop();
    }
  });

  it('is silent while suspended, catches up once, not when it is too late', async () => {
    for (const [startingDeadlineSeconds, expected] of [
      [undefined, 1],
      [30, 0],
    ] as const) {
      const harness = start();
      await harness.create(cronJobRef, tick({ suspend: true, startingDeadlineSeconds }));
      await harness.run(minutes(62));
      expect(jobs(harness)).toEqual([]);
      harness.client.change<CronJob>(cronJobRef, 'default/tick', (each) => ({
        ...each,
        spec: { ...each.spec, suspend: false },
      }));
      await harness.run();
      expect(jobs(harness)).toHaveLength(expected);
      await harness.stop();
    }
  });

  it('says so when a hundred starts were missed, and what it cannot read', async () => {
    const harness = start();
    await harness.create(cronJobRef, tick({ suspend: true, schedule: '* * * * *' }));
    await harness.run(minutes(300));
    const edit = (spec: Partial<CronJob['spec']>) =>
      harness.client.change<CronJob>(cronJobRef, 'default/tick', (each) => ({
        ...each,
        spec: { ...each.spec, ...spec },
      }));
    edit({ suspend: false });
    await harness.run();
    expect(jobs(harness)).toHaveLength(1);
    expect(harness.messages().some((each) => each.startsWith('TooManyMissedTimes: too many missed start times.'))).toBe(
      true,
    );
    edit({ schedule: 'now' });
    await harness.run();
    expect(harness.messages().some((each) => each.startsWith('UnparseableSchedule: unparseable schedule: "now"'))).toBe(
      true,
    );
    edit({ schedule: '* * * * *', timeZone: 'Mars/Olympus' });
    await harness.run();
    expect(
      harness.messages().some((each) => each.startsWith('UnknownTimeZone: invalid timeZone: "Mars/Olympus"')),
    ).toBe(true);
    await harness.stop();
  });

  it('creates each Job once, though answers get lost and watches lag', async () => {
    let calls = 0;
    const harness = start({
      watchDelayMs: 500,
      after: ({ ref }) => {
        if (ref.resource !== 'events' && ++calls % 3 === 0) throw new NetworkError('answer lost');
      },
    });
    await harness.create(cronJobRef, tick()).catch(() => undefined);
    for (let i = 0; i < 21; i++) {
      await harness.run(minutes(1));
      if (i % 4 === 0) harness.client.dropWatches();
    }
    expect(jobs(harness)).toHaveLength(4);
    expect(get(harness).status?.active).toHaveLength(4);
    await harness.stop();
  });
});
