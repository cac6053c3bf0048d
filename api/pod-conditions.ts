// Facts of a pod read from its status: conditions, readiness, whether it has ended. Pure.
import type { Pod, PodCondition } from './types/core-v1.ts';

export function podCondition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((each) => each.type === type);
}

export function isPodReady(pod: Pod): boolean {
  return podCondition(pod, 'Ready')?.status === 'True';
}

/**
 * Ready for at least `minReadySeconds`. When it is not yet available but ready, `becomesAvailableInMs` of it tells when to
 * look again.
 */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!isPodReady(pod)) return false;
  return minReadySeconds === 0 || (becomesAvailableInMs(pod, minReadySeconds, nowMs) ?? 1) <= 0;
}

/** Milliseconds until a ready pod has been ready for `minReadySeconds` (0 or less: it has); undefined when it is not ready. */
export function becomesAvailableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  const ready = podCondition(pod, 'Ready');
  if (ready?.status !== 'True') return undefined;
  if (minReadySeconds === 0) return 0;
  const since = Date.parse(ready.lastTransitionTime ?? '');
  return Number.isNaN(since) ? undefined : since + minReadySeconds * 1000 - nowMs;
}

/** Succeeded or Failed: no container of it will run again. */
export function isPodTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isPodTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Neither ended nor being deleted: what a controller counts. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && !isPodTerminating(pod);
}

/** True when every scheduling gate is gone. */
export function isPodGated(pod: Pod): boolean {
  return (pod.spec?.schedulingGates?.length ?? 0) > 0;
}

/** The pod's addresses, the primary first. */
export function podIPs(pod: Pod): string[] {
  return (pod.status?.podIPs ?? []).map((each) => each.ip);
}

/**
 * Puts `condition` in place of the one of its type; lastTransitionTime is kept while the status stays the same. Returns a
 * new list and whether anything changed.
 */
export function withPodCondition(
  conditions: readonly PodCondition[] | undefined,
  condition: PodCondition,
): { conditions: PodCondition[]; changed: boolean } {
  const all = conditions ?? [];
  const index = all.findIndex((each) => each.type === condition.type);
  const old = all[index];
  if (!old) return { conditions: [...all, condition], changed: true };
  const next =
    old.status === condition.status ? { ...condition, lastTransitionTime: old.lastTransitionTime } : condition;
  const keys = new Set([...Object.keys(old), ...Object.keys(next)]) as Set<keyof PodCondition>;
  const changed = [...keys].some((key) => old[key] !== next[key]);
  return { conditions: all.map((each, i) => (i === index ? next : each)), changed };
}
