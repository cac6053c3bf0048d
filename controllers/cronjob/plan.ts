// What a CronJob needs next. Pure.
import { deepEqual } from '../../api/equality.ts';
import type { CronJob, CronJobStatus, Job } from '../../api/types/batch-v1.ts';
import type { ObjectReference } from '../../api/types/core-v1.ts';
import { finishedCondition } from '../job/conditions.ts';
import { controllerOf } from '../parts/owners.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';
import { parseSchedule, type Schedule } from './schedule.ts';

export interface CronEvent {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

export interface CronPlan {
  events: CronEvent[];
  /** Active Jobs to end first (concurrencyPolicy Replace). */
  replace: Job[];
  create: Job | undefined;
  /** Finished Jobs beyond the history limits. */
  remove: Job[];
  /** Without the Job that is to be created. */
  status: CronJobStatus;
  recheckMs: number | undefined;
}

const scheduledAnnotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
/** Timers never fire early, but clocks are read in milliseconds: a little later is surely after. */
const afterMs = 100;

/** `jobs` are all that the CronJob controls. */
export function planCronJob(cronJob: CronJob, jobs: readonly Job[], nowMs: number): CronPlan {
  const events: CronEvent[] = [];
  const status = followJobs(cronJob, jobs, events);
  const plan: CronPlan = { events, replace: [], create: undefined, remove: [], status, recheckMs: undefined };
  if (cronJob.metadata.deletionTimestamp) return plan;
  plan.remove = beyondHistory(cronJob, jobs);
  const { schedule: text, timeZone, suspend, startingDeadlineSeconds, concurrencyPolicy } = cronJob.spec;
  if (suspend) return plan;
  const warn = (reason: string, message: string) => events.push({ type: 'Warning', reason, message });
  let schedule: Schedule;
  try {
    schedule = parseSchedule(text, timeZone);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof RangeError) warn('UnknownTimeZone', `invalid timeZone: "${timeZone}": ${message}`);
    else warn('UnparseableSchedule', `unparseable schedule: "${text}" : ${message}`);
    return plan;
  }
  const missed = latestMissed(cronJob, schedule, nowMs);
  const next = schedule.next(nowMs);
  if (next !== undefined) plan.recheckMs = next - nowMs + afterMs;
  if (missed.tooMany)
    warn(
      'TooManyMissedTimes',
      'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
    );
  const at = missed.latestMs;
  if (at === undefined) return plan;
  const name = jobName(cronJob, at);
  if (status.active?.some((each) => each.name === name) || parseTime(status.lastScheduleTime) === at) return plan;
  if (startingDeadlineSeconds !== undefined && at + startingDeadlineSeconds * 1000 < nowMs) {
    warn('MissSchedule', `Missed scheduled time to start a job: ${rfc1123(at)}`);
    return plan;
  }
  const active = jobs.filter((job) => !finishedCondition(job) && isListed(status, job));
  if (concurrencyPolicy === 'Forbid' && (status.active?.length ?? 0) > 0) {
    const message = 'Not starting job because prior execution is running and concurrency policy is Forbid';
    events.push({ type: 'Normal', reason: 'JobAlreadyActive', message });
    return plan;
  }
  if (concurrencyPolicy === 'Replace') plan.replace = active;
  plan.create = newJob(cronJob, at, name);
  return plan;
}

const isListed = (status: CronJobStatus, job: Job): boolean =>
  status.active?.some((each) => each.uid === job.metadata.uid) ?? false;

