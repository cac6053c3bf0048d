// maxSurge and maxUnavailable as counts of pods. Pure.
import type { Deployment } from '../../api/types/apps-v1.ts';

/** `25%` of `total`, or the number itself; unreadable text counts as 0 (validation keeps it out). */
export function resolveCount(
  value: number | string | undefined,
  total: number,
  round: (share: number) => number,
): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent ? round((Number(percent[1]) * total) / 100) : 0;
}

export interface Bounds {
  maxSurge: number;
  maxUnavailable: number;
}

/** Surge rounds up, unavailability down; both zero would be a standstill, so then one may be unavailable. */
export function rollingBounds(deployment: Deployment): Bounds {
  const { strategy, replicas = 1 } = deployment.spec ?? {};
  if (strategy?.type === 'Recreate' || replicas === 0) {
    return {
      maxSurge:
        strategy?.type === 'Recreate' ? 0 : resolveCount(strategy?.rollingUpdate?.maxSurge ?? '25%', 0, Math.ceil),
      maxUnavailable: 0,
    };
  }
  const maxSurge = resolveCount(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, Math.ceil);
  const maxUnavailable = resolveCount(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, Math.floor);
  if (maxSurge === 0 && maxUnavailable === 0) return { maxSurge, maxUnavailable: 1 };
  return { maxSurge, maxUnavailable: Math.min(maxUnavailable, replicas) };
}
