// Deletes what nobody owns any more, and carries out foreground and orphan deletion. Woken by the graph; nothing is
// deleted on the word of a cache: the object and owners that seem absent are read live first.
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, parseApiVersion } from '../../api/object.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import { createWorkQueue, type InformerHandler, isConflict, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { NO_CUSTOM_KINDS } from '../parts/custom-kinds.ts';
import { watchableKinds } from '../parts/kinds.ts';
import { foregroundFinalizer, Graph, type GraphNode, orphanFinalizer, type Work } from './graph.ts';
import { type OwnerState, planGarbage } from './plan.ts';

/** Uids are never used again: what was absent once stays absent. */
const maxRemembered = 1_000;

function remember(known: Set<string>, each: string): void {
  known.add(each);
  if (known.size > maxRemembered) known.delete(known.values().next().value as string);
}

export function runGarbageCollector(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers, scheme } = context;
  const log = context.log.child({ controller: 'garbagecollector' });
  const graph = new Graph();
  const deletes = createWorkQueue({ clock, random });
  const orphans = createWorkQueue({ clock, random });
  const absentOwners = new Set<string>();

  const deletedOwners = new Set<string>();

  const mirrors = watchableKinds(scheme).map((kind) => {
    const informer = informers.of<KubeObject>(kind);
    informer.addHandler(mirroring(kind));
    return informer;
  });
  const customKinds = context.customKinds ?? NO_CUSTOM_KINDS;
  customKinds.onKind((kind, mirror) => {
    mirror.addHandler(mirroring(kind));
    // What waited for its owner's kind to be known can be decided now.
    void mirror.synced(signal).then(
      () => graph.dependentsOfKind(kind).forEach((uid) => deletes.add(uid)),
      () => {},
    );
    return (isDeleted) => {
      for (const { metadata } of mirror.list()) {
        const uid = metadata.uid as string;
        if (isDeleted) remember(deletedOwners, uid);
        enqueue(graph.remove(uid));
      }
    };
  });

  function mirroring(kind: Kind): InformerHandler<KubeObject> {
    const put = (object: KubeObject) => enqueue(graph.put(kind, object));
    return {
      onAdd: put,
      onUpdate: put,
      onDelete(object) {
        const uid = object.metadata.uid as string;
        // Seen to go: nobody has to be asked, not even when its kind goes right after it.
        if (kind.custom || graph.dependentsOf(uid).length > 0) remember(deletedOwners, uid);
        enqueue(graph.remove(uid));
      },
    };
  }

  function enqueue(work: Work): void {
    for (const uid of work.attemptDelete) deletes.add(uid);
    for (const uid of work.attemptOrphan) orphans.add(uid);
  }

  const resourceOf = (node: GraphNode) => client.resource<KubeObject>(node.kind, node.namespace);

  /** The object itself; undefined when it is gone or another one has its name. */
  async function live(node: GraphNode): Promise<KubeObject | undefined> {
    try {
      const object = await resourceOf(node).get(node.name);
      return object.metadata.uid === node.uid ? object : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** An owner lives in its dependent's namespace or in none. What cannot be decided counts as solid. */
  async function stateOf(dependent: GraphNode, reference: OwnerReference): Promise<OwnerState> {
    if (deletedOwners.has(reference.uid)) return 'absent';
    const { group, version } = parseApiVersion(reference.apiVersion) ?? { group: '', version: '' };
    const kind: Kind | undefined =
      scheme.byKind(group, version, reference.kind) ?? scheme.byGroupKind(group, reference.kind);
    if (!kind) return 'solid'; // a kind that is not served (yet)
    if (kind.namespaced && !dependent.namespace) return 'solid'; // never valid, and never proof of absence
    const namespace = kind.namespaced ? dependent.namespace : undefined;
    const known = graph.get(reference.uid);
    const isHere = known?.name === reference.name && known.namespace === namespace && known.kind.kind === kind.kind;
    if (known && isHere && !known.isDeletingDependents) return 'solid';
    const absentKey = `${namespace ?? ''}/${reference.uid}/${kind.group}/${kind.kind}/${reference.name}`;
    if (absentOwners.has(absentKey)) return 'absent';
    const owner = await live({ kind, name: reference.name, namespace, uid: reference.uid } as GraphNode);
    if (!owner) {
      remember(absentOwners, absentKey);
      return 'absent';
    }
    const { deletionTimestamp, finalizers = [] } = owner.metadata;
    return deletionTimestamp && finalizers.includes(foregroundFinalizer) ? 'waiting' : 'solid';
  }

  async function attemptDelete(uid: string): Promise<void> {
    const node = graph.get(uid);
    if (!node || (node.isBeingDeleted && !node.isDeletingDependents)) return;
    const object = await live(node);
    if (!object) return; // its delete event is under way
    if (node.isDeletingDependents) return finishForeground(node, object);
    const references = object.metadata.ownerReferences ?? [];
    const states = new Map<OwnerReference, OwnerState>();
    for (const reference of references) states.set(reference, await stateOf(node, reference));
    const dependents = graph.dependentsOf(uid);
    const action = planGarbage({
      object,
      ownerState: (reference) => states.get(reference) as OwnerState,
      hasDependents: dependents.length > 0,
      isCycle: dependents.some((dependent) => dependent.isDeletingDependents),
    });
    const { resourceVersion } = object.metadata;
    if (action.kind === 'keep') return;
    if (action.kind === 'dropReferences') {
      await patch(node, { uid, resourceVersion, ownerReferences: action.ownerReferences });
      return;
    }
    let preconditions: { uid: string; resourceVersion?: string } = { uid, resourceVersion };
    if (action.unblock) {
      await patch(node, {
        uid,
        resourceVersion,
        ownerReferences: references.map((each) => ({ ...each, blockOwnerDeletion: false })),
      });
      preconditions = { uid };
    }
    try {
      await resourceOf(node).delete(node.name, { propagationPolicy: action.propagationPolicy, preconditions });
      log.debug({ kind: node.kind.kind, namespace: node.namespace, name: node.name }, 'deleted: its owners are gone');
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Lets the owner go when nothing that blocks is left; else sees to it that what blocks is deleted. */
  async function finishForeground(node: GraphNode, object: KubeObject): Promise<void> {
    const blocking = graph
      .dependentsOf(node.uid)
      .filter((dependent) => dependent.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion));
    if (blocking.length === 0) return removeFinalizer(node, object, foregroundFinalizer);
    for (const dependent of blocking) if (!dependent.isDeletingDependents) deletes.add(dependent.uid);
  }

  async function attemptOrphan(uid: string): Promise<void> {
    const node = graph.get(uid);
    if (!node) return;
    const owner = await live(node);
    if (!owner?.metadata.deletionTimestamp || !owner.metadata.finalizers?.includes(orphanFinalizer)) return;
    for (const dependent of graph.dependentsOf(uid)) {
      const object = await live(dependent);
      if (!object?.metadata.ownerReferences?.some((each) => each.uid === uid)) continue;
      const ownerReferences = object.metadata.ownerReferences.filter((each) => each.uid !== uid);
      await patch(dependent, { uid: dependent.uid, resourceVersion: object.metadata.resourceVersion, ownerReferences });
    }
    await removeFinalizer(node, owner, orphanFinalizer);
  }

  async function removeFinalizer(node: GraphNode, object: KubeObject, finalizer: string): Promise<void> {
    const { finalizers = [], resourceVersion } = object.metadata;
    if (!finalizers.includes(finalizer)) return;
    await patch(node, { uid: node.uid, resourceVersion, finalizers: finalizers.filter((each) => each !== finalizer) });
  }

  async function patch(node: GraphNode, metadata: object): Promise<void> {
    try {
      await resourceOf(node).patch(node.name, 'merge', { metadata });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** A uid precondition that fails means that another object has the name: ours is gone. */
  const unlessReplaced = (work: (uid: string) => Promise<void>) => async (uid: string) => {
    try {
      await work(uid);
    } catch (error) {
      if (isConflict(error) && !graph.get(uid)) return;
      throw error;
    }
  };

  return Promise.all([
    runController(
      {
        name: 'garbagecollector',
        queue: deletes,
        reconcile: unlessReplaced(attemptDelete),
        workers: 10,
        informers: [...mirrors, customKinds],
        log,
      },
      signal,
    ),
    runController(
      {
        name: 'garbagecollector-orphans',
        queue: orphans,
        reconcile: unlessReplaced(attemptOrphan),
        workers: 4,
        informers: [...mirrors, customKinds],
        log,
      },
      signal,
    ),
  ]).then(() => undefined);
}
