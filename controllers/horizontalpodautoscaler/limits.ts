// What of a recommendation is done now: stabilized by the recommendations of the last minutes, within the rates that the
// behavior allows, within the bounds of the object. Upstream's normalization. Pure.
import type { HorizontalPodAutoscaler, HPAScalingRules } from '../../api/types/autoscaling-v2.ts';

export interface Recommendation {
  replicas: number;
  atMs: number;
}

/** A change that was made: by how many replicas. */
export interface ScaleEvent {
  change: number;
  atMs: number;
}

/** What is remembered of one autoscaler. */
export interface History {
  recommendations: readonly Recommendation[];
  ups: readonly ScaleEvent[];
  downs: readonly ScaleEvent[];
}

export const NO_HISTORY: History = { recommendations: [], ups: [], downs: [] };

export interface Verdict {
  replicas: number;
  stabilized: { reason: string; message: string };
  limited: { status: 'True' | 'False'; reason: string; message: string };
}

const DOWN_WINDOW_S = 300;
const READY = { reason: 'ReadyForNewScale', message: 'recommended size matches current size' };
const HIGHER = {
  reason: 'ScaleDownStabilized',
  message: 'recent recommendations were higher than current one, applying the highest recent recommendation',
};
const LOWER = {
  reason: 'ScaleUpStabilized',
  message: 'recent recommendations were lower than current one, applying the lowest recent recommendation',
};
const WITHIN = { reason: 'DesiredWithinRange', message: 'the desired count is within the acceptable range' };
const TOO_MANY = {
  reason: 'TooManyReplicas',
  message: 'the desired replica count is more than the maximum replica count',
};
const TOO_FEW = {
  reason: 'TooFewReplicas',
  message: 'the desired replica count is less than the minimum replica count',
};
const TOO_FAST_UP = {
  reason: 'ScaleUpLimit',
  message: 'the desired replica count is increasing faster than the maximum scale rate',
};
const TOO_FAST_DOWN = {
  reason: 'ScaleDownLimit',
  message: 'the desired replica count is decreasing faster than the maximum scale rate',
};

/** Without a behavior: five minutes of stabilization downwards, and at most doubling (or four) upwards. */
const DEFAULT_UP: HPAScalingRules = { stabilizationWindowSeconds: 0 };

export function limit(
  autoscaler: HorizontalPodAutoscaler,
  current: number,
  recommended: number,
  history: History,
  nowMs: number,
): Verdict {
  const { behavior, maxReplicas } = autoscaler.spec;
  const minReplicas = autoscaler.spec.minReplicas ?? 1;
  const up = behavior?.scaleUp ?? DEFAULT_UP;
  const down = behavior?.scaleDown ?? {};
  const { replicas: stable, reason } = behavior
    ? stabilize(current, recommended, history, up, down, nowMs)
    : { replicas: highest(history, recommended, DOWN_WINDOW_S, nowMs), reason: HIGHER };
  const outcome = behavior
    ? withinRates(current, stable, minReplicas, maxReplicas, history, up, down, nowMs)
    : withinBounds(current, stable, minReplicas, maxReplicas);
  return {
    replicas: outcome.replicas,
    stabilized: stable === recommended ? READY : reason,
    limited: { status: outcome.replicas === stable ? 'False' : 'True', ...outcome.why },
  };
}

const within = (each: { atMs: number }, seconds: number, nowMs: number) => each.atMs > nowMs - seconds * 1000;

function highest({ recommendations }: History, recommended: number, seconds: number, nowMs: number): number {
  const recent = recommendations.filter((each) => within(each, seconds, nowMs)).map((each) => each.replicas);
  return Math.max(recommended, ...recent);
}

