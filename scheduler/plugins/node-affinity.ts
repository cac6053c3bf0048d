// nodeSelector and node affinity (https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/).
import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PreferredSchedulingTerm,
} from '../../api/types/core-v1.ts';
import type { FilterPlugin, NodeInfo, PodInfo, ScorePlugin } from '../framework.ts';
import { scaled } from '../normalize.ts';

const required = (pod: PodInfo) => pod.pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
const preferred = (pod: PodInfo) =>
  pod.pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];

/** A requirement over labels (or over `metadata.name` for fields). An unknown operator matches nothing. */
function requirementMatches(requirement: NodeSelectorRequirement, value: string | undefined): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const bound = values[0] ?? '';
      if (!/^-?\d+$/.test(value ?? '') || !/^-?\d+$/.test(bound)) return false;
      const [left, right] = [BigInt(value as string), BigInt(bound)];
      return requirement.operator === 'Gt' ? left > right : left < right;
    }
    default:
      return false;
  }
}

/** All requirements of a term must hold; a term without any matches nothing. */
export function termMatches(term: NodeSelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((each) => requirementMatches(each, node.metadata.labels?.[each.key])) &&
    fields.every((each) => each.key === 'metadata.name' && requirementMatches(each, node.metadata.name))
  );
}

/** nodeSelector and every required term that there is. */
export function matchesNodeAffinity(pod: PodInfo, node: NodeInfo): boolean {
  const { nodeSelector } = pod.pod.spec ?? {};
  for (const key in nodeSelector) if (node.labels[key] !== nodeSelector[key]) return false;
  const terms = required(pod)?.nodeSelectorTerms;
  return !terms || terms.some((term) => termMatches(term, node.node));
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
    for (const each of terms) if (termMatches(each.preference, node.node)) sum += each.weight;
    return sum;
  },
  normalize: scaled,
};
