// Empties a terminating namespace, pods first, then lets go of it through its finalize subresource. Woken by every
// deletion in a terminating namespace; what it sees is read live, never from a cache.
import { deepEqual } from '../../api/equality.ts';
import { namespace as namespaceKind } from '../../api/kinds/namespace.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Namespace } from '../../api/types/core-v1.ts';
import { createWorkQueue, isConflict, isNotFound, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { NO_CUSTOM_KINDS } from '../parts/custom-kinds.ts';
import { deletableKinds, watchableKinds } from '../parts/kinds.ts';
import { namespaceConditions, type Remaining } from './plan.ts';

/** The wake-up by events may miss kinds that are not watched (Events): look again. */
const recheckMs = 2_000;
const finalizerName = 'kubernetes';

export function runNamespaceController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers, scheme } = context;
  const log = context.log.child({ controller: 'namespace' });
  const namespaces = informers.of<Namespace>(namespaceKind);
  const queue = createWorkQueue({ clock, random });
  const wake = (namespace: Namespace) => {
    if (namespace.metadata.deletionTimestamp) queue.add(namespace.metadata.name as string);
  };
  namespaces.addHandler({ onAdd: wake, onUpdate: wake });
  const onDelete = (object: KubeObject) => {
    const namespace = namespaces.get(object.metadata.namespace ?? '');
    if (namespace) wake(namespace);
  };
  for (const kind of watchableKinds(scheme)) {
    if (kind.namespaced) informers.of<KubeObject>(kind).addHandler({ onDelete });
  }
  const customKinds = context.customKinds ?? NO_CUSTOM_KINDS;
  customKinds.onKind((_kind, mirror) => mirror.addHandler({ onDelete }));

  /** Deletes what there is of one kind; tells what is left. */
  async function clear(kind: Kind, name: string): Promise<Remaining> {
    const resource = client.resource<KubeObject>(kind, name);
    const before = await resource.listAll();
    const isIdle = before.items.every((object) => object.metadata.deletionTimestamp);
    if (!isIdle) {
      const deleteOptions = { propagationPolicy: 'Background' };
      if (kind.verbs.includes('deletecollection')) await resource.deleteCollection({ deleteOptions });
      else for (const object of before.items) await deleteOne(kind, object);
    }
    const after = isIdle ? before : await resource.listAll();
    return {
      resource: `${kind.resource}.${kind.group}`,
      count: after.items.length,
      finalizers: after.items.flatMap((object) => object.metadata.finalizers ?? []),
    };
  }

  async function deleteOne(kind: Kind, object: KubeObject): Promise<void> {
    try {
      await client
        .resource(kind, object.metadata.namespace)
        .delete(object.metadata.name as string, { propagationPolicy: 'Background' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function reconcile(name: string): Promise<ReconcileResult> {
    const namespace = namespaces.get(name);
    if (!namespace?.metadata.deletionTimestamp || !namespace.spec?.finalizers?.includes(finalizerName)) return;
    const kinds = deletableKinds(scheme);
    const pods = kinds.filter((kind) => kind.group === '' && kind.resource === 'pods');
    let failure: unknown;
    const clearAll = async (some: readonly Kind[]) => {
      const outcomes = await Promise.allSettled(some.map((kind) => clear(kind, name)));
      for (const outcome of outcomes) if (outcome.status === 'rejected') failure ??= outcome.reason;
      return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    };
    // Pods go first: what they may need until their end (network policies, secrets) stays for them.
    let remaining = await clearAll(pods);
    if (!failure && remaining.every((each) => each.count === 0))
      remaining = await clearAll(kinds.filter((kind) => !pods.includes(kind)));
    const isEmpty = !failure && remaining.every((each) => each.count === 0);
    if (isEmpty) return finalize(namespace);
    await writeConditions(namespace, remaining, failure);
    if (failure) throw failure;
    return { requeueAfterMs: recheckMs };
  }

  async function finalize(namespace: Namespace): Promise<void> {
    const finalizers = (namespace.spec?.finalizers ?? []).filter((each) => each !== finalizerName);
    try {
      const resource = client.resource<Namespace>(namespaceKind);
      await resource.update({ ...namespace, spec: { ...namespace.spec, finalizers } }, { subresource: 'finalize' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function writeConditions(
    namespace: Namespace,
    remaining: readonly Remaining[],
    failure: unknown,
  ): Promise<void> {
    const message = failure === undefined ? undefined : failure instanceof Error ? failure.message : String(failure);
    const conditions = namespaceConditions(namespace.status?.conditions ?? [], remaining, message, clock.now());
    if (deepEqual(conditions, namespace.status?.conditions)) return;
    try {
      await client
        .resource<Namespace>(namespaceKind)
        .update({ ...namespace, status: { ...namespace.status, conditions } }, { subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  return runController(
    { name: 'namespace', queue, reconcile, workers: 10, informers: [namespaces, customKinds], log },
    signal,
  );
}
