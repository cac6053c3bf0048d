// How a controller makes and ends its pods, and hears of them: expectations, events and slow-start batches in one place.
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import {
  type Client,
  type EventRecorder,
  type Informer,
  isNamespaceTerminating,
  isNotFound,
  NetworkError,
  type ResourceRef,
  type WorkQueue,
} from '../../client/index.ts';
import type { KubeObject } from '../../api/object.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { LabelSelector } from '../../api/types/meta.ts';
import type { Expectations } from './expectations.ts';
import { controllerOf, controllerReference } from './owners.ts';

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

export interface PodControl {
  /** `pod` has its name; the owner reference is added. Several at once: use createAll. */
  create(owner: KubeObject, pod: Pod): Promise<void>;
  /** In batches of 1, 2, 4, …; the first failing batch ends it, so that a quota is not hammered. */
  createAll(owner: KubeObject, pods: readonly Pod[]): Promise<void>;
  /** Deletes each, all at once; the first failure is thrown when all are answered. */
  removeAll(owner: KubeObject, pods: readonly Pod[]): Promise<void>;
}

export function createPodControl(dependencies: {
  client: Client;
  events: EventRecorder;
  expectations: Expectations;
  ownerRef: ResourceRef;
}): PodControl {
  const { client, events, expectations, ownerRef } = dependencies;

  async function create(owner: KubeObject, pod: Pod): Promise<void> {
    const { namespace, uid } = owner.metadata as { namespace: string; uid: string };
    const name = pod.metadata.name as string;
    const ownerReferences = [controllerReference(ownerRef, owner)];
    expectations.expect(uid, name);
    try {
      await client
        .resource<Pod>(podKind, namespace)
        .create({ ...pod, metadata: { ...pod.metadata, namespace, ownerReferences } });
    } catch (error) {
      // Perhaps it was created and only the answer got lost: then the watch tells, or the expectation expires.
      if (!(error instanceof NetworkError)) expectations.settle(uid, name);
      if (!isNamespaceTerminating(error))
        events.event(owner, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`);
      throw error;
    }
    events.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${name}`);
  }

  async function remove(owner: KubeObject, pod: Pod): Promise<void> {
    const { name, uid } = pod.metadata as { name: string; uid: string };
    const ownerUid = owner.metadata.uid as string;
    expectations.expect(ownerUid, uid);
    try {
      await client.resource<Pod>(podKind, pod.metadata.namespace).delete(name, { preconditions: { uid } });
    } catch (error) {
      expectations.settle(ownerUid, uid);
      if (isNotFound(error)) return;
      events.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`);
      throw error;
    }
    events.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  }

  const throwFirst = (outcomes: readonly PromiseSettledResult<void>[]) => {
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  };
  return {
    create,
    async createAll(owner, pods) {
      for (let done = 0, batch = 1; done < pods.length; batch *= 2) {
        const now = pods.slice(done, done + batch);
        throwFirst(await Promise.allSettled(now.map((pod) => create(owner, pod))));
        done += now.length;
      }
    },
    async removeAll(owner, pods) {
      throwFirst(await Promise.allSettled(pods.map((pod) => remove(owner, pod))));
    },
  };
}

/** Strikes off expectations as pods are seen, and wakes the owner; a new orphan wakes every owner that selects it. */
export function wakeOwnersOfPods<T extends KubeObject & { spec?: { selector?: LabelSelector } }>(options: {
  pods: Informer<Pod>;
  owners: Informer<T>;
  ownerRef: ResourceRef;
  expectations: Expectations;
  queue: WorkQueue<string>;
}): void {
  const { pods, owners, ownerRef, expectations, queue } = options;
  function wake(pod: Pod): void {
    const owner = controllerOf(pod);
    if (owner?.kind === ownerRef.kind) queue.add(`${pod.metadata.namespace}/${owner.name}`);
  }
  function seen(pod: Pod): void {
    const owner = controllerOf(pod);
    if (owner) {
      expectations.settle(owner.uid, pod.metadata.name as string);
      if (pod.metadata.deletionTimestamp) expectations.settle(owner.uid, pod.metadata.uid as string);
      return wake(pod);
    }
    if (pod.metadata.deletionTimestamp || !pod.metadata.labels) return;
    for (const each of owners.list(pod.metadata.namespace)) {
      if (selectorFromObject(each.spec?.selector).matches(pod.metadata.labels)) queue.add(keyOf(each));
    }
  }
  pods.addHandler({
    onAdd: seen,
    onUpdate(pod, old) {
      seen(pod);
      if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) wake(old);
    },
    onDelete(pod) {
      const owner = controllerOf(pod);
      if (owner) {
        expectations.settle(owner.uid, pod.metadata.name as string);
        expectations.settle(owner.uid, pod.metadata.uid as string);
      }
      wake(pod);
    },
  });
  owners.addHandler({
    onAdd: (each) => queue.add(keyOf(each)),
    onUpdate: (each) => queue.add(keyOf(each)),
    onDelete(each) {
      expectations.forget(each.metadata.uid as string);
      queue.add(keyOf(each));
    },
  });
}
