// What a Job's controller may report, and how that may change: an end is an end, and what was counted stays counted
// (k8s.io/kubernetes/pkg/apis/batch/validation: ValidateJobStatusUpdate; which rules hold depends on what changes, as in
// pkg/registry/batch/job/strategy.go).
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { Job, JobSpec, JobStatus } from '../types/batch-v1.ts';
import { type Findings, IMMUTABLE, nonNegative } from './checks.ts';
import { countIndexes, type Interval, invalidWithoutValue, parseInterval } from './job-policies.ts';

const { duplicate, invalid, required } = fieldErrors;

const TERMINAL = ['Failed', 'Complete', 'FailureTarget'];

const is = (status: JobStatus, type: string) =>
  (status.conditions ?? []).some((each) => each.type === type && each.status === 'True');
const isFinished = (status: JobStatus) => is(status, 'Complete') || is(status, 'Failed');
const atConditions = (detail: string) => invalidWithoutValue('status.conditions', detail);

/** What is stored, what is asked for, and what of it changes: most rules hold only for what does. */
interface Change {
  spec: Partial<JobSpec>;
  status: JobStatus;
  old: JobStatus;
  /** Whether a condition comes or goes. */
  turns(type: string): boolean;
  changes(name: keyof JobStatus): boolean;
}

export function* validateJobStatusUpdate({ spec: asked, status = {} }: Job, { status: old = {} }: Job): Findings {
  const spec: Partial<JobSpec> = asked ?? {};
  const change: Change = {
    spec,
    status,
    old,
    turns: (type) => is(status, type) !== is(old, type),
    changes: (name) => !semanticEqual(status[name], old[name]),
  };
  for (const name of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) {
    yield* nonNegative(status[name], `status.${name}`);
  }
  yield* uncounted(status);
  yield* completion(change);
  yield* end(change);
  yield* indexes(change);
  yield* counts(change);
  yield* success(change);
  yield* transitions(change);
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

/** Complete excludes failure, and has a time. */
function* completion({ status, turns, changes }: Change): Findings {
  const { completionTime, startTime } = status;
  const isComplete = is(status, 'Complete');
  if (isComplete && is(status, 'Failed') && (turns('Complete') || turns('Failed'))) {
    yield atConditions('cannot set Complete=True and Failed=true conditions');
  }
  if (isComplete && is(status, 'FailureTarget') && (turns('Complete') || turns('FailureTarget'))) {
    yield atConditions('cannot set Complete=True and FailureTarget=true conditions');
  }
  const field = 'status.completionTime';
  const completes = turns('Complete') || changes('completionTime');
  if (completionTime && !isComplete && completes) {
    yield invalid(field, completionTime, 'cannot set completionTime when there is no Complete=True condition');
  }
  if (!completionTime && isComplete && completes) {
    yield required(field, 'completionTime is required for Complete jobs');
  }
  const isBefore = startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime);
  if (isBefore && (changes('startTime') || changes('completionTime'))) {
    yield invalid(field, completionTime, 'must be equal to or after `startTime`');
  }
}

/** How a Job ends, and what is over then. */
function* end({ spec, status, old, turns, changes }: Change): Findings {
  if (is(status, 'Failed') && !is(status, 'FailureTarget') && (turns('Failed') || changes('failedIndexes'))) {
    yield atConditions('cannot set Failed=True condition without the FailureTarget=true condition');
  }
  const isMet = is(status, 'SuccessCriteriaMet');
  if (is(status, 'Complete') && !isMet && (turns('Complete') || turns('SuccessCriteriaMet'))) {
    yield atConditions('cannot set Complete=True condition without the SuccessCriteriaMet=true condition');
  }
  if (!isFinished(status)) return;
  const ends = !isFinished(old);
  const { active = 0, startTime, uncountedTerminatedPods: pods } = status;
  if (active > 0 && (ends || active !== (old.active ?? 0))) {
    yield invalid('status.active', active, 'active>0 is invalid for finished job');
  }
  // One that was asked for nothing and is suspended never starts.
  const neverStarts = spec.suspend === true && spec.completions === 0;
  if (!startTime && !neverStarts && (ends || changes('startTime'))) {
    yield required('status.startTime', 'startTime is required for finished job');
  }
  const isCounted = !pods?.succeeded?.length && !pods?.failed?.length;
  if (!isCounted && (ends || changes('uncountedTerminatedPods'))) {
    yield invalid('status.uncountedTerminatedPods', pods, 'must be empty for finished job');
  }
}

