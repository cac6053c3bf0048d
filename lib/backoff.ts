// Exponential back-off with a cap and jitter; pure.
import type { Random } from './clock.ts';

export interface BackoffPolicy {
  initialMs: number;
  maxMs: number;
  /** Growth per failure. Default 2. */
  factor?: number;
  /** Share of the delay that is random, 0..1. Default 0. */
  jitter?: number;
}

/** Delay before attempt number `failures` + 1, in milliseconds; `failures` >= 1. */
export function backoffMs(policy: BackoffPolicy, failures: number, random: Random): number {
  const factor = policy.factor ?? 2;
  const plain = Math.min(policy.maxMs, policy.initialMs * factor ** Math.min(failures - 1, 64));
  return plain * (1 + (policy.jitter ?? 0) * random());
}
