// batch/v1 CronJob: makes Jobs by the clock.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { maxLengthError } from '../names.ts';
import { formatLabelSelector } from '../selectors.ts';
import type { CronJob, CronJobSpec, JobSpec } from '../types/batch-v1.ts';
import { type Findings, nonNegative, oneOf } from '../validation/checks.ts';
import { CronError, isTimeZone, parseCron } from '../validation/cron-schedule.ts';
import { jobWarnings, validateJobTemplate } from '../validation/job.ts';
import { nameWarning } from '../validation/pod-warnings.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setJobTemplateDefaults } from './parts/job-defaults.ts';
import { templateCells } from './parts/workload.ts';

const { invalid, required } = fieldErrors;

/** The names of its Jobs are eleven characters longer. */
const MAX_NAME = 52;

/** The path is upstream's. */
const ZONE_IN_SCHEDULE =
  'cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details';

export const cronJob = defineKind<CronJob>({
  group: 'batch',
  version: 'v1',
  kind: 'CronJob',
  resource: 'cronjobs',
  shortNames: ['cj'],
  categories: ['all'],
  namespaced: true,
  schema: 'batch.v1.CronJob',
  columns: [
    NAME_COLUMN,
    'Schedule',
    'Timezone',
    'Suspend:boolean',
    'Active:integer',
    'Last Schedule',
    'Age',
    'Containers*',
    'Images*',
    'Selector*',
  ],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    spec?.schedule ?? '',
    spec?.timeZone ?? '<none>',
    spec?.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False',
    status?.active?.length ?? 0,
    status?.lastScheduleTime ? age(status.lastScheduleTime, nowMs) : '<none>',
    age(metadata.creationTimestamp, nowMs),
    ...templateCells(spec?.jobTemplate?.spec?.template),
    formatLabelSelector(spec?.jobTemplate?.spec?.selector),
  ],
  hasStatus: true,
  hasGeneration: true,

  setDefaults(object) {
    const spec = (object.spec ??= {} as CronJobSpec);
    spec.concurrencyPolicy ||= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    const template = (spec.jobTemplate ??= {});
    template.metadata ??= {};
    setJobTemplateDefaults((template.spec ??= {} as JobSpec));
  },
  prepareForCreate(object) {
    object.status = {};
    dropDisabledTemplateFields(object.spec?.jobTemplate?.spec?.template);
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.jobTemplate?.spec?.template, old.spec?.jobTemplate?.spec?.template);
  },

  validate(object) {
    const found = [...findings(object.spec)];
    const { name = '' } = object.metadata;
    if (name.length > MAX_NAME) found.push(invalid('metadata.name', name, maxLengthError(MAX_NAME)));
    return found;
  },
  validateUpdate: (object, old) => [...findings(object.spec, old.spec)],
  warnings({ metadata, spec }, old) {
    const ofTemplate = () => jobWarnings(spec?.jobTemplate?.spec, 'spec.jobTemplate.spec');
    if (!old) return [...nameWarning(metadata.name, 'workload'), ...ofTemplate()];
    return [
      ...(metadata.generation === old.metadata.generation ? [] : ofTemplate()),
      ...(spec?.schedule?.includes('TZ') ? [ZONE_IN_SCHEDULE] : []),
    ];
  },
});

function* findings(spec: CronJobSpec = {} as CronJobSpec, old?: CronJobSpec): Findings {
  if (!spec.schedule) yield required('spec.schedule');
  else yield* schedule(spec, old);
  yield* nonNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds');
  if (spec.timeZone !== undefined && spec.timeZone !== old?.timeZone) yield* timeZone(spec.timeZone, 'spec.timeZone');
  yield* oneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], 'spec.concurrencyPolicy');
  yield* validateJobTemplate(spec.jobTemplate ?? {}, 'spec.jobTemplate');
  yield* nonNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit');
  yield* nonNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit');
}

function* schedule({ schedule: text, timeZone: zone }: CronJobSpec, old: CronJobSpec | undefined): Findings {
  try {
    parseCron(text);
  } catch (error) {
    if (!(error instanceof CronError)) throw error;
    yield invalid('spec.schedule', text, error.message);
  }
  if (!text.includes('TZ')) return;
  // What an older server accepted stays.
  if (!old?.schedule?.includes('TZ')) {
    yield invalid('spec.schedule', text, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead');
  } else if (zone !== undefined) {
    yield invalid('spec.schedule', text, 'cannot use both timeZone field and TZ or CRON_TZ in schedule');
  }
}

function* timeZone(name: string, field: string): Findings {
  if (name === '') {
    yield invalid(field, name, 'timeZone must be nil or non-empty string');
    return;
  }
  const parts = name.split('/');
  if (parts.some((part) => part === '.' || part === '..' || !/^[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}$/.test(part))) {
    yield invalid(field, name, `unknown time zone ${name}`);
    return;
  }
  if (name.toLowerCase() === 'local') {
    const detail = 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones';
    yield invalid(field, name, detail);
  }
  if (name !== 'Local' && !isTimeZone(name)) yield invalid(field, name, `unknown time zone ${name}`);
}