function stabilize(
  current: number,
  recommended: number,
  history: History,
  up: HPAScalingRules,
  down: HPAScalingRules,
  nowMs: number,
): { replicas: number; reason: typeof HIGHER } {
  const upSeconds = up.stabilizationWindowSeconds ?? 0;
  const lowest = Math.min(
    recommended,
    ...history.recommendations.filter((each) => within(each, upSeconds, nowMs)).map((each) => each.replicas),
  );
  const top = highest(history, recommended, down.stabilizationWindowSeconds ?? DOWN_WINDOW_S, nowMs);
  const replicas = Math.min(Math.max(current, lowest), top);
  return { replicas, reason: recommended >= current ? LOWER : HIGHER };
}

interface Bounded {
  replicas: number;
  why: { reason: string; message: string };
}

function withinBounds(current: number, desired: number, min: number, max: number): Bounded {
  const upLimit = Math.max(2 * current, 4);
  if (desired < min) return { replicas: min, why: TOO_FEW };
  if (max > upLimit && desired > upLimit) return { replicas: upLimit, why: TOO_FAST_UP };
  if (desired > max) return { replicas: max, why: TOO_MANY };
  return { replicas: desired, why: WITHIN };
}

function withinRates(
  current: number,
  desired: number,
  min: number,
  max: number,
  history: History,
  up: HPAScalingRules,
  down: HPAScalingRules,
  nowMs: number,
): Bounded {
  if (desired > current) {
    const rate = Math.max(upLimit(current, history, up, nowMs), current);
    const most = Math.min(max, rate);
    if (desired > most) return { replicas: most, why: max > rate ? TOO_FAST_UP : TOO_MANY };
  } else if (desired < current) {
    const rate = Math.min(downLimit(current, history, down, nowMs), current);
    const least = Math.max(min, rate);
    if (desired < least) return { replicas: least, why: min < rate ? TOO_FAST_DOWN : TOO_FEW };
  }
  return { replicas: desired, why: WITHIN };
}

const changed = (events: readonly ScaleEvent[], seconds: number, nowMs: number) =>
  events.filter((each) => within(each, seconds, nowMs)).reduce((sum, each) => sum + each.change, 0);

/** Replicas at the start of a policy's period. */
const atStart = (current: number, history: History, seconds: number, nowMs: number) =>
  current - changed(history.ups, seconds, nowMs) + changed(history.downs, seconds, nowMs);

function upLimit(current: number, history: History, rules: HPAScalingRules, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current;
  const proposals = (rules.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = atStart(current, history, periodSeconds, nowMs);
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return rules.selectPolicy === 'Min' ? Math.min(...proposals) : Math.max(...proposals);
}

/** `Min` means the smallest change, so the largest number. */
function downLimit(current: number, history: History, rules: HPAScalingRules, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current;
  const proposals = (rules.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = atStart(current, history, periodSeconds, nowMs);
    return type === 'Pods' ? start - value : Math.trunc(start * (1 - value / 100));
  });
  return rules.selectPolicy === 'Min' ? Math.max(...proposals) : Math.min(...proposals);
}

/** The history with what happened now, without what no window reaches any more. */
export function remember(
  autoscaler: HorizontalPodAutoscaler,
  history: History,
  happened: { recommended?: number; change?: number },
  nowMs: number,
): History {
  const { scaleUp, scaleDown } = autoscaler.spec.behavior ?? {};
  const windows = [scaleUp?.stabilizationWindowSeconds ?? 0, scaleDown?.stabilizationWindowSeconds ?? DOWN_WINDOW_S];
  const keep = Math.max(...windows);
  const period = Math.max(
    0,
    ...[...(scaleUp?.policies ?? []), ...(scaleDown?.policies ?? [])].map((each) => each.periodSeconds),
  );
  const { recommended, change = 0 } = happened;
  const event = (sign: number): ScaleEvent[] => (change * sign > 0 ? [{ change: change * sign, atMs: nowMs }] : []);
  return {
    recommendations: [
      ...history.recommendations.filter((each) => within(each, keep, nowMs)),
      ...(recommended === undefined ? [] : [{ replicas: recommended, atMs: nowMs }]),
    ],
    ups: [...history.ups.filter((each) => within(each, period, nowMs)), ...event(1)],
    downs: [...history.downs.filter((each) => within(each, period, nowMs)), ...event(-1)],
  };
}
