// What a pod says of other pods, compiled once: which pods a term picks, and a key under which equal terms share their
// counts. Pure.
import { type Labels, type Selector, selectorFromObject } from '../api/selectors.ts';
import type { LabelSelector } from '../api/types/meta.ts';
import type { Pod, PodAffinityTerm } from '../api/types/core-v1.ts';
import type { PodInfo } from './framework.ts';

type NamespaceLabels = (namespace: string) => Labels;

export interface PodMatcher {
  /** Equal keys pick equal pods. */
  readonly key: string;
  /** `key=value` of a label that every picked pod carries, when the selector names one: the index looks there first. */
  readonly anchor: string | undefined;
  /** True when the answer changes with the labels of namespaces. */
  readonly readsNamespaces: boolean;
  matches(pod: PodInfo, namespaceLabels: NamespaceLabels): boolean;
}

export interface Term {
  readonly topologyKey: string;
  readonly matcher: PodMatcher;
}

export interface WeightedTerm extends Term {
  /** Below zero for anti-affinity. */
  readonly weight: number;
}

export interface PodTerms {
  readonly requiredAffinity: readonly Term[];
  /** Picks the pods that meet all required affinity terms together, as upstream counts them. */
  readonly allAffinity: PodMatcher | undefined;
  readonly requiredAntiAffinity: readonly Term[];
  readonly preferred: readonly WeightedTerm[];
}

export function podTermsOf(pod: Pod): PodTerms | undefined {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return undefined;
  const namespace = pod.metadata.namespace ?? '';
  const required = (terms: readonly PodAffinityTerm[] | undefined) =>
    (terms ?? []).map((each) => termOf(each, namespace));
  const preferred = (
    terms: readonly { weight: number; podAffinityTerm?: PodAffinityTerm }[] | undefined,
    sign: 1 | -1,
  ): WeightedTerm[] =>
    (terms ?? []).flatMap(({ weight, podAffinityTerm }) =>
      podAffinityTerm ? [{ ...termOf(podAffinityTerm, namespace), weight: sign * weight }] : [],
    );
  const requiredAffinity = required(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution);
  return {
    requiredAffinity,
    allAffinity: allOf(requiredAffinity.map((each) => each.matcher)),
    requiredAntiAffinity: required(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred: [
      ...preferred(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution, 1),
      ...preferred(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution, -1),
    ],
  };
}

/** No namespaces and no selector of them: the pod's own. An empty selector is every namespace. */
function termOf(term: PodAffinityTerm, ownNamespace: string): Term {
  const named = term.namespaces ?? [];
  const selected = term.namespaceSelector ? selectorFromObject(term.namespaceSelector) : undefined;
  const namespaces = new Set(named.length === 0 && !selected ? [ownNamespace] : named);
  const selector = selectorFromObject(term.labelSelector);
  const readsNamespaces = selected !== undefined && !selected.everything;
  const matcher: PodMatcher = {
    key: JSON.stringify([[...namespaces].sort(), selected ? selected.toString() : null, selectorKey(selector)]),
    anchor: anchorOf(selector),
    readsNamespaces,
    matches: (pod, namespaceLabels) =>
      (namespaces.has(pod.namespace) ||
        (selected !== undefined && (selected.everything || selected.matches(namespaceLabels(pod.namespace))))) &&
      selector.matches(pod.labels),
  };
  return { topologyKey: term.topologyKey, matcher };
}

function allOf(matchers: readonly PodMatcher[]): PodMatcher | undefined {
  if (matchers.length <= 1) return matchers[0];
  return {
    key: JSON.stringify(matchers.map((each) => each.key)),
    anchor: matchers.find((each) => each.anchor !== undefined)?.anchor,
    readsNamespaces: matchers.some((each) => each.readsNamespaces),
    matches: (pod, namespaceLabels) => matchers.every((each) => each.matches(pod, namespaceLabels)),
  };
}

/** Pods of one namespace that are not on their way out, as spreading counts them. */
export function spreadMatcher(namespace: string, selector: Selector): PodMatcher {
  return {
    key: JSON.stringify(['spread', namespace, selectorKey(selector)]),
    anchor: anchorOf(selector),
    readsNamespaces: false,
    matches: (pod) => !pod.isTerminating && pod.namespace === namespace && selector.matches(pod.labels),
  };
}

/** The constraint's selector with the pod's own values of `matchLabelKeys`; keys that the pod lacks are left out. */
export function spreadSelector(
  selector: LabelSelector | undefined,
  matchLabelKeys: readonly string[] | undefined,
  labels: Labels,
): Selector {
  const own = (matchLabelKeys ?? []).filter((key) => Object.hasOwn(labels, key));
  if (!selector || own.length === 0) return selectorFromObject(selector);
  return selectorFromObject({
    ...selector,
    matchExpressions: [
      ...(selector.matchExpressions ?? []),
      ...own.map((key) => ({ key, operator: 'In', values: [labels[key] as string] })),
    ],
  });
}

const selectorKey = (selector: Selector): string | null => (selector.nothing ? null : selector.toString());

function anchorOf(selector: Selector): string | undefined {
  for (const { key, operator, values } of selector.requirements) {
    if ((operator === '=' || operator === '==' || operator === 'in') && values.length === 1)
      return `${key}=${values[0]}`;
  }
  return undefined;
}
