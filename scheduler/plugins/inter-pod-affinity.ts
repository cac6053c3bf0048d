// Pods beside or away from other pods (https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity).
// All counts come from the cluster's incremental index; a node costs one lookup for each term.
import type { FilterPlugin, NodeInfo, PlacedTerm, Refusal, ScorePlugin, TopologyCounts } from '../framework.ts';
import { ranged } from '../normalize.ts';

interface CountedTerm {
  topologyKey: string;
  counts: TopologyCounts;
}

interface FilterState {
  affinity: readonly CountedTerm[];
  /** Nobody matches the affinity yet but the pod itself: it may be the first of its group, wherever the labels exist. */
  isFirstOfGroup: boolean;
  antiAffinity: readonly CountedTerm[];
  repelling: readonly PlacedTerm[];
}

const noAffinity: Refusal = { reasons: ["node(s) didn't match pod affinity rules"], unresolvable: true };
const ownAntiAffinity: Refusal = { reasons: ["node(s) didn't match pod anti-affinity rules"], unresolvable: false };
const othersAntiAffinity: Refusal = {
  reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"],
  unresolvable: false,
};

export const interPodAffinity: FilterPlugin<FilterState> = {
  name: 'InterPodAffinity',
  wakesOn: (pod) =>
    pod.terms && pod.terms.requiredAffinity.length > 0
      ? ['node-added', 'node-changed', 'pod-added', 'pod-changed', 'pod-removed', 'namespace-changed']
      : ['node-added', 'node-changed', 'pod-changed', 'pod-removed', 'namespace-changed'],
  prepare(pod, cluster) {
    const repelling = cluster.placedTerms(pod).filter((each) => each.repelled.size > 0);
    const { terms } = pod;
    const all = terms?.allAffinity;
    const anti = terms?.requiredAntiAffinity ?? [];
    if (!all && anti.length === 0 && repelling.length === 0) return undefined;
    const affinity = all
      ? (terms?.requiredAffinity ?? []).map(({ topologyKey }) => ({
          topologyKey,
          counts: cluster.counts({ matcher: all, topologyKey }),
        }))
      : [];
    return {
      affinity,
      isFirstOfGroup:
        affinity.every((each) => each.counts.total === 0) &&
        all?.matches(pod, (namespace) => cluster.namespaceLabels(namespace)) === true,
      antiAffinity: anti
        .map(({ topologyKey, matcher }) => ({ topologyKey, counts: cluster.counts({ matcher, topologyKey }) }))
        .filter((each) => each.counts.total > 0),
      repelling,
    };
  },
  filter(state, node) {
    for (const { topologyKey, counts } of state.affinity) {
      const value = node.labels[topologyKey];
      if (value === undefined || (counts.at(value) === 0 && !state.isFirstOfGroup)) return noAffinity;
    }
    for (const { topologyKey, counts } of state.antiAffinity) {
      const value = node.labels[topologyKey];
      if (value !== undefined && counts.at(value) > 0) return ownAntiAffinity;
    }
    for (const { topologyKey, repelled } of state.repelling) {
      const value = node.labels[topologyKey];
      if (value !== undefined && repelled.has(value)) return othersAntiAffinity;
    }
    return undefined;
  },
};

interface ScoreState {
  own: readonly (CountedTerm & { weight: number })[];
  others: readonly PlacedTerm[];
}

export const interPodAffinityScore: ScorePlugin<ScoreState> = {
  name: 'InterPodAffinity',
  weight: 2,
  prepare(pod, cluster) {
    const own = (pod.terms?.preferred ?? [])
      .map(({ topologyKey, matcher, weight }) => ({
        topologyKey,
        weight,
        counts: cluster.counts({ matcher, topologyKey }),
      }))
      .filter((each) => each.counts.total > 0);
    const others = cluster.placedTerms(pod).filter((each) => each.weights.size > 0);
    return own.length > 0 || others.length > 0 ? { own, others } : undefined;
  },
  score(state, node: NodeInfo) {
    let sum = 0;
    for (const { topologyKey, counts, weight } of state.own) {
      const value = node.labels[topologyKey];
      if (value !== undefined) sum += weight * counts.at(value);
    }
    for (const { topologyKey, weights } of state.others) {
      const value = node.labels[topologyKey];
      if (value !== undefined) sum += weights.get(value) ?? 0;
    }
    return sum;
  },
  normalize: ranged,
};
