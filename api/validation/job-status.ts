// What a Job's controller may report, and how that may change: an end is an end, and what was counted stays counted
// (k8s.io/kubernetes/pkg/apis/batch/validation: ValidateJobStatusUpdate; which rules hold depends on what changes, as in
// pkg/registry/batch/job/strategy.go).
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { Job, JobStatus } from '../types/batch-v1.ts';
import { type Findings, IMMUTABLE, nonNegative } from './checks.ts';
import { countIndexes, invalidWithoutValue } from './job-policies.ts';

const { duplicate, invalid, required } = fieldErrors;

const TERMINAL = ['Failed', 'Complete', 'FailureTarget'];

const is = (status: JobStatus, type: string) =>
  (status.conditions ?? []).some((each) => each.type === type && each.status === 'True');
const isFinished = (status: JobStatus) => is(status, 'Complete') || is(status, 'Failed');

export function* validateJobStatusUpdate(job: Job, oldJob: Job): Findings {
  const status = job.status ?? {};
  const old = oldJob.status ?? {};
  for (const name of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) {
    yield* nonNegative(status[name], `status.${name}`);
  }
  yield* uncounted(status);
  yield* conditions(status, old);
  yield* times(job, status, old);
  yield* finished(job, status, old);
  yield* indexes(job, status, old);
  yield* changes(job, status, old);
}

function* uncounted({ uncountedTerminatedPods: pods }: JobStatus): Findings {
  const seen = new Set<string>();
  for (const name of ['succeeded', 'failed'] as const) {
    for (const [i, uid] of (pods?.[name] ?? []).entries()) {
      const field = `status.uncountedTerminatedPods.${name}[${i}]`;
      if (!uid) yield invalid(field, uid, 'must not be empty');
      else if (seen.has(uid)) yield duplicate(field, uid);
      seen.add(uid);
    }
  }
}

function* conditions(status: JobStatus, old: JobStatus): Findings {
  const field = 'status.conditions';
  const changed = (...types: string[]) => types.some((type) => is(status, type) !== is(old, type));
  const together = (first: string, second: string) => is(status, first) && is(status, second);
  if (together('Complete', 'Failed') && changed('Complete', 'Failed')) {
    yield invalidWithoutValue(field, 'cannot set Complete=True and Failed=true conditions');
  }
  if (together('Complete', 'FailureTarget') && changed('Complete', 'FailureTarget')) {
    yield invalidWithoutValue(field, 'cannot set Complete=True and FailureTarget=true conditions');
  }
  if (is(status, 'Failed') && !is(status, 'FailureTarget') && changed('Failed', 'FailureTarget')) {
    yield invalidWithoutValue(field, 'cannot set Failed=True condition without the FailureTarget=true condition');
  }
  if (is(status, 'Complete') && !is(status, 'SuccessCriteriaMet') && changed('Complete', 'SuccessCriteriaMet')) {
    yield invalidWithoutValue(
      field,
      'cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
    );
  }
  for (const type of ['Failed', 'FailureTarget']) {
    if (together(type, 'SuccessCriteriaMet')) {
      yield invalidWithoutValue(field, `cannot set ${type}=True and SuccessCriteriaMet=true conditions`);
    }
  }
}

function* finished({ spec }: Job, status: JobStatus, old: JobStatus): Findings {
  const ends = isFinished(status) !== isFinished(old);
  const { active = 0, ready = 0, terminating = 0, uncountedTerminatedPods: pods } = status;
  if (isFinished(status)) {
    if (active > 0 && (ends || active !== old.active)) {
      yield invalid('status.active', active, 'active>0 is invalid for finished job');
    }
    if (terminating > 0 && (ends || terminating !== old.terminating)) {
      yield invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job');
    }
    const isCounted = !pods?.succeeded?.length && !pods?.failed?.length;
    if (!isCounted && (ends || !semanticEqual(pods, old.uncountedTerminatedPods))) {
      const detail = 'uncountedTerminatedPods needs to be empty for finished job';
      yield invalid('status.uncountedTerminatedPods', pods, detail);
    }
    // One that was asked for nothing and is suspended never starts.
    const neverStarts = spec?.suspend && spec.completions === 0;
    if (!status.startTime && !neverStarts && (ends || old.startTime)) {
      yield required('status.startTime', 'startTime is required for finished job');
    }
  }
  if (ready > active && (ready !== old.ready || active !== old.active)) {
    yield invalid('status.ready', ready, 'cannot set more ready pods than active');
  }
}

