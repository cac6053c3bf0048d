// What the scheduler believes of the cluster: nodes, the pods on them, the pods it has assumed there because their
// binding is on its way, and those nominated to a node that is being cleared for them. Kept incrementally; a cycle reads
// it as it stands (cycles never span an await).
import { deepEqual } from '../api/equality.ts';
import type { Labels } from '../api/selectors.ts';
import type { Node, Taint } from '../api/types/core-v1.ts';
import type {
  Amounts,
  Cluster,
  CountQuery,
  NodeInfo,
  PlacedTerm,
  PodInfo,
  PodMatcher,
  TopologyCounts,
} from './framework.ts';
import { allocatableOf } from './resources.ts';
import { TopologyIndex } from './topology.ts';
import type { StorageView } from './volumes.ts';

const NO_LABELS: Labels = Object.freeze({});

class NodeRecord implements NodeInfo {
  readonly name: string;
  node!: Node;
  labels!: Labels;
  hardTaints!: Taint[];
  softTaints!: Taint[];
  images!: ReadonlySet<string>;
  allocatable!: Amounts & { pods: number };
  readonly requested = { milliCpu: 0, memoryBytes: 0, ephemeralStorageBytes: 0, scalars: new Map<string, number>() };
  readonly scoredRequested = { milliCpu: 0, memoryBytes: 0 };
  readonly pods = new Map<string, PodInfo>();

  constructor(node: Node) {
    this.name = node.metadata.name ?? '';
    this.set(node);
  }

  set(node: Node): void {
    const taints = node.spec?.taints ?? [];
    this.node = node;
    this.labels = node.metadata.labels ?? NO_LABELS;
    this.hardTaints = taints.filter((each) => each.effect !== 'PreferNoSchedule');
    this.softTaints = taints.filter((each) => each.effect === 'PreferNoSchedule');
    this.images = new Set((node.status?.images ?? []).flatMap((each) => each.names ?? []));
    this.allocatable = allocatableOf(node);
  }

  add(pod: PodInfo): void {
    this.pods.set(pod.uid, pod);
    this.#account(pod, 1);
  }

  remove(pod: PodInfo): void {
    this.pods.delete(pod.uid);
    this.#account(pod, -1);
  }

  #account(pod: PodInfo, sign: 1 | -1): void {
    this.requested.milliCpu += sign * pod.requests.milliCpu;
    this.requested.memoryBytes += sign * pod.requests.memoryBytes;
    this.requested.ephemeralStorageBytes += sign * pod.requests.ephemeralStorageBytes;
    for (const [name, amount] of pod.requests.scalars) {
      this.requested.scalars.set(name, (this.requested.scalars.get(name) ?? 0) + sign * amount);
    }
    this.scoredRequested.milliCpu += sign * pod.scoredRequests.milliCpu;
    this.scoredRequested.memoryBytes += sign * pod.scoredRequests.memoryBytes;
  }
}

interface PlacedPod {
  info: PodInfo;
  node: string;
  assumed: boolean;
}

