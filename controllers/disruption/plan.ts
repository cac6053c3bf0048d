// What a PodDisruptionBudget allows now. Pure (pkg/controller/disruption).
import { isPodReady } from '../../api/pod-conditions.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Condition } from '../../api/types/meta.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../api/types/policy-v1.ts';
import { rfc3339 } from '../parts/time.ts';

/** How long an evicted pod that does not go counts as going. */
export const DELETION_TIMEOUT_MS = 120_000;

export interface Counts {
  expected: number;
  desiredHealthy: number;
}

/** Who controls a pod: somebody who can be scaled, nobody, or somebody who cannot (`why`). */
export type Scale =
  | { kind: 'scale'; uid: string; replicas: number }
  | { kind: 'unmanaged' }
  | { kind: 'unknown'; why: string };

export type CountsOutcome =
  | { ok: true; counts: Counts; hasUnmanaged: boolean }
  /** The pods cannot be counted. */
  | { ok: false; message: string };

/** Percentages and maxUnavailable are of what the controllers of the pods are meant to have, not of what is there. */
export const needsScales = ({ spec }: PodDisruptionBudget): boolean =>
  spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string';

/** `scales`: one for each pod, in any order; not looked at when `needsScales` says so. */
export function countsOf(budget: PodDisruptionBudget, pods: readonly Pod[], scales: readonly Scale[]): CountsOutcome {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  if (!needsScales(budget)) {
    const desiredHealthy = typeof minAvailable === 'number' ? minAvailable : 0;
    const expected = minAvailable === undefined ? 0 : pods.length;
    return { ok: true, counts: { expected, desiredHealthy }, hasUnmanaged: false };
  }
  const byController = new Map<string, number>();
  for (const scale of scales) {
    if (scale.kind === 'unknown') return { ok: false, message: scale.why };
    if (scale.kind === 'scale') byController.set(scale.uid, scale.replicas);
  }
  const expected = [...byController.values()].reduce((sum, each) => sum + each, 0);
  const desiredHealthy =
    maxUnavailable !== undefined
      ? Math.max(0, expected - scaled(maxUnavailable, expected))
      : scaled(minAvailable as string, expected);
  const hasUnmanaged = scales.some((each) => each.kind === 'unmanaged');
  return { ok: true, counts: { expected, desiredHealthy }, hasUnmanaged };
}

/** Percentages are rounded up. */
function scaled(value: string | number, total: number): number {
  if (typeof value === 'number') return value;
  const percent = Number(/^(\d+)%$/.exec(value)?.[1] ?? Number.NaN);
  return Number.isNaN(percent) ? 0 : Math.ceil((percent * total) / 100);
}

export interface BudgetPlan {
  /** Undefined when the budget says so already. */
  status: PodDisruptionBudgetStatus | undefined;
  /** When time alone changes something. */
  recheckAtMs: number | undefined;
}

export function planBudget(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  { expected, desiredHealthy }: Counts,
  nowMs: number,
): BudgetPlan {
  const { disruptedPods, recheckAtMs } = stillDisrupted(budget, pods, nowMs);
  const healthy = pods.filter(
    (pod) =>
      !pod.metadata.deletionTimestamp && disruptedPods[pod.metadata.name as string] === undefined && isPodReady(pod),
  ).length;
  const allowed = expected <= 0 ? 0 : Math.max(0, healthy - desiredHealthy);
  const next: PodDisruptionBudgetStatus = {
    observedGeneration: budget.metadata.generation ?? 0,
    disruptionsAllowed: allowed,
    currentHealthy: healthy,
    desiredHealthy,
    expectedPods: expected,
    ...(Object.keys(disruptedPods).length > 0 && { disruptedPods }),
  };
  const conditions = conditionsWith(
    budget,
    allowed > 0
      ? { status: 'True', reason: 'SufficientPods', message: '' }
      : { status: 'False', reason: 'InsufficientPods', message: '' },
    nowMs,
  );
  const status = { ...next, conditions };
  return { status: sameStatus(budget.status, status) ? undefined : status, recheckAtMs };
}

/** What is said when the pods cannot be counted: nothing may be disrupted. */
export function failedStatus(
  budget: PodDisruptionBudget,
  message: string,
  nowMs: number,
): PodDisruptionBudgetStatus | undefined {
  const status: PodDisruptionBudgetStatus = {
    ...budget.status,
    currentHealthy: budget.status?.currentHealthy ?? 0,
    desiredHealthy: budget.status?.desiredHealthy ?? 0,
    expectedPods: budget.status?.expectedPods ?? 0,
    observedGeneration: budget.metadata.generation ?? 0,
    disruptionsAllowed: 0,
    conditions: conditionsWith(budget, { status: 'False', reason: 'SyncFailed', message }, nowMs),
  };
  return sameStatus(budget.status, status) ? undefined : status;
}

/** Evicted pods that are still there and not yet going, for as long as they are believed to go. */
function stillDisrupted(budget: PodDisruptionBudget, pods: readonly Pod[], nowMs: number) {
  const disruptedPods: Record<string, string> = {};
  let recheckAtMs: number | undefined;
  const known = new Map(pods.map((pod) => [pod.metadata.name as string, pod]));
  for (const [name, time] of Object.entries(budget.status?.disruptedPods ?? {})) {
    const pod = known.get(name);
    if (!pod || pod.metadata.deletionTimestamp) continue;
    const untilMs = Date.parse(time) + DELETION_TIMEOUT_MS;
    if (untilMs <= nowMs) continue;
    disruptedPods[name] = time;
    if (recheckAtMs === undefined || untilMs < recheckAtMs) recheckAtMs = untilMs;
  }
  return { disruptedPods, recheckAtMs };
}

function conditionsWith(
  budget: PodDisruptionBudget,
  change: Pick<Condition, 'status' | 'reason' | 'message'>,
  nowMs: number,
): Condition[] {
  const type = 'DisruptionAllowed';
  const known = budget.status?.conditions ?? [];
  const old = known.find((each) => each.type === type);
  const next: Condition = {
    type,
    ...change,
    lastTransitionTime: old?.status === change.status ? old.lastTransitionTime : rfc3339(nowMs),
    observedGeneration: budget.metadata.generation ?? 0,
  };
  return [...known.filter((each) => each.type !== type), next];
}

const sameStatus = (left: PodDisruptionBudgetStatus | undefined, right: PodDisruptionBudgetStatus): boolean =>
  JSON.stringify(ordered(left ?? {})) === JSON.stringify(ordered(right));

const ordered = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(ordered)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([, each]) => each !== undefined)
            .sort(([left], [right]) => (left < right ? -1 : 1))
            .map(([key, each]) => [key, ordered(each)]),
        )
      : value;
