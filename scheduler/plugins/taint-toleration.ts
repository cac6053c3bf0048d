// Taints and tolerations (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
import type { Taint, Toleration } from '../../api/types/core-v1.ts';
import type { FilterPlugin, ScorePlugin } from '../framework.ts';

/** An empty key with Exists tolerates everything; an empty effect matches all effects; the default operator is Equal. */
export function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some((each) => {
    if (each.effect && each.effect !== taint.effect) return false;
    if (each.key && each.key !== taint.key) return false;
    switch (each.operator || 'Equal') {
      case 'Exists':
        return true;
      case 'Equal':
        return Boolean(each.key) && (each.value ?? '') === (taint.value ?? '');
      case 'Lt':
        return comparesAs(taint.value, each.value, (a, b) => a < b);
      case 'Gt':
        return comparesAs(taint.value, each.value, (a, b) => a > b);
      default:
        return false;
    }
  });
}

/** Numeric operators hold between integers only; `left` is the taint's value. */
function comparesAs(
  left: string | undefined,
  right: string | undefined,
  holds: (a: bigint, b: bigint) => boolean,
): boolean {
  if (!/^-?\d+$/.test(left ?? '') || !/^-?\d+$/.test(right ?? '')) return false;
  return holds(BigInt(left as string), BigInt(right as string));
}

export const taintToleration: FilterPlugin = {
  name: 'TaintToleration',
  wakesOn: ['node-added', 'node-changed'],
  applies: () => true,
  filter(pod, node) {
    const hard = (node.node.spec?.taints ?? []).some(
      (taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(pod.pod.spec?.tolerations, taint),
    );
    return hard ? ['node(s) had untolerated taint(s)'] : undefined;
  },
};

export const taintTolerationScore: ScorePlugin = {
  name: 'TaintToleration',
  weight: 3,
  applies: () => true,
  score: (pod, node) =>
    (node.node.spec?.taints ?? []).filter(
      (taint) => taint.effect === 'PreferNoSchedule' && !tolerates(pod.pod.spec?.tolerations, taint),
    ).length,
  normalize: 'reversed',
};