export class SchedulerCache implements Cluster {
  /** Nodes that exist, in a stable order for the rotating search. */
  #nodes: NodeRecord[] = [];
  #byName = new Map<string, NodeRecord>();
  /** Pods by uid: where they are, and whether that is only assumed. */
  #pods = new Map<string, PlacedPod>();
  /** Pods on nodes that have not been seen, or no longer, by the node's name. */
  #strays = new Map<string, Map<string, PodInfo>>();
  #nominated = new Map<string, { info: PodInfo; node: string }>();
  #nominatedTo = new Map<string, Map<string, PodInfo>>();
  #namespaces = new Map<string, Labels>();
  #images = new Map<string, { bytes: number; nodes: number }>();
  #priorities = new Map<number, number>();
  /** Pods on nodes that have been seen, by namespace/name of the claim. */
  #claimUsers = new Map<string, number>();
  #index = new TopologyIndex(
    () => this.#nodes,
    (namespace) => this.namespaceLabels(namespace),
  );
  /** Set by the loop where the server has claims and volumes. */
  storage: StorageView | undefined;
  /** Set by the loop, which knows Services and workloads. */
  matcherOf: (pod: PodInfo) => PodMatcher | undefined = () => undefined;

  get nodes(): readonly NodeInfo[] {
    return this.#nodes;
  }

  node(name: string): NodeInfo | undefined {
    return this.#byName.get(name);
  }

  namespaceLabels(namespace: string): Labels {
    return this.#namespaces.get(namespace) ?? NO_LABELS;
  }

  counts(query: CountQuery): TopologyCounts {
    return this.#index.counts(query);
  }

  placedTerms(pod: PodInfo): readonly PlacedTerm[] {
    return this.#index.placedTerms(pod);
  }

  defaultMatcher(pod: PodInfo): PodMatcher | undefined {
    return this.matcherOf(pod);
  }

  claimUsers(claim: string): number {
    return this.#claimUsers.get(claim) ?? 0;
  }

  image(name: string): { bytes: number; nodes: number } | undefined {
    return this.#images.get(name);
  }

  /** Undefined: the namespace is gone. True when something changed. */
  setNamespace(name: string, labels: Labels | undefined): boolean {
    if (deepEqual(this.#namespaces.get(name), labels)) return false;
    if (labels) this.#namespaces.set(name, labels);
    else this.#namespaces.delete(name);
    this.#index.namespacesChanged();
    return true;
  }

  setNode(node: Node): void {
    const name = node.metadata.name ?? '';
    const known = this.#byName.get(name);
    if (known) {
      if (!deepEqual(known.node.status?.images, node.status?.images)) {
        this.#countImages(known.node, -1);
        this.#countImages(node, 1);
      }
      const same = deepEqual(known.node.metadata.labels, node.metadata.labels) && deepEqual(known.node.spec, node.spec);
      if (same) return known.set(node);
      this.#index.nodeLeaving(known);
      known.set(node);
      return this.#index.nodeEntered(known);
    }
    const record = new NodeRecord(node);
    for (const info of this.#strays.get(name)?.values() ?? []) {
      record.add(info);
      this.#countClaims(info, 1);
    }
    this.#strays.delete(name);
    this.#byName.set(name, record);
    this.#nodes.push(record);
    this.#countImages(node, 1);
    this.#index.nodeEntered(record);
  }

  deleteNode(name: string): void {
    const record = this.#byName.get(name);
    if (!record) return;
    this.#index.nodeLeaving(record);
    this.#countImages(record.node, -1);
    this.#byName.delete(name);
    this.#nodes.splice(this.#nodes.indexOf(record), 1);
    if (record.pods.size > 0) this.#strays.set(name, new Map(record.pods));
    for (const info of record.pods.values()) this.#countClaims(info, -1);
  }

  #countImages(node: Node, change: 1 | -1): void {
    for (const { names, sizeBytes } of node.status?.images ?? []) {
      for (const name of names ?? []) {
        const known = this.#images.get(name) ?? { bytes: 0, nodes: 0 };
        const nodes = known.nodes + change;
        if (nodes <= 0) this.#images.delete(name);
        else this.#images.set(name, { bytes: Number(sizeBytes ?? 0), nodes });
      }
    }
  }

  /** Takes the pod's resources on `node` at once; the binding may still fail. */
  assume(info: PodInfo, node: string): void {
    this.#place(info, node, true);
  }

  /** The binding failed. */
  forget(uid: string): void {
    if (this.#pods.get(uid)?.assumed) this.deletePod(uid);
  }

  /** The API says that the pod is on `node`: confirms or corrects what was assumed. */
  setPod(info: PodInfo, node: string): void {
    this.#place(info, node, false);
  }

  deletePod(uid: string): boolean {
    this.unnominate(uid);
    const known = this.#pods.get(uid);
    if (!known) return false;
    this.#pods.delete(uid);
    this.#unplace(known);
    return true;
  }

  isAssumed(uid: string): boolean {
    return this.#pods.get(uid)?.assumed === true;
  }

  /** Where the pod is, or is assumed to be. */
  nodeOf(uid: string): string | undefined {
    return this.#pods.get(uid)?.node;
  }

  /** True when a placed pod has a lower priority: without one there is nothing to preempt. */
  hasBelow(priority: number): boolean {
    for (const each of this.#priorities.keys()) if (each < priority) return true;
    return false;
  }

  nominate(info: PodInfo, node: string): void {
    this.unnominate(info.uid);
    this.#nominated.set(info.uid, { info, node });
    let there = this.#nominatedTo.get(node);
    if (!there) this.#nominatedTo.set(node, (there = new Map()));
    there.set(info.uid, info);
  }

  unnominate(uid: string): void {
    const known = this.#nominated.get(uid);
    if (!known) return;
    this.#nominated.delete(uid);
    const there = this.#nominatedTo.get(known.node);
    there?.delete(uid);
    if (there?.size === 0) this.#nominatedTo.delete(known.node);
  }

  nominatedNode(uid: string): string | undefined {
    return this.#nominated.get(uid)?.node;
  }

  get hasNominated(): boolean {
    return this.#nominated.size > 0;
  }

  nominatedTo(node: string): Iterable<PodInfo> {
    return this.#nominatedTo.get(node)?.values() ?? [];
  }

  /** Runs `ask` as if `pods` were on the node too, then puts everything back. */
  withPods<T>(node: NodeInfo, pods: readonly PodInfo[], ask: () => T): T {
    const record = node as NodeRecord;
    for (const pod of pods) this.#move(record, pod, 1);
    try {
      return ask();
    } finally {
      for (const pod of pods) this.#move(record, pod, -1);
    }
  }

  /** Runs `ask` as if `pods` were gone from the node; `restore` brings one back while asking. Then all is as before. */
  withoutPods<T>(node: NodeInfo, pods: readonly PodInfo[], ask: (tools: WhatIf) => T): T {
    const record = node as NodeRecord;
    const away = new Set(pods);
    for (const pod of away) this.#move(record, pod, -1);
    try {
      return ask({
        restore: (pod) => {
          if (away.delete(pod)) this.#move(record, pod, 1);
        },
        remove: (pod) => {
          if (away.has(pod)) return;
          away.add(pod);
          this.#move(record, pod, -1);
        },
      });
    } finally {
      for (const pod of away) this.#move(record, pod, 1);
    }
  }

  #move(record: NodeRecord, pod: PodInfo, change: 1 | -1): void {
    if (change > 0) record.add(pod);
    else record.remove(pod);
    this.#index.pod(pod, record, change);
    this.#countClaims(pod, change);
  }

  #countClaims({ claims }: PodInfo, change: 1 | -1): void {
    for (const claim of claims) {
      const users = (this.#claimUsers.get(claim) ?? 0) + change;
      if (users <= 0) this.#claimUsers.delete(claim);
      else this.#claimUsers.set(claim, users);
    }
  }

  #place(info: PodInfo, node: string, assumed: boolean): void {
    this.unnominate(info.uid);
    const known = this.#pods.get(info.uid);
    if (known) {
      if (known.info === info && known.node === node) {
        known.assumed = assumed;
        return;
      }
      this.#unplace(known);
    }
    this.#pods.set(info.uid, { info, node, assumed });
    this.#priorities.set(info.priority, (this.#priorities.get(info.priority) ?? 0) + 1);
    const record = this.#byName.get(node);
    if (record) return this.#move(record, info, 1);
    let strays = this.#strays.get(node);
    if (!strays) this.#strays.set(node, (strays = new Map()));
    strays.set(info.uid, info);
  }

  #unplace({ info, node }: PlacedPod): void {
    const left = (this.#priorities.get(info.priority) ?? 0) - 1;
    if (left <= 0) this.#priorities.delete(info.priority);
    else this.#priorities.set(info.priority, left);
    const record = this.#byName.get(node);
    if (record) return this.#move(record, info, -1);
    const strays = this.#strays.get(node);
    strays?.delete(info.uid);
    if (strays?.size === 0) this.#strays.delete(node);
  }
}

export interface WhatIf {
  restore(pod: PodInfo): void;
  remove(pod: PodInfo): void;
}
