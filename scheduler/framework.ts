// The vocabulary of scheduling: what a plugin sees and answers. Plugins are pure; "does not fit" is a value with its
// reasons, never an exception.
import type { Node, Pod } from '../api/types/core-v1.ts';

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
  readonly priority: number;
  readonly requests: Amounts;
  /** Requests with upstream's floor for containers that ask for nothing (100m CPU, 200Mi), for scoring only. */
  readonly scoredRequests: { milliCpu: number; memoryBytes: number };
  readonly hostPorts: readonly HostPort[];
}

/** A node with the pods that are on it or assumed to be; owned by the cache, read-only for plugins. */
export interface NodeInfo {
  readonly name: string;
  readonly node: Node;
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

/** What happened in the cluster that may make a pending pod fit. */
export type ClusterEvent = 'node-added' | 'node-changed' | 'pod-removed';

export interface FilterPlugin {
  name: string;
  /** Pods refused by this plugin are tried again after these events. */
  wakesOn: readonly ClusterEvent[];
  /** False: this pod does not concern the plugin on any node. */
  applies(pod: PodInfo): boolean;
  /** Why the pod cannot run there, in upstream's words; undefined when it can. */
  filter(pod: PodInfo, node: NodeInfo): string[] | undefined;
}

export interface ScorePlugin {
  name: string;
  weight: number;
  applies(pod: PodInfo): boolean;
  /** Any finite number >= 0; `normalize` says how they become 0..100. */
  score(pod: PodInfo, node: NodeInfo): number;
  /** `as-is`: already 0..100; `scaled`: the highest becomes 100; `reversed`: the highest becomes 0. */
  normalize: 'as-is' | 'scaled' | 'reversed';
}

export interface Profile {
  filters: readonly FilterPlugin[];
  scores: readonly ScorePlugin[];
}

/** Why no node was feasible: for each plugin, each reason and on how many nodes it stood. */
export interface Diagnosis {
  nodeCount: number;
  reasons: ReadonlyMap<string, number>;
  /** Plugins that refused the pod on at least one node. */
  plugins: ReadonlySet<string>;
}

export type Decision =
  | { kind: 'node'; node: string; feasible: number; evaluated: number }
  | { kind: 'none'; diagnosis: Diagnosis };