function* times({ spec }: Job, status: JobStatus, old: JobStatus): Findings {
  const { completionTime, startTime } = status;
  const completes = is(status, 'Complete') !== is(old, 'Complete') || completionTime !== old.completionTime;
  if (completionTime && !is(status, 'Complete') && completes) {
    const detail = 'cannot set completionTime when there is no Complete=True condition';
    yield invalid('status.completionTime', completionTime, detail);
  }
  if (is(status, 'Complete') && !completionTime && completes) {
    yield required('status.completionTime', 'completionTime is required for Complete jobs');
  }
  const isBefore = startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime);
  if (isBefore && (startTime !== old.startTime || completionTime !== old.completionTime)) {
    yield invalid('status.completionTime', completionTime, 'completionTime cannot be set before startTime');
  }
  if (completionTime && old.completionTime && completionTime !== old.completionTime) {
    yield invalid('status.completionTime', completionTime, IMMUTABLE);
  }
  if (old.startTime && startTime !== old.startTime && !spec?.suspend) {
    if (!startTime) yield required('status.startTime', 'startTime cannot be removed for unsuspended job');
    else yield invalid('status.startTime', startTime, 'startTime cannot be updated for unsuspended job');
  }
}

function* indexes({ spec }: Job, status: JobStatus, old: JobStatus): Findings {
  const { completedIndexes = '', failedIndexes } = status;
  const changed = (name: 'completedIndexes' | 'failedIndexes') => (status[name] ?? '') !== (old[name] ?? '');
  if (completedIndexes && changed('completedIndexes')) {
    if (spec?.completionMode !== 'Indexed') {
      const detail = 'cannot set non-empty completedIndexes when non-indexed completion mode';
      yield invalid('status.completedIndexes', completedIndexes, detail);
    }
    yield* parsed(completedIndexes, spec?.completions, 'completedIndexes');
  }
  if (failedIndexes !== undefined && changed('failedIndexes')) {
    if (spec?.backoffLimitPerIndex === undefined) {
      const detail = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null';
      yield invalid('status.failedIndexes', failedIndexes, detail);
    }
    yield* parsed(failedIndexes, spec?.completions, 'failedIndexes');
  }
  if (failedIndexes && completedIndexes && (changed('completedIndexes') || changed('failedIndexes'))) {
    const overlap = firstOverlap(intervals(completedIndexes), intervals(failedIndexes));
    if (overlap !== undefined) {
      const detail = `failedIndexes and completedIndexes overlap at index: ${overlap}`;
      yield invalid('status.failedIndexes', failedIndexes, detail);
    }
  }
}

function* parsed(text: string, completions: number | undefined, name: string): Findings {
  if (completions === undefined) return;
  const found = countIndexes(text, completions);
  if (typeof found !== 'number') yield invalid(`status.${name}`, text, `error parsing ${name}: ${found.error}`);
}

type Interval = readonly [first: number, last: number];

const intervals = (text: string): Interval[] =>
  text.split(',').map((each) => {
    const [first = 0, last = first] = each.split('-').map(Number);
    return [first, last];
  });

/** Both are in ascending order; what cannot be read overlaps nothing. */
function firstOverlap(left: readonly Interval[], right: readonly Interval[]): number | undefined {
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [a, b] = [left[i] as Interval, right[j] as Interval];
    if (a[1] < b[0]) i++;
    else if (b[1] < a[0]) j++;
    else return a[0] <= b[1] && b[0] <= a[1] ? Math.max(a[0], b[0]) : undefined;
  }
  return undefined;
}

function* changes({ spec }: Job, status: JobStatus, old: JobStatus): Findings {
  for (const type of TERMINAL) {
    if (is(old, type) && !is(status, type)) {
      yield invalidWithoutValue('status.conditions', `cannot disable the terminal ${type}=True condition`);
    }
  }
  if (is(old, 'SuccessCriteriaMet') && !is(status, 'SuccessCriteriaMet')) {
    yield invalidWithoutValue('status.conditions', 'cannot disable the SuccessCriteriaMet=True condition');
  }
  if ((status.failed ?? 0) < (old.failed ?? 0)) {
    yield invalid('status.failed', status.failed ?? 0, 'cannot decrease the failed counter');
  }
  // An indexed Job whose pods all run at once can be made smaller; what the lost indexes had counts no more.
  const isElastic = spec?.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if ((status.succeeded ?? 0) < (old.succeeded ?? 0) && !isElastic) {
    yield invalid('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter');
  }
}