/** Strikes finished and missing Jobs off the active ones; an active Job that is not listed (its status was lost) is told. */
function followJobs(cronJob: CronJob, jobs: readonly Job[], events: CronEvent[]): CronJobStatus {
  const status: CronJobStatus = { ...cronJob.status };
  let active = status.active ?? [];
  let lastSuccess = parseTime(status.lastSuccessfulTime);
  const byUid = new Map(jobs.map((job) => [job.metadata.uid, job]));
  for (const reference of active) {
    if (byUid.has(reference.uid)) continue;
    events.push({ type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${reference.name}` });
    active = active.filter((each) => each !== reference);
  }
  for (const job of jobs) {
    const condition = finishedCondition(job);
    const listed = active.find((each) => each.uid === job.metadata.uid);
    if (condition?.type === 'Complete')
      lastSuccess = Math.max(lastSuccess, parseTime(job.status?.completionTime ?? condition.lastTransitionTime));
    if (condition && listed) {
      const message = `Saw completed job: ${job.metadata.name}, condition: ${condition.type}`;
      events.push({ type: 'Normal', reason: 'SawCompletedJob', message });
      active = active.filter((each) => each !== listed);
    } else if (!condition && !listed && !job.metadata.deletionTimestamp && wasScheduled(job)) {
      // Created, but the status was not written before the end of the last controller.
      active = [...active, referenceOf(job)];
    }
  }
  const next: CronJobStatus = {
    ...status,
    active: active.length > 0 ? [...active] : undefined,
    lastSuccessfulTime: lastSuccess > 0 ? rfc3339(lastSuccess) : undefined,
  };
  return deepEqual(next, status) ? status : next;
}

const wasScheduled = (job: Job) => job.metadata.annotations?.[scheduledAnnotation] !== undefined;

export const referenceOf = (job: Job): ObjectReference => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  name: job.metadata.name,
  namespace: job.metadata.namespace,
  uid: job.metadata.uid,
  resourceVersion: job.metadata.resourceVersion,
});

/** Oldest first, of the successful and of the failed. */
function beyondHistory(cronJob: CronJob, jobs: readonly Job[]): Job[] {
  const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = cronJob.spec;
  const startMs = (job: Job) => parseTime(job.status?.startTime ?? job.metadata.creationTimestamp);
  const name = (job: Job) => job.metadata.name ?? '';
  const beyond = (type: string, limit: number) => {
    const ended = jobs.filter((job) => finishedCondition(job)?.type === type && !job.metadata.deletionTimestamp);
    ended.sort((a, b) => startMs(a) - startMs(b) || (name(a) < name(b) ? -1 : 1));
    return ended.slice(0, Math.max(0, ended.length - limit));
  };
  return [...beyond('Complete', successfulJobsHistoryLimit), ...beyond('Failed', failedJobsHistoryLimit)];
}

/** The latest time since the last start that is not in the future, and whether more than a hundred were missed. */
export function latestMissed(
  cronJob: CronJob,
  schedule: Schedule,
  nowMs: number,
): { latestMs: number | undefined; tooMany: boolean } {
  const { startingDeadlineSeconds } = cronJob.spec;
  let since = parseTime(cronJob.status?.lastScheduleTime) || parseTime(cronJob.metadata.creationTimestamp);
  if (startingDeadlineSeconds !== undefined) since = Math.max(since, nowMs - startingDeadlineSeconds * 1000);
  let latestMs: number | undefined;
  let count = 0;
  for (let at = schedule.next(since); at !== undefined && at <= nowMs; at = schedule.next(at)) {
    latestMs = at;
    if (++count > 100) break;
  }
  if (count <= 100) return { latestMs, tooMany: false };
  // Not one by one: a minute's schedule may have slept for years.
  for (let spanMs = 60_000; ; spanMs *= 2) {
    const first = schedule.next(Math.max(since, nowMs - spanMs));
    if (first === undefined || first > nowMs) continue;
    for (let at: number | undefined = first; at !== undefined && at <= nowMs; at = schedule.next(at)) latestMs = at;
    return { latestMs, tooMany: true };
  }
}

const jobName = (cronJob: CronJob, atMs: number) => `${cronJob.metadata.name}-${Math.floor(atMs / 60_000)}`;

function newJob(cronJob: CronJob, atMs: number, name: string): Job {
  const { metadata, spec } = cronJob.spec.jobTemplate;
  return {
    metadata: {
      name,
      namespace: cronJob.metadata.namespace,
      labels: { ...metadata?.labels },
      annotations: { ...metadata?.annotations, [scheduledAnnotation]: rfc3339(atMs) },
    },
    spec,
  };
}

/** Of this CronJob, so that a Job of that name that exists is the one that was to be created. */
export const isOurs = (cronJob: CronJob, job: Job): boolean => controllerOf(job)?.uid === cronJob.metadata.uid;

/** `Mon, 02 Jan 2006 15:04:05 +0000`. */
const rfc1123 = (ms: number) => new Date(ms).toUTCString().replace('GMT', '+0000');
