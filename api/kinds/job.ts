// batch/v1 Job: runs pods until enough of them succeeded.
import { age, humanDuration } from '../duration.ts';
import { formatLabelSelector } from '../selectors.ts';
import type { Job, JobSpec } from '../types/batch-v1.ts';
import { MAX_INT32 } from '../validation/checks.ts';
import { JOB_LABELS, jobWarnings, validateJob, validateJobUpdate } from '../validation/job.ts';
import { validateJobStatusUpdate } from '../validation/job-status.ts';
import { nameWarning } from '../validation/pod-warnings.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setJobTemplateDefaults } from './parts/job-defaults.ts';
import { templateCells } from './parts/workload.ts';

export const job = defineKind<Job>({
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  resource: 'jobs',
  categories: ['all'],
  namespaced: true,
  schema: 'batch.v1.Job',
  columns: [NAME_COLUMN, 'Status', 'Completions', 'Duration', 'Age', 'Containers*', 'Images*', 'Selector*'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    stateOf(object),
    completionsOf(object),
    durationOf(object, nowMs),
    age(object.metadata.creationTimestamp, nowMs),
    ...templateCells(object.spec?.template),
    formatLabelSelector(object.spec?.selector),
  ],
  selectableFields: { 'status.successful': (object) => String(object.status?.succeeded ?? 0) },
  hasStatus: true,
  hasGeneration: true,
  orphansByDefault: {
    warning:
      'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
  },

  setDefaults(object) {
    const spec = (object.spec ??= {} as JobSpec);
    if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
    spec.parallelism ??= 1;
    spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : MAX_INT32;
    spec.completionMode ??= 'NonIndexed';
    spec.suspend ??= false;
    spec.manualSelector ??= false;
    spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
    setJobTemplateDefaults(spec);
    labelAsTemplate(object);
  },
  prepareForCreate(object) {
    object.status = {};
    dropDisabledTemplateFields(object.spec?.template);
    if (!object.spec?.manualSelector) generateSelector(object);
    labelAsTemplate(object);
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.template, old.spec?.template);
  },

  validate: (object) => [...validateJob(object)],
  validateUpdate: (object, old) => [...validateJobUpdate(object, old)],
  validateStatusUpdate: (object, old) => [...validateJobStatusUpdate(object, old)],
  warnings: (object, old) =>
    old && object.metadata.generation === old.metadata.generation
      ? []
      : [...(old ? [] : nameWarning(object.metadata.name, 'workload')), ...jobWarnings(object.spec, 'spec')],
});

/** A Job without labels has its template's. */
function labelAsTemplate({ metadata, spec }: Job): void {
  const labels = spec?.template?.metadata?.labels;
  if (labels && Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels };
}

/** Labels on the template that no other Job has, and a selector for them; what the client set stays and is then refused. */
function generateSelector({ metadata, spec }: Job): void {
  if (!spec) return;
  const template = (spec.template ??= {});
  const labels = ((template.metadata ??= {}).labels ??= {});
  const { name = '', uid = '' } = metadata;
  for (const key of JOB_LABELS.name) labels[key] ??= name;
  for (const key of JOB_LABELS.uid) labels[key] ??= uid;
  const matched = ((spec.selector ??= {}).matchLabels ??= {});
  matched[JOB_LABELS.selected] ??= uid;
}

function stateOf({ metadata, status }: Job): string {
  const is = (type: string) => (status?.conditions ?? []).some((each) => each.type === type && each.status === 'True');
  if (is('Complete')) return 'Complete';
  if (is('Failed')) return 'Failed';
  if (metadata.deletionTimestamp) return 'Terminating';
  if (is('Suspended')) return 'Suspended';
  if (is('FailureTarget')) return 'FailureTarget';
  return is('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running';
}

function completionsOf({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function durationOf({ status }: Job, nowMs: number): string {
  if (!status?.startTime) return '';
  const end = status.completionTime ? Date.parse(status.completionTime) : nowMs;
  return humanDuration(end - Date.parse(status.startTime));
}
