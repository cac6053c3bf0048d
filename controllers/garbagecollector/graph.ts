// Who depends on whom, kept from informers: nodes by uid, with edges from owners to dependents. Pure memory, no IO; each
// change answers with the uids that may have something to do now.
//
//    owner ◄── ownerReferences ── dependent          a reference may name an owner that is not (or not yet) known
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, parseApiVersion } from '../../api/object.ts';
import type { OwnerReference } from '../../api/types/meta.ts';

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

export interface GraphNode {
  kind: Kind;
  uid: string;
  name: string;
  namespace: string | undefined;
  owners: readonly OwnerReference[];
  isBeingDeleted: boolean;
  /** Foreground deletion: waits until its blocking dependents are gone. */
  isDeletingDependents: boolean;
  /** Its dependents shall lose their reference to it before it goes. */
  isOrphaning: boolean;
}

export interface Work {
  /** May have to be deleted, or to let a finalizer go. */
  attemptDelete: string[];
  attemptOrphan: string[];
}

export class Graph {
  #nodes = new Map<string, GraphNode>();
  /** Owner uid → uids of dependents; also for owners that are not known. */
  #dependents = new Map<string, Set<string>>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((each) => this.#nodes.get(each) ?? []);
  }

  /** Uids of those that name an owner of this kind which is not known. */
  dependentsOfKind({ group, kind }: Kind): string[] {
    const found: string[] = [];
    for (const node of this.#nodes.values()) {
      const isWaiting = node.owners.some(
        (owner) => owner.kind === kind && groupOf(owner.apiVersion) === group && !this.#nodes.has(owner.uid),
      );
      if (isWaiting) found.push(node.uid);
    }
    return found;
  }

  put(kind: Kind, object: KubeObject): Work {
    const node = nodeOf(kind, object);
    const old = this.#nodes.get(node.uid);
    this.#nodes.set(node.uid, node);
    const attemptDelete = new Set<string>();
    const owners = new Set(node.owners.map((owner) => owner.uid));
    for (const owner of old?.owners ?? []) {
      if (!owners.has(owner.uid)) this.#unlink(owner.uid, node.uid);
    }
    for (const owner of owners) this.#link(owner, node.uid);
    // An owner in foreground deletion waits for references that block; one that went away or no longer blocks frees it.
    for (const owner of old?.owners ?? []) {
      const now = node.owners.find((each) => each.uid === owner.uid);
      if (now?.blockOwnerDeletion !== owner.blockOwnerDeletion && this.#nodes.get(owner.uid)?.isDeletingDependents)
        attemptDelete.add(owner.uid);
    }
    if (!old || !sameOwners(old.owners, node.owners)) {
      if (node.owners.some((owner) => !this.#isSolid(owner, node))) attemptDelete.add(node.uid);
    }
    if (node.isDeletingDependents && !old?.isDeletingDependents) {
      attemptDelete.add(node.uid);
      for (const dependent of this.#dependents.get(node.uid) ?? []) attemptDelete.add(dependent);
    }
    const attemptOrphan = node.isOrphaning && !old?.isOrphaning ? [node.uid] : [];
    return { attemptDelete: [...attemptDelete], attemptOrphan };
  }

  remove(uid: string): Work {
    const node = this.#nodes.get(uid);
    if (!node) return { attemptDelete: [], attemptOrphan: [] };
    this.#nodes.delete(uid);
    for (const owner of node.owners) this.#unlink(owner.uid, uid);
    const waiting = node.owners
      .filter((owner) => this.#nodes.get(owner.uid)?.isDeletingDependents)
      .map((owner) => owner.uid);
    return { attemptDelete: [...(this.#dependents.get(uid) ?? []), ...waiting], attemptOrphan: [] };
  }

  /** The owner is known as the reference names it, in the dependent's namespace or in none, and stays. */
  #isSolid(reference: OwnerReference, dependent: GraphNode): boolean {
    const owner = this.#nodes.get(reference.uid);
    if (!owner || owner.isDeletingDependents) return false;
    const isReachable = owner.namespace === undefined || owner.namespace === dependent.namespace;
    return isReachable && owner.name === reference.name && owner.kind.kind === reference.kind;
  }

  #link(owner: string, dependent: string): void {
    let dependents = this.#dependents.get(owner);
    if (!dependents) this.#dependents.set(owner, (dependents = new Set()));
    dependents.add(dependent);
  }

  #unlink(owner: string, dependent: string): void {
    const dependents = this.#dependents.get(owner);
    dependents?.delete(dependent);
    if (dependents?.size === 0) this.#dependents.delete(owner);
  }
}

const groupOf = (apiVersion: string) => parseApiVersion(apiVersion)?.group;

function nodeOf(kind: Kind, { metadata }: KubeObject): GraphNode {
  const finalizers = metadata.finalizers ?? [];
  const isBeingDeleted = metadata.deletionTimestamp !== undefined;
  return {
    kind,
    uid: metadata.uid as string,
    name: metadata.name as string,
    namespace: metadata.namespace,
    owners: metadata.ownerReferences ?? [],
    isBeingDeleted,
    isDeletingDependents: isBeingDeleted && finalizers.includes(foregroundFinalizer),
    isOrphaning: isBeingDeleted && finalizers.includes(orphanFinalizer),
  };
}

const sameOwners = (a: readonly OwnerReference[], b: readonly OwnerReference[]) =>
  a.length === b.length &&
  a.every((each, i) => each.uid === b[i]?.uid && each.blockOwnerDeletion === b[i]?.blockOwnerDeletion);
