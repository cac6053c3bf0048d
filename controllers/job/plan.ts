// What a Job needs next, from its pods alone. Pure.
//
// How a pod is counted exactly once: it carries a finalizer from its creation. When it has ended, (1) its uid goes into
// status.uncountedTerminatedPods (or its index into completedIndexes), (2) only when that is written its finalizer goes, (3) when
// the finalizer is seen to be gone, uid becomes a count, in one write. A crash between any two steps loses nothing.
import { isPodActive, isPodReady, isPodTerminal } from '../../api/pod-conditions.ts';
import type { Job, JobCondition, JobStatus } from '../../api/types/batch-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { withoutZeros } from '../parts/status.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';
import { rankForDeletion } from '../replicaset/plan.ts';
import { finalType, finishedCondition, type Verdict, verdictOf, withJobCondition } from './conditions.ts';
import { formatIndexes, parseIndexes } from './indexes.ts';
import { type IndexFailures, type PerIndex, perIndexOf } from './per-index.ts';
import {
  backoffMs,
  completionIndex,
  failurePolicyOf,
  hasFailed,
  isIndexed,
  isSuspended,
  isTracked,
  restartsExceed,
  waitsForTheEnd,
} from './pods.ts';

/** Pods created or deleted, and uids noted, in one round. */
const maxPerRound = 500;

export interface JobPlan {
  /** One per pod to create: its completion index, or undefined for a Job without. */
  create: (number | undefined)[];
  /** With a limit of failures for each index: what a new pod of an index has to carry. */
  failuresOf?: (index: number) => IndexFailures;
  remove: Pod[];
  /** As it is when everything of this round succeeds. */
  status: JobStatus;
  /** Pods whose finalizer may go once `status` is written. */
  untrack: Pod[];
  events: { type: 'Normal' | 'Warning'; reason: string; message: string }[];
  recheckMs: number | undefined;
}

