// Whether disruption budgets let a pod go, and what that costs them. Pure; the words are upstream's
// (pkg/registry/core/pod/storage/eviction.go).
import { deepClone } from '../../../api/equality.ts';
import { ApiError, errors } from '../../../api/errors.ts';
import type { KubeObject } from '../../../api/object.ts';
import { isPodReady } from '../../../api/pod-conditions.ts';
import { selectorFromObject } from '../../../api/selectors.ts';
import type { Pod } from '../../../api/types/core-v1.ts';
import type { PodDisruptionBudget } from '../../../api/types/policy-v1.ts';
import { timestamp } from '../encode.ts';

export type Budget = PodDisruptionBudget & KubeObject;

/** Evictions that were granted and that the controller has not seen happen: above it something is wrong with it. */
const MAX_DISRUPTED = 2000;
const BUDGETS = { group: '', resource: 'poddisruptionbudget' };

/** Pods that have ended, have not begun or are going disrupt nobody. */
export function needsNoBudget({ status, metadata }: Pod): boolean {
  const ended = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  return ended || status?.phase === 'Pending' || metadata.deletionTimestamp !== undefined;
}

/** An empty selector selects nothing here. */
export function budgetsOf(pod: Pod, budgets: readonly Budget[]): Budget[] {
  return budgets.filter(({ spec }) => {
    const { matchLabels = {}, matchExpressions = [] } = spec?.selector ?? {};
    if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) return false;
    return selectorFromObject(spec?.selector).matches(pod.metadata.labels ?? {});
  });
}

/** A pod that is not ready and whose budget can do without it goes for free. */
export function goesForFree(pod: Pod, { spec, status }: Budget): boolean {
  if (isPodReady(pod)) return false;
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const desired = status?.desiredHealthy ?? 0;
  return desired > 0 && (status?.currentHealthy ?? 0) >= desired;
}

/** The budget with one disruption fewer. Throws 429 with the cause, or 403. `budget` is not touched. */
export function withOneLess(budget: Budget, podName: string, nowMs: number): Budget {
  const name = budget.metadata.name as string;
  const status = budget.status ?? {};
  const allowed = status.disruptionsAllowed ?? 0;
  if ((status.observedGeneration ?? 0) < (budget.metadata.generation ?? 0)) throw stillProcessed(name);
  if (allowed < 0) throw errors.forbidden(BUDGETS, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status.disruptedPods ?? {}).length > MAX_DISRUPTED) {
    throw errors.forbidden(
      BUDGETS,
      name,
      'DisruptedPods map too big - too many evictions not confirmed by PDB controller',
    );
  }
  if (allowed === 0) throw tooMany(0, whyNone(budget));
  const changed = deepClone(budget);
  changed.status = {
    ...changed.status,
    disruptionsAllowed: allowed - 1,
    disruptedPods: { ...status.disruptedPods, [podName]: timestamp(nowMs) },
  };
  if (allowed === 1) {
    const type = 'DisruptionAllowed';
    const now = {
      type,
      status: 'False',
      reason: 'InsufficientPods',
      message: '',
      lastTransitionTime: timestamp(nowMs),
      observedGeneration: status.observedGeneration ?? 0,
    };
    changed.status.conditions = [...(status.conditions ?? []).filter((each) => each.type !== type), now];
  }
  return changed;
}

function whyNone({ metadata: { name }, status }: Budget): string {
  const condition = status?.conditions?.find((each) => each.type === 'DisruptionAllowed');
  if (condition?.reason === 'SyncFailed') {
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${condition.message ?? ''}`;
  }
  const { desiredHealthy = 0, currentHealthy = 0 } = status ?? {};
  if (currentHealthy <= desiredHealthy) {
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  }
  return `The disruption budget ${name} does not allow evicting pods currently`;
}

export const stillProcessed = (name: string): ApiError =>
  tooMany(10, `The disruption budget ${name} is still being processed by the server.`);

function tooMany(retryAfterSeconds: number, why: string): ApiError {
  return new ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    causes: [{ reason: 'DisruptionBudget', message: why }],
    ...(retryAfterSeconds > 0 && { retryAfterSeconds }),
  });
}
