// Limits of failures for each index of a Job (backoffLimitPerIndex). Every pod carries how often its index has failed before; so
// the last failed pod of an index keeps its finalizer until one that has counted it is there. Pure.
import { isPodActive } from '../../api/pod-conditions.ts';
import type { Job } from '../../api/types/batch-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { parseIndexes } from './indexes.ts';
import { completionIndex, delayAfter, failurePolicyOf, finishedMs, hasFailed, isTracked } from './pods.ts';

const failureCountAnnotation = 'batch.kubernetes.io/job-index-failure-count';
const ignoredCountAnnotation = 'batch.kubernetes.io/job-index-ignored-failure-count';

/** How often an index has failed before a pod of it began: what counts, and what the failure policy ignores. */
export interface IndexFailures {
  counted: number;
  ignored: number;
}

export const failureAnnotations = ({ counted, ignored }: IndexFailures): Record<string, string> => ({
  [failureCountAnnotation]: String(counted),
  ...(ignored > 0 && { [ignoredCountAnnotation]: String(ignored) }),
});

export interface PerIndex {
  failed: ReadonlySet<number>;
  /** Pods that are still needed to know how often their index has failed. */
  isNeeded(pod: Pod): boolean;
  /** What the next pod of an index starts with. */
  failuresOf(index: number): IndexFailures;
  /** How long the next pod of an index has to wait. */
  waitMs(index: number, nowMs: number): number;
}

export const hasLimitPerIndex = (job: Job): boolean => job.spec?.backoffLimitPerIndex !== undefined;

const countOf = (pod: Pod, annotation: string): number => {
  const text = pod.metadata.annotations?.[annotation];
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : 0;
};
const failuresBefore = (pod: Pod): IndexFailures => ({
  counted: countOf(pod, failureCountAnnotation),
  ignored: countOf(pod, ignoredCountAnnotation),
});
const total = ({ counted, ignored }: IndexFailures) => counted + ignored;

function isLast(job: Job, pod: Pod): boolean {
  const action = failurePolicyOf(job, pod)?.action;
  if (action === 'FailIndex') return true;
  return action !== 'Ignore' && failuresBefore(pod).counted >= (job.spec?.backoffLimitPerIndex ?? 0);
}

/** undefined for a Job without such a limit. */
export function perIndexOf(job: Job, pods: readonly Pod[], succeeded: ReadonlySet<number>): PerIndex | undefined {
  if (!hasLimitPerIndex(job)) return undefined;
  const completions = job.spec?.completions ?? 0;
  const failed = parseIndexes(job.status?.failedIndexes, completions);
  const latest = new Map<number, Pod>();
  const replaced = new Map<number, number>();
  for (const pod of pods) {
    const index = completionIndex(pod);
    if (index === undefined || index >= completions || succeeded.has(index)) continue;
    const before = total(failuresBefore(pod));
    if (isPodActive(pod)) replaced.set(index, Math.max(before, replaced.get(index) ?? 0));
    if (!isTracked(pod) || !hasFailed(job, pod)) continue;
    if (isLast(job, pod)) failed.add(index);
    const other = latest.get(index);
    if (!other || total(failuresBefore(other)) < before) latest.set(index, pod);
  }
  return {
    failed,
    isNeeded(pod) {
      const index = completionIndex(pod);
      if (index === undefined || failed.has(index) || latest.get(index) !== pod) return false;
      return (replaced.get(index) ?? -1) <= total(failuresBefore(pod));
    },
    failuresOf(index) {
      const last = latest.get(index);
      if (!last) return { counted: 0, ignored: 0 };
      const { counted, ignored } = failuresBefore(last);
      const isIgnored = failurePolicyOf(job, last)?.action === 'Ignore';
      return isIgnored ? { counted, ignored: ignored + 1 } : { counted: counted + 1, ignored };
    },
    waitMs(index, nowMs) {
      const last = latest.get(index);
      return last ? Math.max(0, finishedMs(last) + delayAfter(total(failuresBefore(last)) + 1) - nowMs) : 0;
    },
  };
}
