// What a ResourceQuota should say is used. Pure.
import type { KubeObject } from '../../api/object.ts';
import { add, amountsOf, listOf, mask, sameAmounts } from '../../api/quota/amounts.ts';
import { evaluatorOf, inAllScopes } from '../../api/quota/evaluators.ts';
import type { ResourceQuota, ResourceQuotaStatus } from '../../api/types/core-v1.ts';
import type { Resources } from '../../api/pod-resources.ts';

/** A kind whose objects a quota may count. */
export interface Countable {
  group: string;
  resource: string;
}

/** The kinds whose objects decide over the resources of a quota. */
export function countedBy<T extends Countable>(quota: ResourceQuota, kinds: readonly T[]): T[] {
  const hard = Object.keys(quota.spec?.hard ?? {});
  return kinds.filter((kind) => {
    const { counts } = evaluatorOf(kind.group, kind.resource);
    return hard.some(counts);
  });
}

/** The status of the quota, or undefined when it says so already. `objects`: those of the quota's namespace, of each kind. */
export function planQuota(
  quota: ResourceQuota,
  objects: readonly { kind: Countable; items: readonly KubeObject[] }[],
  nowMs: number,
): ResourceQuotaStatus | undefined {
  const hard = amountsOf(quota.spec?.hard);
  let used: Resources = new Map();
  for (const { kind, items } of objects) {
    const evaluator = evaluatorOf(kind.group, kind.resource);
    const names = new Set([...hard.keys()].filter(evaluator.counts));
    // What nothing uses is zero, not unknown: admission needs a number.
    used = add(used, new Map([...names].map((name) => [name, { nanos: 0n, format: 'DecimalSI' as const }])));
    for (const each of items) {
      if (inAllScopes(quota, evaluator, each)) used = add(used, mask(evaluator.usage(each, nowMs), names));
    }
  }
  const { status } = quota;
  const isSame = sameAmounts(amountsOf(status?.hard), hard) && sameAmounts(amountsOf(status?.used), used);
  return isSame ? undefined : { hard: listOf(hard), used: listOf(used) };
}

/** When a deleted pod of these stops being counted by time alone; undefined: never. */
export function nextChangeMs(pods: readonly KubeObject[], nowMs: number): number | undefined {
  let next: number | undefined;
  for (const { metadata } of pods) {
    const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
    if (!deletionTimestamp || deletionGracePeriodSeconds === undefined) continue;
    const at = Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000 + 1;
    if (at > nowMs && (next === undefined || at < next)) next = at;
  }
  return next;
}
