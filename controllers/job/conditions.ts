// Conditions of a Job. Pure.
import type { Job, JobCondition } from '../../api/types/batch-v1.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';

export interface Verdict {
  /** First the interim condition, while pods are still ending, then the final one with the same reason and message. */
  interim: 'FailureTarget' | 'SuccessCriteriaMet';
  reason: string;
  message: string;
}

export const finalType = (verdict: Verdict) => (verdict.interim === 'FailureTarget' ? 'Failed' : 'Complete');

const holds = (conditions: readonly JobCondition[] | undefined, type: string): JobCondition | undefined =>
  conditions?.find((each) => each.type === type && each.status === 'True');

/** The condition Complete or Failed. */
export const finishedCondition = (job: Job): JobCondition | undefined =>
  holds(job.status?.conditions, 'Complete') ?? holds(job.status?.conditions, 'Failed');

/** When it finished; undefined while it has not. */
export function finishedAtMs(job: Job): number | undefined {
  const condition = finishedCondition(job);
  return condition && parseTime(condition.lastTransitionTime);
}

/** What an earlier round has decided. */
export function verdictOf(job: Job): Verdict | undefined {
  for (const interim of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
    const condition = holds(job.status?.conditions, interim);
    if (condition) return { interim, reason: condition.reason ?? '', message: condition.message ?? '' };
  }
  return undefined;
}

/** The same list when the condition has that status already. */
export function withJobCondition(
  conditions: readonly JobCondition[],
  condition: Pick<JobCondition, 'type' | 'status' | 'reason' | 'message'>,
  nowMs: number,
): readonly JobCondition[] {
  const present = conditions.find((each) => each.type === condition.type);
  if (present?.status === condition.status) return conditions;
  const now = rfc3339(nowMs);
  const next = { ...condition, lastProbeTime: now, lastTransitionTime: now };
  return present ? conditions.map((each) => (each === present ? next : each)) : [...conditions, next];
}