/** `pods` are all that the Job controls, from a mirror that has seen all its own creations and deletions. */
export function planJob(job: Job, pods: readonly Pod[], nowMs: number): JobPlan {
  const old = job.status ?? {};
  const tracked = pods.filter(isTracked);
  const plan: JobPlan = { create: [], remove: [], status: old, untrack: [], events: [], recheckMs: undefined };
  // Nobody will count these any more.
  if (job.metadata.deletionTimestamp || finishedCondition(job)) return { ...plan, untrack: tracked };

  const tally = count(job, pods, tracked);
  const { perIndex } = tally;
  if (perIndex) plan.failuresOf = perIndex.failuresOf;
  const active = pods.filter(isPodActive);
  const verdict =
    verdictOf(job) ?? failureOf(job, pods, tally, nowMs) ?? successOf(job, tally, active.length) ?? undefined;
  let conditions: readonly JobCondition[] = old.conditions ?? [];
  let startTime = old.startTime ?? (isSuspended(job) ? undefined : rfc3339(nowMs));

  if (verdict) {
    plan.remove = active.slice(0, maxPerRound);
    const { interim, reason, message } = verdict;
    conditions = withJobCondition(conditions, { type: interim, status: 'True', reason, message }, nowMs);
  } else {
    const { create, remove, recheckMs } = manage(job, pods, active, tally, nowMs);
    Object.assign(plan, { create, remove, recheckMs });
    const wasSuspended = conditions.find((each) => each.type === 'Suspended');
    if (isSuspended(job) && wasSuspended?.status !== 'True') {
      const condition = { type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' };
      conditions = withJobCondition(conditions, condition, nowMs);
      plan.events.push({ type: 'Normal', reason: 'Suspended', message: 'Job suspended' });
    } else if (!isSuspended(job) && wasSuspended?.status === 'True') {
      const condition = { type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' };
      conditions = withJobCondition(conditions, condition, nowMs);
      plan.events.push({ type: 'Normal', reason: 'Resumed', message: 'Job resumed' });
      startTime = rfc3339(nowMs);
    }
    const deadline = job.spec?.activeDeadlineSeconds;
    if (deadline !== undefined && startTime && !isSuspended(job)) {
      const leftMs = Math.max(1, parseTime(startTime) + deadline * 1000 - nowMs);
      plan.recheckMs = Math.min(plan.recheckMs ?? leftMs, leftMs);
    }
  }

  const terminating = pods.filter((pod) => pod.metadata.deletionTimestamp && !isPodTerminal(pod)).length;
  const { uncountedSucceeded, uncountedFailed } = tally;
  const isOver =
    verdict && active.length === 0 && terminating === 0 && uncountedSucceeded.size + uncountedFailed.size === 0;
  plan.untrack = tracked.filter((pod) => isAccounted(job, pod, tally, verdict));
  let completionTime: string | undefined;
  if (verdict && isOver && plan.untrack.length === 0) {
    const { reason, message } = verdict;
    const type = finalType(verdict);
    conditions = withJobCondition(conditions, { type, status: 'True', reason, message }, nowMs);
    if (type === 'Complete') completionTime = rfc3339(nowMs);
    plan.events.push(
      type === 'Complete'
        ? { type: 'Normal', reason: 'Completed', message: 'Job completed' }
        : { type: 'Warning', reason, message },
    );
  }
  const removed = new Set(plan.remove);
  plan.status = withoutZeros<JobStatus>(
    {
      ...(conditions.length > 0 && { conditions: [...conditions] }),
      startTime,
      completionTime,
      active: active.length - removed.size + plan.create.length,
      succeeded: isIndexed(job) ? tally.succeededIndexes.size : tally.countedSucceeded,
      failed: tally.countedFailed,
      completedIndexes: formatIndexes(tally.succeededIndexes) || undefined,
      ...(perIndex && { failedIndexes: formatIndexes(perIndex.failed) }),
      uncountedTerminatedPods: {
        ...(uncountedSucceeded.size > 0 && { succeeded: [...uncountedSucceeded] }),
        ...(uncountedFailed.size > 0 && { failed: [...uncountedFailed] }),
      },
      ready: active.filter((pod) => isPodReady(pod) && !removed.has(pod)).length,
      terminating,
    },
    ['ready', 'terminating', 'failedIndexes'],
  );
  return plan;
}

interface Tally {
  countedSucceeded: number;
  countedFailed: number;
  uncountedSucceeded: Set<string>;
  uncountedFailed: Set<string>;
  succeededIndexes: Set<number>;
  /** Only with a limit of failures for each index. */
  perIndex?: PerIndex | undefined;
  /** Everything known, also what this round has no room to note. */
  succeeded: number;
  failed: number;
}

function count(job: Job, pods: readonly Pod[], tracked: readonly Pod[]): Tally {
  const { uncountedTerminatedPods, succeeded = 0, failed = 0, completedIndexes } = job.status ?? {};
  const indexed = isIndexed(job);
  const completions = job.spec?.completions ?? 0;
  const trackedUids = new Set(tracked.map((pod) => pod.metadata.uid as string));
  const split = (uids: readonly string[] = []) => {
    const waiting = uids.filter((uid) => trackedUids.has(uid));
    return { waiting: new Set(waiting), done: new Set(uids).size - waiting.length };
  };
  const succeededBefore = split(uncountedTerminatedPods?.succeeded);
  const failedBefore = split(uncountedTerminatedPods?.failed);
  const tally: Tally = {
    countedSucceeded: succeeded + succeededBefore.done,
    countedFailed: failed + failedBefore.done,
    uncountedSucceeded: succeededBefore.waiting,
    uncountedFailed: failedBefore.waiting,
    succeededIndexes: indexed ? parseIndexes(completedIndexes, completions) : new Set(),
    succeeded: 0,
    failed: 0,
  };
  let room = maxPerRound - tally.uncountedSucceeded.size - tally.uncountedFailed.size;
  let overflowSucceeded = 0;
  let overflowFailed = 0;
  for (const pod of tracked) {
    const uid = pod.metadata.uid as string;
    if (tally.uncountedFailed.has(uid) || tally.uncountedSucceeded.has(uid)) continue;
    const index = completionIndex(pod);
    if (indexed && (index === undefined || index >= completions)) continue;
    if (pod.status?.phase === 'Succeeded') {
      if (indexed) tally.succeededIndexes.add(index as number);
      else if (room-- > 0) tally.uncountedSucceeded.add(uid);
      else overflowSucceeded++;
    } else if (hasFailed(job, pod) && failurePolicyOf(job, pod)?.action !== 'Ignore') {
      if (room-- > 0) tally.uncountedFailed.add(uid);
      else overflowFailed++;
    }
  }
  tally.failed = tally.countedFailed + tally.uncountedFailed.size + overflowFailed;
  tally.succeeded = indexed
    ? tally.succeededIndexes.size
    : tally.countedSucceeded + tally.uncountedSucceeded.size + overflowSucceeded;
  tally.perIndex = perIndexOf(job, pods, tally.succeededIndexes);
  return tally;
}

/** Its end is in the status, or is not to be counted. */
function isAccounted(job: Job, pod: Pod, tally: Tally, verdict: Verdict | undefined): boolean {
  const uid = pod.metadata.uid as string;
  if (!verdict && tally.perIndex?.isNeeded(pod)) return false;
  if (tally.uncountedFailed.has(uid) || tally.uncountedSucceeded.has(uid)) return true;
  const ended = isPodTerminal(pod) || hasFailed(job, pod);
  if (!ended) return false;
  if (!isIndexed(job)) return failurePolicyOf(job, pod)?.action === 'Ignore';
  const index = completionIndex(pod);
  if (index === undefined || index >= (job.spec?.completions ?? 0)) return true;
  if (pod.status?.phase === 'Succeeded') return tally.succeededIndexes.has(index);
  return failurePolicyOf(job, pod)?.action === 'Ignore' || verdict?.interim === 'SuccessCriteriaMet';
}

function failureOf(job: Job, pods: readonly Pod[], tally: Tally, nowMs: number): Verdict | undefined {
  const fails = (reason: string, message: string): Verdict => ({ interim: 'FailureTarget', reason, message });
  const { completions = 0, maxFailedIndexes, backoffLimit = 6, activeDeadlineSeconds } = job.spec ?? {};
  for (const pod of pods) {
    const found = failurePolicyOf(job, pod);
    if (found?.action === 'FailJob') return fails('PodFailurePolicy', found.message);
  }
  if (tally.failed > backoffLimit || restartsExceed(job, pods))
    return fails('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  const startMs = parseTime(job.status?.startTime);
  const isLate = activeDeadlineSeconds !== undefined && nowMs - startMs >= activeDeadlineSeconds * 1000;
  if (isLate && startMs > 0 && !isSuspended(job))
    return fails('DeadlineExceeded', 'Job was active longer than specified deadline');
  const failedIndexes = tally.perIndex?.failed.size ?? 0;
  if (maxFailedIndexes !== undefined && failedIndexes > maxFailedIndexes)
    return fails('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
  if (failedIndexes > 0 && tally.succeededIndexes.size + failedIndexes >= completions && !successRuleOf(job, tally))
    return fails('FailedIndexes', 'Job has failed indexes');
  return undefined;
}

/** What the first rule of the success policy that is met says. */
function successRuleOf(job: Job, tally: Tally): Verdict | undefined {
  const { completions, successPolicy } = job.spec ?? {};
  for (const [index, rule] of (successPolicy?.rules ?? []).entries()) {
    const wanted =
      rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, completions ?? 0);
    const met = wanted ? [...wanted].filter((each) => tally.succeededIndexes.has(each)).length : tally.succeeded;
    if (met < (rule.succeededCount ?? wanted?.size ?? Infinity)) continue;
    const message = `Matched rules at index ${index}`;
    return { interim: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message };
  }
  return undefined;
}

function successOf(job: Job, tally: Tally, active: number): Verdict | undefined {
  const { completions } = job.spec ?? {};
  const byRule = successRuleOf(job, tally);
  if (byRule) return byRule;
  const isComplete = completions === undefined ? tally.succeeded > 0 : tally.succeeded >= completions;
  // A suspended Job with nothing left to do is complete, too.
  if (!isComplete || active > 0) return undefined;
  const message = 'Reached expected number of succeeded pods';
  return { interim: 'SuccessCriteriaMet', reason: 'CompletionsReached', message };
}

const isFinished = ({ succeededIndexes, perIndex }: Tally, index: number): boolean =>
  succeededIndexes.has(index) || perIndex?.failed.has(index) === true;

/** Creates or removes until as many run as should. */
function manage(
  job: Job,
  pods: readonly Pod[],
  active: readonly Pod[],
  tally: Tally,
  nowMs: number,
): Pick<JobPlan, 'create' | 'remove' | 'recheckMs'> {
  const nothing = { create: [], remove: [], recheckMs: undefined };
  const { completions, parallelism = 1 } = job.spec ?? {};
  if (isSuspended(job)) return { ...nothing, remove: active.slice(0, maxPerRound) };
  let wanted = parallelism;
  const finishedIndexes = tally.succeeded + (tally.perIndex?.failed.size ?? 0);
  if (completions !== undefined) wanted = Math.max(0, Math.min(parallelism, completions - finishedIndexes));
  else if (tally.succeeded > 0) wanted = Math.min(active.length, parallelism);

  const remove = surplus(job, active, tally, wanted, nowMs);
  if (remove.length > 0) return { ...nothing, remove: remove.slice(0, maxPerRound) };
  const ending = waitsForTheEnd(job)
    ? pods.filter((pod) => pod.metadata.deletionTimestamp && !isPodTerminal(pod))
    : ([] as Pod[]);
  const missing = Math.min(maxPerRound, wanted - active.length - ending.length);
  if (missing <= 0) return nothing;
  const waitMs = tally.perIndex ? 0 : backoffMs(job, pods, nowMs);
  if (waitMs > 0) return { ...nothing, recheckMs: waitMs };
  if (!isIndexed(job)) return { ...nothing, create: Array.from({ length: missing }, () => undefined) };
  const taken = new Set([...active, ...ending].map(completionIndex));
  const create: number[] = [];
  let recheckMs: number | undefined;
  for (let index = 0; index < (completions ?? 0) && create.length < missing; index++) {
    if (taken.has(index) || isFinished(tally, index)) continue;
    const indexWaitMs = tally.perIndex?.waitMs(index, nowMs) ?? 0;
    if (indexWaitMs > 0) recheckMs = Math.min(recheckMs ?? indexWaitMs, indexWaitMs);
    else create.push(index);
  }
  return { ...nothing, create, recheckMs };
}

/** First pods of indexes that are done, doubled or out of range, then those least worth keeping. */
function surplus(job: Job, active: readonly Pod[], tally: Tally, wanted: number, nowMs: number): Pod[] {
  const ranked = rankForDeletion(active, active, nowMs);
  if (!isIndexed(job)) return ranked.slice(0, Math.max(0, active.length - wanted));
  const seen = new Set<number>();
  const useless = new Set<Pod>();
  for (const pod of ranked.toReversed()) {
    const index = completionIndex(pod);
    const isUseful =
      index !== undefined && index < (job.spec?.completions ?? 0) && !seen.has(index) && !isFinished(tally, index);
    if (isUseful) seen.add(index);
    else useless.add(pod);
  }
  const rest = ranked.filter((pod) => !useless.has(pod));
  return [...useless, ...rest.slice(0, Math.max(0, rest.length - wanted))];
}
