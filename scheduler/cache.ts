// What the scheduler believes of the cluster: nodes, the pods on them, and the pods it has assumed there because their
// binding is on its way. Kept incrementally; a cycle reads it as it stands (cycles never span an await).
import type { Node } from '../api/types/core-v1.ts';
import type { Amounts, NodeInfo, PodInfo } from './framework.ts';
import { allocatableOf } from './resources.ts';

class NodeRecord implements NodeInfo {
  readonly name: string;
  node: Node;
  allocatable: Amounts & { pods: number };
  readonly requested = { milliCpu: 0, memoryBytes: 0, ephemeralStorageBytes: 0, scalars: new Map<string, number>() };
  readonly scoredRequested = { milliCpu: 0, memoryBytes: 0 };
  readonly pods = new Map<string, PodInfo>();

  constructor(node: Node) {
    this.name = node.metadata.name ?? '';
    this.node = node;
    this.allocatable = allocatableOf(node);
  }

  add(pod: PodInfo): void {
    this.remove(pod.uid);
    this.pods.set(pod.uid, pod);
    this.#account(pod, 1);
  }

  remove(uid: string): void {
    const pod = this.pods.get(uid);
    if (!pod) return;
    this.pods.delete(uid);
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

export class SchedulerCache {
  /** Nodes that exist, in a stable order for the rotating search. */
  #nodes: NodeRecord[] = [];
  #byName = new Map<string, NodeRecord>();
  /** Pods by uid: where they are, and whether that is only assumed. */
  #pods = new Map<string, { info: PodInfo; node: string; assumed: boolean }>();

  get nodes(): readonly NodeInfo[] {
    return this.#nodes;
  }

  setNode(node: Node): void {
    const name = node.metadata.name ?? '';
    const known = this.#byName.get(name);
    if (known) {
      known.node = node;
      known.allocatable = allocatableOf(node);
      return;
    }
    const record = new NodeRecord(node);
    this.#byName.set(name, record);
    this.#nodes.push(record);
    // Pods may have been seen before their node.
    for (const { info, node: on } of this.#pods.values()) if (on === name) record.add(info);
  }

  deleteNode(name: string): void {
    const record = this.#byName.get(name);
    if (!record) return;
    this.#byName.delete(name);
    this.#nodes.splice(this.#nodes.indexOf(record), 1);
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
    const known = this.#pods.get(uid);
    if (!known) return false;
    this.#pods.delete(uid);
    this.#byName.get(known.node)?.remove(uid);
    return true;
  }

  isAssumed(uid: string): boolean {
    return this.#pods.get(uid)?.assumed === true;
  }

  #place(info: PodInfo, node: string, assumed: boolean): void {
    const known = this.#pods.get(info.uid);
    if (known && known.node !== node) this.#byName.get(known.node)?.remove(info.uid);
    this.#pods.set(info.uid, { info, node, assumed });
    this.#byName.get(node)?.add(info);
  }
}
