// Labels of nodes that have been renamed (k8s.io/kubernetes/pkg/api/node).
import type { NodeSelectorTerm } from '../types/core-v1.ts';

/** By the old name: the name of today. */
export const STABLE_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'kubernetes.io/arch',
  'beta.kubernetes.io/os': 'kubernetes.io/os',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
};

const SINCE_1_14 = new Set(['beta.kubernetes.io/arch', 'beta.kubernetes.io/os']);

/** Why a label should not be used any more; undefined for the others. */
export function labelDeprecation(key: string): string | undefined {
  if (!Object.hasOwn(STABLE_LABELS, key)) return undefined;
  return `deprecated since ${SINCE_1_14.has(key) ? 'v1.14' : 'v1.17'}; use "${STABLE_LABELS[key]}" instead`;
}

/** Warnings about the keys of a node selector term. */
export function* termWarnings(term: NodeSelectorTerm | undefined, field: string): Generator<string, void, undefined> {
  for (const [i, { key }] of (term?.matchExpressions ?? []).entries()) {
    const why = labelDeprecation(key);
    if (why) yield `${field}.matchExpressions[${i}].key: ${key} is ${why}`;
  }
}
