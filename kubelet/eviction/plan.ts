// One look at the node: which thresholds are crossed and since when, what the conditions say, what is to be done. Pure: the state goes in
// and comes out.
import {
  conditionOf,
  isCrossed,
  type Observations,
  type PressureCondition,
  resourceOf,
  type Signal,
  type Threshold,
} from './thresholds.ts';

export interface EvictionState {
  /** When a threshold was first seen crossed, by its index; those not crossed are absent. */
  since: ReadonlyMap<number, number>;
  /** When a condition last held. */
  lastSeen: ReadonlyMap<PressureCondition, number>;
  conditions: ReadonlySet<PressureCondition>;
}

export const initialState: EvictionState = { since: new Map(), lastSeen: new Map(), conditions: new Set() };

export interface EvictionPlan {
  state: EvictionState;
  /** The threshold to act on: memory before everything else. */
  act: Threshold | undefined;
}

/** A condition holds this long after its threshold was last crossed, so that a node does not swing. */
export const DEFAULT_TRANSITION_MS = 5 * 60_000;

export function planEviction(
  before: EvictionState,
  thresholds: readonly Threshold[],
  seen: Observations,
  nowMs: number,
  transitionMs = DEFAULT_TRANSITION_MS,
): EvictionPlan {
  const since = new Map<number, number>();
  for (const [index, threshold] of thresholds.entries()) {
    const known = before.since.get(index);
    if (isCrossed(threshold, seen, known !== undefined)) since.set(index, known ?? nowMs);
  }
  const crossed = [...since.keys()].map((index) => thresholds[index] as Threshold);
  const lastSeen = new Map(before.lastSeen);
  for (const { signal } of crossed) lastSeen.set(conditionOf[signal], nowMs);
  const conditions = new Set<PressureCondition>();
  for (const [condition, atMs] of lastSeen)
    if (atMs === nowMs || nowMs - atMs < transitionMs) conditions.add(condition);

  const due = [...since]
    .filter(([index, sinceMs]) => nowMs - sinceMs >= (thresholds[index] as Threshold).graceMs)
    .map(([index]) => thresholds[index] as Threshold)
    .sort((a, b) => order(a.signal) - order(b.signal) || Number(b.isHard) - Number(a.isHard));
  return { state: { since, lastSeen, conditions }, act: due[0] };
}

const order = (signal: Signal) => (resourceOf[signal] === 'memory' ? 0 : 1);
