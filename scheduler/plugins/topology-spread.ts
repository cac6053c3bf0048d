// Pods of one kind spread evenly over zones, hosts or any other label of nodes
// (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/). A pod without constraints of its
// own is spread by host and zone with the others of its Services and workload, as upstream's built-in default does.
import type { TopologySpreadConstraint } from '../../api/types/core-v1.ts';
import type {
  Cluster,
  FilterPlugin,
  NodeInfo,
  PodInfo,
  PodMatcher,
  Refusal,
  ScorePlugin,
  TopologyCounts,
} from '../framework.ts';
import { spread } from '../normalize.ts';
import { spreadMatcher, spreadSelector } from '../pod-terms.ts';
import { matchesNodeAffinity } from './node-affinity.ts';
import { toleratesAll } from './taint-toleration.ts';

interface Constraint {
  topologyKey: string;
  counts: TopologyCounts;
  maxSkew: number;
}

interface HardConstraint extends Constraint {
  /** 1 when the pod is one of those that it counts. */
  self: 0 | 1;
  /** Pods in the emptiest domain; 0 while there are fewer domains than wanted. */
  fewest: number;
}

const tooSkewed: Refusal = { reasons: ["node(s) didn't match pod topology spread constraints"], unresolvable: false };
const noLabel: Refusal = {
  reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
  unresolvable: true,
};

const constraintsOf = (pod: PodInfo, whenUnsatisfiable: string) =>
  (pod.pod.spec?.topologySpreadConstraints ?? []).filter((each) => each.whenUnsatisfiable === whenUnsatisfiable);

/** Which nodes count, and the name of that rule: those with all the labels, and as the constraint's policies say. */
function eligibility(pod: PodInfo, constraint: TopologySpreadConstraint, keys: readonly string[]) {
  const { nodeSelector, affinity, tolerations } = pod.pod.spec ?? {};
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const byAffinity =
    (constraint.nodeAffinityPolicy || 'Honor') === 'Honor' &&
    (required !== undefined || Object.keys(nodeSelector ?? {}).length > 0);
  const byTaints = constraint.nodeTaintsPolicy === 'Honor';
  const others = keys.length > 1 ? keys : [];
  if (!byAffinity && !byTaints && others.length === 0) return {};
  return {
    eligibleKey: JSON.stringify([others, byAffinity && [nodeSelector, required], byTaints && (tolerations ?? [])]),
    eligible: (node: NodeInfo) =>
      others.every((key) => node.labels[key] !== undefined) &&
      (!byAffinity || matchesNodeAffinity(pod, node)) &&
      (!byTaints || toleratesAll(tolerations, node)),
  };
}

function countsOf(
  pod: PodInfo,
  cluster: Cluster,
  constraint: TopologySpreadConstraint,
  keys: readonly string[],
  matcher: PodMatcher,
  domains: boolean,
): TopologyCounts {
  const { topologyKey } = constraint;
  return cluster.counts({ matcher, topologyKey, domains, ...eligibility(pod, constraint, keys) });
}

const matcherOf = (pod: PodInfo, constraint: TopologySpreadConstraint): PodMatcher =>
  spreadMatcher(pod.namespace, spreadSelector(constraint.labelSelector, constraint.matchLabelKeys, pod.labels));

export const topologySpread: FilterPlugin<readonly HardConstraint[]> = {
  name: 'PodTopologySpread',
  wakesOn: () => ['node-added', 'node-changed', 'pod-added', 'pod-changed', 'pod-removed'],
  prepare(pod, cluster) {
    const constraints = constraintsOf(pod, 'DoNotSchedule');
    if (constraints.length === 0) return undefined;
    const keys = constraints.map((each) => each.topologyKey);
    return constraints.map((constraint) => {
      const { topologyKey, maxSkew, minDomains } = constraint;
      const matcher = matcherOf(pod, constraint);
      const counts = countsOf(pod, cluster, constraint, keys, matcher, true);
      return {
        topologyKey,
        counts,
        maxSkew,
        self: matcher.matches(pod, (namespace) => cluster.namespaceLabels(namespace)) ? 1 : 0,
        fewest: counts.domainCount < (minDomains ?? 1) ? 0 : counts.fewest,
      };
    });
  },
  filter(constraints, node) {
    for (const { topologyKey, counts, maxSkew, self, fewest } of constraints) {
      const value = node.labels[topologyKey];
      if (value === undefined) return noLabel;
      if (counts.at(value) + self - fewest > maxSkew) return tooSkewed;
    }
    return undefined;
  },
};

interface ScoreState {
  constraints: readonly (Constraint & { weight: number })[];
  /** A node without one of the labels is not scored; the built-in default takes what labels there are. */
  needsAllLabels: boolean;
}

const HOSTNAME = 'kubernetes.io/hostname';
const builtIn: readonly TopologySpreadConstraint[] = [
  { topologyKey: HOSTNAME, maxSkew: 3, whenUnsatisfiable: 'ScheduleAnyway' },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5, whenUnsatisfiable: 'ScheduleAnyway' },
];

export const topologySpreadScore: ScorePlugin<ScoreState> = {
  name: 'PodTopologySpread',
  weight: 2,
  prepare(pod, cluster, feasible) {
    const own = (pod.pod.spec?.topologySpreadConstraints ?? []).length > 0;
    const shared = own ? undefined : cluster.defaultMatcher(pod);
    if (!own && !shared) return undefined;
    const wanted = own ? constraintsOf(pod, 'ScheduleAnyway') : builtIn;
    if (wanted.length === 0) return undefined;
    const keys = wanted.map((each) => each.topologyKey);
    const scored = own ? feasible.filter((node) => keys.every((key) => node.labels[key] !== undefined)) : feasible;
    return {
      needsAllLabels: own,
      constraints: wanted.map((constraint) => {
        const { topologyKey, maxSkew } = constraint;
        const counts = countsOf(pod, cluster, constraint, own ? keys : [], shared ?? matcherOf(pod, constraint), false);
        const domains = topologyKey === HOSTNAME ? scored.length : distinct(scored, topologyKey);
        // More domains, more weight: otherwise a constraint over many hosts drowns in one over three zones.
        return { topologyKey, counts, maxSkew, weight: Math.log(domains + 2) };
      }),
    };
  },
  score({ constraints, needsAllLabels }, node) {
    let sum = 0;
    for (const { topologyKey, counts, maxSkew, weight } of constraints) {
      const value = node.labels[topologyKey];
      if (value !== undefined) sum += counts.at(value) * weight + (maxSkew - 1);
      else if (needsAllLabels) return -1;
    }
    return Math.round(sum);
  },
  normalize: spread,
};

function distinct(nodes: readonly NodeInfo[], key: string): number {
  const values = new Set<string>();
  for (const node of nodes) {
    const value = node.labels[key];
    if (value !== undefined) values.add(value);
  }
  return values.size;
}
