import { describe, expect, it } from 'vitest';
import type { CronJob, CronJobSpec, Job, JobSpec } from '../types/batch-v1.ts';
import { CronError, parseCron } from '../validation/cron-schedule.ts';
import { cronJob } from './cron-job.ts';
import { job } from './job.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

const template = (spec: object = {}) => ({
  spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'busybox:1' }], ...spec },
});
const jobOf = (spec: Partial<JobSpec> = {}): Job => ({
  metadata: { name: 'pi', namespace: 'default', uid: 'u-1' },
  spec: { template: template(), ...spec },
});
const cronOf = (spec: Partial<CronJobSpec> = {}): CronJob => ({
  metadata: { name: 'tick', namespace: 'default' },
  spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: template() } }, ...spec },
});

describe('Job', () => {
  it('has upstream defaults, and labels that no other Job has', () => {
    const { metadata, spec, status } = created(job, jobOf());
    const labels = {
      'controller-uid': 'u-1',
      'batch.kubernetes.io/controller-uid': 'u-1',
      'job-name': 'pi',
      'batch.kubernetes.io/job-name': 'pi',
    };
    expect(spec).toMatchObject({
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u-1' } },
      template: { metadata: { labels } },
    });
    expect(metadata.labels).toEqual(labels);
    expect(status).toEqual({});
  });

  const indexed = { completionMode: 'Indexed', completions: 3 };
  const rule = (each: object) => ({ podFailurePolicy: { rules: [{ action: 'FailJob', ...each } as never] } });
  it.each<[Partial<JobSpec>, string[]]>([
    [{}, []],
    [{ parallelism: 4 }, []],
    [{ parallelism: -1 }, ['spec.parallelism: Invalid value: -1: must be greater than or equal to 0']],
    [
      { template: template({ restartPolicy: undefined }) },
      ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
    [
      { selector: { matchLabels: { a: 'b' } } },
      [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u-1"}}: `selector` not auto-generated',
        'spec.template.metadata.labels: Invalid value: {"job-name":"pi","batch.kubernetes.io/job-name":"pi","controller-uid":"u-1","batch.kubernetes.io/controller-uid":"u-1"}: `selector` does not match template `labels`',
      ],
    ],
    [
      { manualSelector: true },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
      ],
    ],
    [
      {
        manualSelector: true,
        selector: { matchLabels: { a: 'b' } },
        template: { ...template(), metadata: { labels: { a: 'b' } } },
      },
      [],
    ],
    [
      { completionMode: 'Odd' },
      ['spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"'],
    ],
    [
      { completionMode: 'Indexed', parallelism: 2 },
      ['spec.completions: Required value: when completion mode is Indexed'],
    ],
    [{ backoffLimitPerIndex: 1 }, ['spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode']],
    [
      { ...indexed, backoffLimitPerIndex: 1, maxFailedIndexes: 4 },
      ['spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions'],
    ],
    [
      rule({}),
      ['spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required'],
    ],
    [
      rule({ onExitCodes: { operator: 'In', values: [3, 0, 3], containerName: 'other' } }),
      [
        'spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template',
        'spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
        'spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3',
        'spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0,3]: must be ordered',
      ],
    ],
    [
      rule({ action: 'FailIndex', onPodConditions: [{ type: 'DisruptionTarget' }] }),
      [
        'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
      ],
    ],
    [
      { ...rule({ onPodConditions: [{ type: 'X' }] }), podReplacementPolicy: 'TerminatingOrFailed' },
      ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"'],
    ],
    [
      { ...indexed, successPolicy: { rules: [{ succeededIndexes: '0,2-4' }] } },
      [
        'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0,2-4": error parsing succeededIndexes: too large index: "4"',
      ],
    ],
    [
      { ...indexed, successPolicy: { rules: [{ succeededIndexes: '0-1', succeededCount: 3 }] } },
      [
        'spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(job, jobOf(spec))).toEqual(messages);
  });

  it('keeps its template, unless it is suspended and only the place of its pods changes', () => {
    const moved = template({ nodeSelector: { disk: 'fast' } });
    expect(updateErrors(job, jobOf(), jobOf({ template: moved }))[0]).toMatch(
      /^spec\.template: Invalid value: .*: field is immutable$/,
    );
    // Suspended is not enough: its controller must have seen to it.
    expect(updateErrors(job, jobOf({ suspend: true }), jobOf({ suspend: true, template: moved }))[0]).toContain(
      'spec.template: ',
    );
    const old = created(job, jobOf({ suspend: true }));
    old.status = { conditions: [{ type: 'Suspended', status: 'True' }] };
    const changed = (next: object) => created(job, jobOf({ suspend: true, template: next as JobSpec['template'] }));
    expect(job.validateUpdate(changed(moved), old)).toEqual([]);
    const [container] = template().spec.containers;
    const bigger = { ...container, resources: { requests: { cpu: '2' } } };
    expect(job.validateUpdate(changed(template({ containers: [bigger] })), old)).toEqual([]);
    const other = template({ containers: [{ ...container, image: 'other' }] });
    expect(messagesOf(job.validateUpdate(changed(other), old))[0]).toMatch(
      /^spec\.template\.spec: Invalid value: .*: field is immutable$/,
    );
    const busy = { ...old, status: { ...old.status, active: 1 } };
    expect(messagesOf(job.validateUpdate(changed(moved), busy))[0]).toContain('spec.template: ');
    const grown = { completionMode: 'Indexed', completions: 3, parallelism: 3 };
    expect(updateErrors(job, jobOf({ ...grown, completions: 2, parallelism: 2 }), jobOf(grown))).toEqual([]);
    expect(updateErrors(job, jobOf({ completions: 1 }), jobOf({ completions: 2 }))).toEqual([
      'spec.completions: Invalid value: 2: field is immutable',
    ]);
  });

  const met = { type: 'SuccessCriteriaMet', status: 'True' };
  const complete = { type: 'Complete', status: 'True' };
  const failed = { type: 'Failed', status: 'True' };
  const target = { type: 'FailureTarget', status: 'True' };
  const [t1, t2] = ['2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'];
  it.each<[object, object, string[]]>([
    [{ startTime: t1 }, { startTime: t1, completionTime: t2, succeeded: 1, conditions: [met, complete] }, []],
    [
      {},
      { conditions: [complete], active: 1, terminating: 2, uncountedTerminatedPods: { succeeded: ['u'] } },
      [
        'status.completionTime: Required value: completionTime is required for Complete jobs',
        'status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
        'status.active: Invalid value: 1: active>0 is invalid for finished job',
        'status.startTime: Required value: startTime is required for finished job',
        'status.uncountedTerminatedPods: Invalid value: {"succeeded":["u"]}: must be empty for finished job',
        'status.terminating: Invalid value: 2: terminating>0 is invalid for finished job',
      ],
    ],
    [
      { startTime: t1 },
      { startTime: t1, conditions: [failed, met] },
      [
        'status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition',
        'status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions',
      ],
    ],
    [
      { startTime: t2, failed: 2, succeeded: 2 },
      { startTime: t1, completionTime: t1, failed: 1, succeeded: 1, ready: 1 },
      [
        'status.completionTime: Invalid value: "2026-01-01T00:00:00Z": cannot set completionTime when there is no Complete=True condition',
        'status.ready: Invalid value: 1: cannot set more ready pods than active',
        'status.failed: Invalid value: 1: cannot decrease the failed counter',
        'status.succeeded: Invalid value: 1: cannot decrease the succeeded counter',
        'status.startTime: Required value: startTime cannot be removed for unsuspended job',
      ],
    ],
    [
      { startTime: t2, conditions: [{ type: 'Suspended', status: 'True' }] },
      { conditions: [{ type: 'Suspended', status: 'False' }] },
      [],
    ],
    [
      { startTime: t2 },
      { startTime: t2, completionTime: t1, conditions: [met, complete] },
      ['status.completionTime: Invalid value: "2026-01-01T00:00:00Z": must be equal to or after `startTime`'],
    ],
    [
      { startTime: t1, completionTime: t1, conditions: [complete] },
      { startTime: t1, completionTime: t1, conditions: [met, complete] },
      [
        'status.conditions: Invalid value: cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions',
      ],
    ],
    [
      { startTime: t1, completionTime: t1, conditions: [met, complete] },
      { startTime: t1, completionTime: t2, conditions: [met, complete] },
      ['status.completionTime: Invalid value: "2026-01-01T00:01:00Z": field is immutable'],
    ],
    [
      { startTime: t1, conditions: [target, failed] },
      { startTime: t1 },
      [
        'status.conditions: Invalid value: cannot disable the terminal Failed=True condition',
        'status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition',
      ],
    ],
    [
      {},
      { completedIndexes: '0,2-4', failedIndexes: '1,3' },
      [
        'status.completedIndexes: Invalid value: "0,2-4": error parsing completedIndexes: too large index: "2"',
        'status.completedIndexes: Invalid value: "0,2-4": cannot set non-empty completedIndexes when non-indexed completion mode',
        'status.failedIndexes: Invalid value: "1,3": cannot set non-null failedIndexes when backoffLimitPerIndex is null',
      ],
    ],
  ])('status %j to %j', (before, after, messages) => {
    const old = { ...created(job, jobOf()), status: before };
    const object = { ...created(job, jobOf()), status: after };
    expect(messagesOf(job.validateStatusUpdate?.(object, old) ?? [])).toEqual(messages);
  });

  it.each([
    ['0,2-4', '1,5', undefined],
    ['0,2-4', '1,3', 3],
    ['0,x,6', '1-7', 6],
    ['0-1,4-9', '2-3,9', 9],
  ])('indexes %s completed and %s failed overlap at %s', (completedIndexes, failedIndexes, at) => {
    const spec = { completionMode: 'Indexed', completions: 10, backoffLimitPerIndex: 1 };
    const old = created(job, jobOf(spec));
    const object = { ...old, status: { completedIndexes, failedIndexes } };
    const found = messagesOf(job.validateStatusUpdate?.(object, old) ?? []).filter((each) => each.includes('overlap'));
    expect(found).toEqual(
      at === undefined
        ? []
        : [
            `status.failedIndexes: Invalid value: "${failedIndexes}": failedIndexes and completedIndexes overlap at index: ${at}`,
          ],
    );
  });

  it('asks more of many completions with limits for each', () => {
    const spec = { completionMode: 'Indexed', completions: 100_001, parallelism: 10_001, backoffLimitPerIndex: 1 };
    const limit =
      'must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index';
    expect(createErrors(job, jobOf(spec))).toEqual([
      'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
      `spec.parallelism: Invalid value: 10001: ${limit}`,
    ]);
    expect(createErrors(job, jobOf({ ...spec, parallelism: 1, maxFailedIndexes: 10_001 }))).toEqual([
      `spec.maxFailedIndexes: Invalid value: 10001: ${limit}`,
    ]);
  });

  it('checks an update twice, as upstream; warns only of a new generation', () => {
    const found = updateErrors(job, jobOf(), jobOf({ backoffLimit: -1 }));
    expect(found).toEqual(Array(2).fill('spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0'));
    const old = created(job, { ...jobOf(), metadata: { name: 'a.b', uid: 'u', generation: 1 } });
    expect(job.warnings?.(old)).toHaveLength(1);
    const scsi = template({ nodeSelector: { 'beta.kubernetes.io/os': 'linux' } });
    const next = created(job, { ...jobOf({ template: scsi }), metadata: { ...old.metadata } });
    expect(job.warnings?.(next, old)).toEqual([]);
    next.metadata.generation = 2;
    expect(job.warnings?.(next, old)).toHaveLength(1);
  });

  it('prints its table', () => {
    const object = created(job, jobOf({ completions: 3 }));
    object.status = { succeeded: 1, startTime: '2025-12-31T23:59:00Z' };
    expect(job.cells(object, CONTEXT)).toEqual([
      'pi',
      'Running',
      '1/3',
      '60s',
      '<unknown>',
      'app',
      'busybox:1',
      'batch.kubernetes.io/controller-uid=u-1',
    ]);
    const parallel = created(job, jobOf({ parallelism: 3 }));
    expect(job.cells(parallel, CONTEXT).slice(1, 4)).toEqual(['Running', '0/1 of 3', '']);
    parallel.status = { conditions: [{ type: 'Suspended', status: 'True' }] };
    expect(job.cells(parallel, CONTEXT)[1]).toBe('Suspended');
  });
});

describe('CronJob', () => {
  it('has upstream defaults', () => {
    expect(created(cronJob, cronOf()).spec).toMatchObject({
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    });
  });

  it.each<[Partial<CronJobSpec>, string[]]>([
    [{}, []],
    [{ schedule: '@hourly', timeZone: 'Europe/Berlin' }, []],
    [{ schedule: '' }, ['spec.schedule: Required value']],
    [{ schedule: '* * *' }, ['spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]']],
    [
      { schedule: 'TZ=UTC 0 * * * *' },
      [
        'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
      ],
    ],
    [{ timeZone: 'Mars/Base' }, ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']],
    [
      { concurrencyPolicy: 'Odd' },
      ['spec.concurrencyPolicy: Unsupported value: "Odd": supported values: "Allow", "Forbid", "Replace"'],
    ],
    [
      { jobTemplate: { spec: { template: template({ restartPolicy: 'Always' }) } } },
      ['spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(cronJob, cronOf(spec))).toEqual(messages);
  });

  it.each([
    ['Europe/Berlin', undefined],
    ['', 'timeZone must be nil or non-empty string'],
    ['Europe//Berlin', 'unknown time zone Europe//Berlin'],
    ['../x', 'unknown time zone ../x'],
    ['-x', 'unknown time zone -x'],
    ['a234567890.bcde', 'unknown time zone a234567890.bcde'],
    ['Local', 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'],
  ])('time zone %j', (timeZone, detail) => {
    expect(createErrors(cronJob, cronOf({ timeZone }))).toEqual(
      detail ? [`spec.timeZone: Invalid value: ${JSON.stringify(timeZone)}: ${detail}`] : [],
    );
  });

  it('warns of a time zone in the schedule that it may keep', () => {
    const old = created(cronJob, cronOf({ schedule: 'TZ=UTC 0 * * * *' }));
    expect(cronJob.warnings?.(old, old)).toEqual([
      'cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details',
    ]);
  });

  it('leaves room for the names of its Jobs', () => {
    const named = { ...cronOf(), metadata: { name: 'x'.repeat(53) } };
    expect(createErrors(cronJob, named)).toEqual([
      `metadata.name: Invalid value: "${'x'.repeat(53)}": must be no more than 52 bytes`,
    ]);
  });

  it('prints its table', () => {
    expect(cronJob.cells(created(cronJob, cronOf()), CONTEXT)).toEqual([
      'tick',
      '*/5 * * * *',
      '<none>',
      'False',
      0,
      '<none>',
      '<unknown>',
      'app',
      'busybox:1',
      '<none>',
    ]);
  });
});

describe('schedules', () => {
  it('names minutes, hours and days', () => {
    const parsed = parseCron('*/20 9-17/4 1 jan,mar sun');
    expect('fields' in parsed && parsed.fields).toEqual({
      minutes: new Set([0, 20, 40]),
      hours: new Set([9, 13, 17]),
      days: new Set([1]),
      months: new Set([1, 3]),
      weekdays: new Set([0]),
      anyDay: false,
      anyWeekday: false,
    });
    expect(parseCron('@every 1h30m')).toEqual({ everyMs: 5_400_000 });
  });

  it.each([
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
    ['@never', 'unrecognized descriptor: @never'],
  ])('%s', (text, message) => {
    expect(() => parseCron(text)).toThrow(new CronError(message));
  });
});
