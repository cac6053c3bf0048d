// The vocabulary of scheduling: what a plugin sees and answers. Plugins are pure; "does not fit" is a value with its
// reasons, never an exception.
import type { Labels } from '../api/selectors.ts';
import type { Node, Pod, Taint } from '../api/types/core-v1.ts';
import type { PodMatcher, PodTerms, WeightedTerm } from './pod-terms.ts';
import type { StorageView } from './volumes.ts';

/** Amounts of resources, in units that plain numbers hold exactly: millicores, bytes, counts. */
export interface Amounts {
  milliCpu: number;
  memoryBytes: number;
  ephemeralStorageBytes: number;
  /** Extended resources and huge pages, by name. */
  scalars: ReadonlyMap<string, number>;
}

export interface HostPort {
  protocol: string;
  hostIP: string;
  port: number;
}

/** A pod with everything that the cycle asks for computed once. */
export interface PodInfo {
  readonly pod: Pod;
  readonly uid: string;
  /** namespace/name */
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** `key=value` of each label, as anchors of selectors are written. */
  readonly labelPairs: readonly string[];
  readonly isTerminating: boolean;
  readonly priority: number;
  readonly requests: Amounts;
  /** Requests with upstream's floor for containers that ask for nothing (100m CPU, 200Mi), for scoring only. */
  readonly scoredRequests: { milliCpu: number; memoryBytes: number };
  readonly hostPorts: readonly HostPort[];
  /** namespace/name of the claims behind its volumes. */
  readonly claims: readonly string[];
  /** Affinity to other pods; undefined for a pod without any. */
  readonly terms: PodTerms | undefined;
}

/** A node with the pods that are on it or assumed to be; owned by the cache, read-only for plugins. */
export interface NodeInfo {
  readonly name: string;
  readonly node: Node;
  readonly labels: Labels;
  /** NoSchedule and NoExecute. */
  readonly hardTaints: readonly Taint[];
  /** PreferNoSchedule. */
  readonly softTaints: readonly Taint[];
  /** Names of the images that the node has. */
  readonly images: ReadonlySet<string>;
  readonly allocatable: Amounts & { pods: number };
  readonly requested: {
    milliCpu: number;
    memoryBytes: number;
    ephemeralStorageBytes: number;
    scalars: Map<string, number>;
  };
  readonly scoredRequested: { milliCpu: number; memoryBytes: number };
  readonly pods: ReadonlyMap<string, PodInfo>;
}

/** Pods that a matcher picks, counted by their nodes' value of one label. */
export interface TopologyCounts {
  /** Pods at `value`; 0 where there are none. */
  at(value: string): number;
  /** Pods on nodes that have the label. */
  readonly total: number;
  /** Distinct values on eligible nodes, and the fewest pods among them. Only kept when asked for with `domains`. */
  readonly domainCount: number;
  readonly fewest: number;
}

export interface CountQuery {
  matcher: PodMatcher;
  topologyKey: string;
  /** Only these nodes count; `eligibleKey` names the predicate. */
  eligible?: (node: NodeInfo) => boolean;
  eligibleKey?: string;
  domains?: boolean;
}

/** A term that pods already placed carry, with where they are. */
export interface PlacedTerm {
  readonly topologyKey: string;
  /** Pods that must not meet what the term matches, by topology value. */
  readonly repelled: ReadonlyMap<string, number>;
  /** The sum of the weights that attract (or repel, below 0), by topology value. */
  readonly weights: ReadonlyMap<string, number>;
}

/** What a plugin may ask of the cluster as it stands in this cycle. */
export interface Cluster {
  readonly nodes: readonly NodeInfo[];
  namespaceLabels(namespace: string): Labels;
  counts(query: CountQuery): TopologyCounts;
  /** Terms of placed pods that match `pod`. */
  placedTerms(pod: PodInfo): readonly PlacedTerm[];
  /** What the Services and the workload that select the pod say together; undefined when nothing does. */
  defaultMatcher(pod: PodInfo): PodMatcher | undefined;
  /** Undefined where the server has no claims and volumes. */
  readonly storage?: StorageView | undefined;
  /** How many placed pods use the claim namespace/name. */
  claimUsers(claim: string): number;
  /** Image by name: bytes, and on how many nodes. */
  image(name: string): { bytes: number; nodes: number } | undefined;
}

export type { PodMatcher, PodTerms, WeightedTerm };

/** What happened in the cluster that may make a pending pod fit. */
export type ClusterEvent =
  | 'node-added'
  | 'node-changed'
  /** A pod was bound to a node. */
  | 'pod-added'
  /** A bound pod's labels changed, or it began to terminate. */
  | 'pod-changed'
  | 'pod-removed'
  | 'namespace-changed'
  /** A claim, a volume, a storage class, or what CSI drivers say of nodes. */
  | 'storage-changed';

/** A node's no. */
export interface Refusal {
  /** In upstream's words. */
  readonly reasons: readonly string[];
  /** True: evicting pods from the node would not help. */
  readonly unresolvable: boolean;
}

export interface FilterPlugin<State = unknown> {
  name: string;
  /** Pods refused by this plugin are tried again after these events. */
  wakesOn(pod: PodInfo): readonly ClusterEvent[];
  /** What keeps the pod from every node, whatever the node; asked before any of them is looked at. */
  refuseEverywhere?(pod: PodInfo, cluster: Cluster): string | undefined;
  /** What `filter` needs, computed once a pod; undefined: this pod does not concern the plugin on any node. */
  prepare(pod: PodInfo, cluster: Cluster): State | undefined;
  /** Why the pod cannot run there; undefined when it can. Must not allocate for a node that fits. */
  filter(state: State, node: NodeInfo): Refusal | undefined;
}

export interface ScorePlugin<State = unknown> {
  name: string;
  weight: number;
  /** `feasible` are the nodes to choose from. Undefined: the plugin has no opinion. */
  prepare(pod: PodInfo, cluster: Cluster, feasible: readonly NodeInfo[]): State | undefined;
  score(state: State, node: NodeInfo): number;
  /** Turns scores into 0..100, in place. */
  normalize(scores: Float64Array): void;
}

export interface Profile {
  filters: readonly FilterPlugin[];
  scores: readonly ScorePlugin[];
}

/** Why no node was feasible: for each plugin, each reason and on how many nodes it stood. */
export interface Diagnosis {
  nodeCount: number;
  reasons: ReadonlyMap<string, number>;
  /** Said of all nodes at once. */
  everywhere?: string;
  /** Plugins that refused the pod on at least one node. */
  plugins: ReadonlySet<string>;
  /** Nodes where evicting pods may help. */
  resolvable: readonly NodeInfo[];
}

export type Decision =
  | { kind: 'node'; node: string; feasible: number; evaluated: number }
  | { kind: 'none'; diagnosis: Diagnosis };
