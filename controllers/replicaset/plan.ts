// What a ReplicaSet needs next, from its pods alone. Pure.
import {
  becomesAvailableInMs,
  isPodActive,
  isPodAvailable,
  isPodReady,
  isPodTerminal,
} from '../../api/pod-conditions.ts';
import { selectorFromMap } from '../../api/selectors.ts';
import type { ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { withoutZeros } from '../parts/status.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';

/** Pods created or deleted in one go, at most. */
export const burstReplicas = 500;

export interface ReplicaSetPlan {
  create: number;
  /** In order: the first is the one least worth keeping. */
  remove: Pod[];
}

/** `pods` are those it owns; `related` those of every ReplicaSet of the same owner (they rank pods by colocation). */
export function planReplicas(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  related: readonly Pod[],
  nowMs: number,
): ReplicaSetPlan {
  if (replicaSet.metadata.deletionTimestamp) return { create: 0, remove: [] };
  const active = pods.filter(isPodActive);
  const missing = (replicaSet.spec?.replicas ?? 1) - active.length;
  if (missing >= 0) return { create: Math.min(missing, burstReplicas), remove: [] };
  const count = Math.min(-missing, burstReplicas);
  return {
    create: 0,
    remove: count < active.length ? rankForDeletion(active, related, nowMs).slice(0, count) : active.slice(0, count),
  };
}

const phaseRank = (pod: Pod) => ['Pending', 'Unknown', 'Running'].indexOf(pod.status?.phase ?? 'Unknown');
const deletionCost = (pod: Pod) => {
  const cost = Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0);
  return Number.isInteger(cost) ? cost : 0;
};
const readySinceMs = (pod: Pod) =>
  parseTime(pod.status?.conditions?.find((each) => each.type === 'Ready')?.lastTransitionTime);
/** Ages are compared by order of magnitude, so that the choice among similar ones is not always the newest. */
const magnitude = (sinceMs: number, nowMs: number) =>
  nowMs > sinceMs ? Math.floor(Math.log2((nowMs - sinceMs) * 1e6)) : -1;
const maxRestarts = (pod: Pod) =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map((each) => each.restartCount ?? 0));

/** Upstream's order of ActivePodsWithRanks: first what was never placed, is not running, not ready, cheap, crowded, young. */
export function rankForDeletion(pods: readonly Pod[], related: readonly Pod[], nowMs: number): Pod[] {
  const perNode = new Map<string, number>();
  for (const pod of related) {
    const node = pod.spec?.nodeName;
    if (node && isPodActive(pod)) perNode.set(node, (perNode.get(node) ?? 0) + 1);
  }
  const crowd = (pod: Pod) => perNode.get(pod.spec?.nodeName ?? '') ?? 0;
  const uid = (pod: Pod) => pod.metadata.uid ?? '';
  const byUid = (a: Pod, b: Pod) => (uid(a) < uid(b) ? -1 : uid(a) > uid(b) ? 1 : 0);
  const younger = (aMs: number, bMs: number, a: Pod, b: Pod) =>
    magnitude(aMs, nowMs) - magnitude(bMs, nowMs) || byUid(a, b);
  return [...pods].sort((a, b) => {
    const placed = Number(Boolean(a.spec?.nodeName)) - Number(Boolean(b.spec?.nodeName));
    if (placed !== 0) return placed;
    const phase = phaseRank(a) - phaseRank(b);
    if (phase !== 0) return phase;
    const ready = Number(isPodReady(a)) - Number(isPodReady(b));
    if (ready !== 0) return ready;
    const cost = deletionCost(a) - deletionCost(b);
    if (cost !== 0) return cost;
    const crowded = crowd(b) - crowd(a);
    if (crowded !== 0) return crowded;
    if (isPodReady(a) && isPodReady(b) && readySinceMs(a) !== readySinceMs(b))
      return younger(readySinceMs(a), readySinceMs(b), a, b);
    const restarts = maxRestarts(b) - maxRestarts(a);
    if (restarts !== 0) return restarts;
    const createdA = parseTime(a.metadata.creationTimestamp);
    const createdB = parseTime(b.metadata.creationTimestamp);
    return createdA === createdB ? byUid(a, b) : younger(createdA, createdB, a, b);
  });
}

export interface ReplicaFailure {
  reason: 'FailedCreate' | 'FailedDelete';
  message: string;
}

/** The status that the pods come to; `failure` is what stopped this round's creates or deletes. */
export function replicaSetStatus(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): ReplicaSetStatus {
  const active = pods.filter(isPodActive);
  const templateLabels = selectorFromMap(replicaSet.spec?.template?.metadata?.labels);
  const minReadySeconds = replicaSet.spec?.minReadySeconds ?? 0;
  const status: ReplicaSetStatus = {
    replicas: active.length, // the others are left out when zero, as upstream's encoder does
    fullyLabeledReplicas: active.filter((pod) => templateLabels.matches(pod.metadata.labels)).length,
    readyReplicas: active.filter(isPodReady).length,
    availableReplicas: active.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length,
    terminatingReplicas: pods.filter((pod) => pod.metadata.deletionTimestamp && !isPodTerminal(pod)).length,
    observedGeneration: replicaSet.metadata.generation ?? 0,
  };
  const conditions = conditionsAfter(replicaSet.status?.conditions ?? [], failure, nowMs);
  if (conditions.length > 0) status.conditions = conditions;
  return withoutZeros(status, ['replicas', 'terminatingReplicas']);
}

/** The condition stays as it is while the failure is the same in kind: its time tells when it began. */
function conditionsAfter(
  old: readonly ReplicaSetCondition[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): ReplicaSetCondition[] {
  const others = old.filter((each) => each.type !== 'ReplicaFailure');
  if (!failure) return others;
  const present = old.find((each) => each.type === 'ReplicaFailure');
  if (present?.status === 'True' && present.reason === failure.reason) return [...old];
  return [...others, { type: 'ReplicaFailure', status: 'True', lastTransitionTime: rfc3339(nowMs), ...failure }];
}

/** When the next ready pod becomes available; undefined when time alone changes nothing. */
export function nextAvailableInMs(replicaSet: ReplicaSet, pods: readonly Pod[], nowMs: number): number | undefined {
  const minReadySeconds = replicaSet.spec?.minReadySeconds ?? 0;
  const waits = pods
    .filter((pod) => isPodActive(pod) && !isPodAvailable(pod, minReadySeconds, nowMs))
    .map((pod) => becomesAvailableInMs(pod, minReadySeconds, nowMs))
    .filter((waitMs) => waitMs !== undefined);
  return waits.length === 0 ? undefined : Math.max(1, Math.min(...waits));
}
