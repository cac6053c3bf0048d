// nodeSelector and node affinity (https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/).
import type { Node, NodeSelectorRequirement, NodeSelectorTerm } from '../../api/types/core-v1.ts';
import type { FilterPlugin, PodInfo, ScorePlugin } from '../framework.ts';

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

export const nodeAffinity: FilterPlugin = {
  name: 'NodeAffinity',
  wakesOn: ['node-added', 'node-changed'],
  applies: (pod) => Object.keys(pod.pod.spec?.nodeSelector ?? {}).length > 0 || required(pod) !== undefined,
  filter(pod, node) {
    const labels = node.node.metadata.labels ?? {};
    const selected = Object.entries(pod.pod.spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
    const terms = required(pod)?.nodeSelectorTerms;
    const matched = selected && (!terms || terms.some((term) => termMatches(term, node.node)));
    return matched ? undefined : ["node(s) didn't match Pod's node affinity/selector"];
  },
};

export const nodeAffinityScore: ScorePlugin = {
  name: 'NodeAffinity',
  weight: 2,
  applies: (pod) => preferred(pod).length > 0,
  score(pod, node) {
    let sum = 0;
    for (const each of preferred(pod)) if (termMatches(each.preference, node.node)) sum += each.weight;
    return sum;
  },
  normalize: 'scaled',
};
