// Which nodes a pod may use: terms of node affinity, taints and tolerations. Pure; what the scheduler and the controllers agree on.
// (https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/, .../taint-and-toleration/)
import type { Node, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration } from './types/core-v1.ts';

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
export function nodeTermMatches(term: NodeSelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((each) => requirementMatches(each, node.metadata.labels?.[each.key])) &&
    fields.every((each) => each.key === 'metadata.name' && requirementMatches(each, node.metadata.name))
  );
}

/** An empty key with Exists tolerates everything; an empty effect matches all effects; the default operator is Equal. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator || 'Equal') {
    case 'Exists':
      return true;
    case 'Equal':
      return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '');
    case 'Lt':
      return comparesAs(taint.value, toleration.value, (a, b) => a < b);
    case 'Gt':
      return comparesAs(taint.value, toleration.value, (a, b) => a > b);
    default:
      return false;
  }
}

export function toleratesTaint(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return tolerations?.some((each) => tolerates(each, taint)) ?? false;
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
