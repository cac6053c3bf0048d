// Whether a write fits in the quotas of its namespace, and what it leaves in each. Pure; the words are upstream's.
import type { KubeObject } from '../object.ts';
import type { ResourceQuota } from '../types/core-v1.ts';
import { add, type Amounts, amountsOf, exceeding, mask, printAmounts, subtract, withoutZeros } from './amounts.ts';
import { type Evaluator, quotaMatches } from './evaluators.ts';
import { type LimitedResource, uncovered } from './limited.ts';

export type Quota = ResourceQuota & KubeObject;

export interface ChargedWrite {
  evaluator: Evaluator;
  object: KubeObject;
  /** Undefined for a creation. */
  old: KubeObject | undefined;
  nowMs: number;
  /** What must be covered by some quota to be consumed, of those that concern the resource. Default: nothing. */
  limited?: readonly LimitedResource[];
}

export type ChargeOutcome =
  /** `why` reads on after `is forbidden: `. */
  | { ok: false; why: string }
  /** What is used afterwards, by the name of the quota; those that change only. */
  | { ok: true; used: ReadonlyMap<string, Amounts> };

export function charge(quotas: readonly Quota[], write: ChargedWrite): ChargeOutcome {
  const { evaluator, object, old, nowMs, limited = [] } = write;
  const concerned: Quota[] = [];
  for (const quota of quotas) {
    const hard = Object.keys(quota.status?.hard ?? {});
    if (!quotaMatches(quota, hard, evaluator, object)) continue;
    const restricted = hard.filter((name) => evaluator.counts(name));
    const { name } = quota.metadata;
    const missing = evaluator.missing?.(restricted, object);
    if (missing) return { ok: false, why: `failed quota: ${name}: ${missing}` };
    const used = quota.status?.used ?? {};
    if (restricted.some((each) => used[each] === undefined)) {
      return { ok: false, why: `status unknown for quota: ${name}, resources: ${[...restricted].sort().join(',')}` };
    }
    concerned.push(quota);
  }
  const changed = new Map<string, Amounts>();
  if (concerned.length === 0 && limited.length === 0) return { ok: true, used: changed };
  const usage = evaluator.usage(object, nowMs);
  const negative = [...usage].filter(([, quantity]) => quantity.nanos < 0n).map(([name]) => name);
  if (negative.length > 0) {
    return { ok: false, why: `quota usage is negative for resource(s): ${negative.sort().join(',')}` };
  }
  const before = old && evaluator.usage(old, nowMs);
  const difference = withoutZeros(before ? subtract(usage, before) : usage);
  const deltas = concerned.map((quota) => {
    // A change costs the difference, unless the object did not count against this quota before.
    const wasCounted = old && quotaMatches(quota, Object.keys(quota.status?.hard ?? {}), evaluator, old);
    return { quota, delta: before && wasCounted ? difference : withoutZeros(usage) };
  });
  const costs = concerned.length > 0 ? deltas.some(({ delta }) => delta.size > 0) : difference.size > 0;
  const why = costs && limited.length > 0 ? uncovered(limited, { quotas, concerned, evaluator, object, usage }) : '';
  if (why) return { ok: false, why };
  for (const { quota, delta } of deltas) {
    const hard = amountsOf(quota.status?.hard);
    const used = amountsOf(quota.status?.used);
    const requested = mask(delta, hard.keys());
    if (requested.size === 0) continue;
    const after = add(used, requested);
    const over = exceeding(mask(after, requested.keys()), hard);
    if (over.length > 0) {
      const print = (amounts: Amounts) => printAmounts(mask(amounts, over));
      return {
        ok: false,
        why: `exceeded quota: ${quota.metadata.name}, requested: ${print(requested)}, used: ${print(used)}, limited: ${print(hard)}`,
      };
    }
    changed.set(quota.metadata.name as string, after);
  }
  return { ok: true, used: changed };
}
