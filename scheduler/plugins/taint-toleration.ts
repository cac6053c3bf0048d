// Taints and tolerations (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
import type { Taint, Toleration } from '../../api/types/core-v1.ts';
import type { FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts';
import { reversed } from '../normalize.ts';

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

/** True when no hard taint of the node keeps the pod away. */
export function toleratesAll(tolerations: readonly Toleration[] | undefined, node: NodeInfo): boolean {
  for (const taint of node.hardTaints) if (!tolerates(tolerations, taint)) return false;
  return true;
}

const refusal = { reasons: ['node(s) had untolerated taint(s)'], unresolvable: true };
const none: readonly Toleration[] = [];

export const taintToleration: FilterPlugin<readonly Toleration[]> = {
  name: 'TaintToleration',
  wakesOn: () => ['node-added', 'node-changed'],
  prepare: (pod) => pod.pod.spec?.tolerations ?? none,
  filter: (tolerations, node) => (toleratesAll(tolerations, node) ? undefined : refusal),
};

export const taintTolerationScore: ScorePlugin<readonly Toleration[]> = {
  name: 'TaintToleration',
  weight: 3,
  prepare: (pod, _, feasible) =>
    feasible.some((node) => node.softTaints.length > 0) ? (pod.pod.spec?.tolerations ?? none) : undefined,
  score(tolerations, node) {
    let count = 0;
    for (const taint of node.softTaints) if (!tolerates(tolerations, taint)) count++;
    return count;
  },
  normalize: reversed,
};
