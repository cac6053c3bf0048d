// Taints and tolerations (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
import { toleratesTaint } from '../../api/node-rules.ts';
import type { Toleration } from '../../api/types/core-v1.ts';
import type { FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts';
import { reversed } from '../normalize.ts';

/** True when no hard taint of the node keeps the pod away. */
export function toleratesAll(tolerations: readonly Toleration[] | undefined, node: NodeInfo): boolean {
  for (const taint of node.hardTaints) if (!toleratesTaint(tolerations, taint)) return false;
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
    for (const taint of node.softTaints) if (!toleratesTaint(tolerations, taint)) count++;
    return count;
  },
  normalize: reversed,
};
