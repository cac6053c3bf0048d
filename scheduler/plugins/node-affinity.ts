// nodeSelector and node affinity (https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/).
import { nodeTermMatches } from '../../api/node-rules.ts';
import type { PreferredSchedulingTerm } from '../../api/types/core-v1.ts';
import type { FilterPlugin, NodeInfo, PodInfo, ScorePlugin } from '../framework.ts';
import { scaled } from '../normalize.ts';

const required = (pod: PodInfo) => pod.pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
const preferred = (pod: PodInfo) =>
  pod.pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];

/** nodeSelector and every required term that there is. */
export function matchesNodeAffinity(pod: PodInfo, node: NodeInfo): boolean {
  const { nodeSelector } = pod.pod.spec ?? {};
  for (const key in nodeSelector) if (node.labels[key] !== nodeSelector[key]) return false;
  const terms = required(pod)?.nodeSelectorTerms;
  return !terms || terms.some((term) => nodeTermMatches(term, node.node));
}

const refusal = { reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true };

export const nodeAffinity: FilterPlugin<PodInfo> = {
  name: 'NodeAffinity',
  wakesOn: () => ['node-added', 'node-changed'],
  prepare: (pod) =>
    Object.keys(pod.pod.spec?.nodeSelector ?? {}).length > 0 || required(pod) !== undefined ? pod : undefined,
  filter: (pod, node) => (matchesNodeAffinity(pod, node) ? undefined : refusal),
};

export const nodeAffinityScore: ScorePlugin<readonly PreferredSchedulingTerm[]> = {
  name: 'NodeAffinity',
  weight: 2,
  prepare: (pod) => (preferred(pod).length > 0 ? preferred(pod) : undefined),
  score(terms, node) {
    let sum = 0;
    for (const each of terms) if (nodeTermMatches(each.preference, node.node)) sum += each.weight;
    return sum;
  },
  normalize: scaled,
};