function* indexes({ spec, status, old }: Change): Findings {
  const { completedIndexes = '', failedIndexes } = status;
  const { completions, backoffLimitPerIndex } = spec;
  const completedChange = completedIndexes !== (old.completedIndexes ?? '');
  const failedChange = failedIndexes !== old.failedIndexes;
  if (completedChange) yield* parsed(completedIndexes, completions, 'completedIndexes');
  if (failedChange && failedIndexes !== undefined && backoffLimitPerIndex !== undefined) {
    yield* parsed(failedIndexes, completions, 'failedIndexes');
  }
  if (completedChange && completedIndexes && spec.completionMode !== 'Indexed') {
    const detail = 'cannot set non-empty completedIndexes when non-indexed completion mode';
    yield invalid('status.completedIndexes', completedIndexes, detail);
  }
  if (failedChange && failedIndexes !== undefined && backoffLimitPerIndex === undefined) {
    const detail = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null';
    yield invalid('status.failedIndexes', failedIndexes, detail);
  }
  if (!failedIndexes || !completedIndexes || completions === undefined || !(completedChange || failedChange)) return;
  const overlap = firstOverlap(intervals(completedIndexes, completions), intervals(failedIndexes, completions));
  if (overlap !== undefined) {
    const detail = `failedIndexes and completedIndexes overlap at index: ${overlap}`;
    yield invalid('status.failedIndexes', failedIndexes, detail);
  }
}

function* parsed(text: string, completions: number | undefined, name: string): Findings {
  if (completions === undefined) return;
  const found = countIndexes(text, completions);
  if (typeof found !== 'number') yield invalid(`status.${name}`, text, `error parsing ${name}: ${found.error}`);
}

/** What cannot be read is reported elsewhere. */
const intervals = (text: string, completions: number): Interval[] =>
  text.split(',').flatMap((each) => {
    const interval = parseInterval(each, completions);
    return 'error' in interval ? [] : [interval];
  });

/** Both are in ascending order. */
function firstOverlap(left: readonly Interval[], right: readonly Interval[]): number | undefined {
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [a, b] = [left[i] as Interval, right[j] as Interval];
    if (a[0] <= b[1] && b[0] <= a[1]) return Math.max(a[0], b[0]);
    if (a[0] <= b[0]) i++;
    else j++;
  }
  return undefined;
}

function* counts({ status, old, changes }: Change): Findings {
  const { active = 0, ready = 0, terminating = 0 } = status;
  if (terminating > 0 && isFinished(status) && (!isFinished(old) || changes('terminating'))) {
    yield invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job');
  }
  if (ready > active && (changes('ready') || active !== (old.active ?? 0))) {
    yield invalid('status.ready', ready, 'cannot set more ready pods than active');
  }
}

function* success({ spec, status }: Change): Findings {
  const isMet = is(status, 'SuccessCriteriaMet');
  if (isMet && is(status, 'Failed')) {
    yield atConditions('cannot set SuccessCriteriaMet=True and Failed=true conditions');
  }
  if (isMet && is(status, 'FailureTarget')) {
    yield atConditions('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions');
  }
  if (spec.successPolicy && !isMet && is(status, 'Complete')) {
    yield atConditions('cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True');
  }
}

/** An end is an end, and what was counted stays counted. */
function* transitions({ spec, status, old }: Change): Findings {
  for (const type of TERMINAL) {
    if (is(old, type) && !is(status, type)) yield atConditions(`cannot disable the terminal ${type}=True condition`);
  }
  if ((status.failed ?? 0) < (old.failed ?? 0)) {
    yield invalid('status.failed', status.failed ?? 0, 'cannot decrease the failed counter');
  }
  // An indexed Job whose pods all run at once can be made smaller; what the lost indexes had counts no more.
  const isElastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if ((status.succeeded ?? 0) < (old.succeeded ?? 0) && !isElastic) {
    yield invalid('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter');
  }
  const { completionTime, startTime } = status;
  if (completionTime && old.completionTime && completionTime !== old.completionTime) {
    yield invalid('status.completionTime', completionTime, IMMUTABLE);
  }
  const resumes = is(old, 'Suspended') && (status.conditions ?? []).some(isResumed);
  if (old.startTime && startTime !== old.startTime && !spec.suspend && !resumes) {
    yield required('status.startTime', 'startTime cannot be removed for unsuspended job');
  }
  const isMet = is(status, 'SuccessCriteriaMet');
  if (is(old, 'SuccessCriteriaMet') && !isMet) {
    yield atConditions('cannot disable the SuccessCriteriaMet=True condition');
  }
  if (is(old, 'Complete') && !is(old, 'SuccessCriteriaMet') && isMet) {
    yield atConditions('cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions');
  }
}

const isResumed = ({ type, status }: { type?: string; status?: string }): boolean =>
  type === 'Suspended' && status === 'False';
