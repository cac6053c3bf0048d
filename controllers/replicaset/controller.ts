// Keeps as many pods as a ReplicaSet, or a ReplicationController, asks for: claims what its selector finds, creates in
// slow-start batches, deletes what is least worth keeping, tells the outcome in status and events.
import { deepEqual } from '../../api/equality.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import { replicationController as replicationControllerKind } from '../../api/kinds/replication-controller.ts';
import { randomSuffix } from '../../api/names.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive } from '../../api/pod-conditions.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { ReplicaSet, ReplicaSetStatus } from '../../api/types/apps-v1.ts';
import type { Pod, ReplicationController, ReplicationControllerStatus } from '../../api/types/core-v1.ts';
import {
  createWorkQueue,
  isNamespaceTerminating,
  isNotFound,
  NetworkError,
  type ReconcileResult,
  type ResourceRef,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import {
  claim,
  controlledBy,
  controllerOf,
  controllerReference,
  indexByController,
  settleClaims,
} from '../parts/owners.ts';
import { nextAvailableInMs, planReplicas, type ReplicaFailure, replicaSetStatus } from './plan.ts';

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** What tells the two kinds apart: a ReplicationController is planned for as the ReplicaSet that it amounts to. */
interface Flavour<T extends ReplicaSet | ReplicationController> {
  name: string;
  source: string;
  kind: ResourceRef;
  asReplicaSet(object: T): ReplicaSet;
  withStatus(object: T, status: ReplicaSetStatus): T;
}

const replicaSetFlavour: Flavour<ReplicaSet> = {
  name: 'replicaset',
  source: 'replicaset-controller',
  kind: replicaSetKind,
  asReplicaSet: (object) => object,
  withStatus: (object, status) => ({ ...object, status }),
};

const replicationControllerFlavour: Flavour<ReplicationController> = {
  name: 'replicationcontroller',
  source: 'replication-controller',
  kind: replicationControllerKind,
  asReplicaSet: ({ spec, status, ...object }) => ({
    ...object,
    ...(spec && {
      spec: { ...spec, selector: { matchLabels: spec.selector ?? {} }, template: spec.template ?? {} },
    }),
    ...(status && { status }),
  }),
  withStatus(object, counted) {
    const status: ReplicationControllerStatus & ReplicaSetStatus = { ...counted };
    delete status.terminatingReplicas; // it has no such field
    return { ...object, status };
  },
};

export const runReplicaSetController = (context: ControllersContext, signal: AbortSignal): Promise<void> =>
  runReplicaController(replicaSetFlavour, context, signal);

export const runReplicationController = (context: ControllersContext, signal: AbortSignal): Promise<void> =>
  runReplicaController(replicationControllerFlavour, context, signal);

function runReplicaController<T extends ReplicaSet | ReplicationController>(
  flavour: Flavour<T>,
  context: ControllersContext,
  signal: AbortSignal,
): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.(flavour.source) ?? context.events;
  const log = context.log.child({ controller: flavour.name });
  const replicaSets = informers.of<T>(flavour.kind);
  const pods = informers.of<Pod>(podKind);
  const queue = createWorkQueue({ clock, random });
  const expectations = new Expectations(clock);
  indexByController(pods);
  indexByController(replicaSets);

  replicaSets.addHandler({
    onAdd: (replicaSet) => queue.add(keyOf(replicaSet)),
    onUpdate: (replicaSet) => queue.add(keyOf(replicaSet)),
    onDelete(replicaSet) {
      expectations.forget(replicaSet.metadata.uid as string);
      queue.add(keyOf(replicaSet));
    },
  });
  pods.addHandler({
    onAdd: podSeen,
    onUpdate(pod, old) {
      podSeen(pod);
      if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) wakeOwner(old);
    },
    onDelete(pod) {
      const owner = controllerOf(pod);
      if (owner) {
        expectations.settle(owner.uid, pod.metadata.name as string);
        expectations.settle(owner.uid, pod.metadata.uid as string);
      }
      wakeOwner(pod);
    },
  });

  function podSeen(pod: Pod): void {
    const owner = controllerOf(pod);
    if (owner) {
      expectations.settle(owner.uid, pod.metadata.name as string);
      if (pod.metadata.deletionTimestamp) expectations.settle(owner.uid, pod.metadata.uid as string);
      return wakeOwner(pod);
    }
    if (pod.metadata.deletionTimestamp || !pod.metadata.labels) return;
    for (const replicaSet of replicaSets.list(pod.metadata.namespace)) {
      const { spec } = flavour.asReplicaSet(replicaSet);
      if (selectorFromObject(spec?.selector).matches(pod.metadata.labels)) queue.add(keyOf(replicaSet));
    }
  }

  function wakeOwner(pod: Pod): void {
    const owner = controllerOf(pod);
    if (owner?.kind === flavour.kind.kind) queue.add(`${pod.metadata.namespace}/${owner.name}`);
  }

  /** Creates in batches of 1, 2, 4, …; the first failing batch ends it, so that a quota is not hammered. */
  async function createPods(replicaSet: ReplicaSet, count: number): Promise<void> {
    for (let done = 0, batch = 1; done < count; batch *= 2) {
      const size = Math.min(batch, count - done);
      const outcomes = await Promise.allSettled(Array.from({ length: size }, () => createPod(replicaSet)));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
      done += size;
    }
  }

  async function createPod(replicaSet: ReplicaSet): Promise<void> {
    const { namespace, uid } = replicaSet.metadata as { namespace: string; uid: string };
    const template = replicaSet.spec?.template;
    const generateName = `${replicaSet.metadata.name}-`;
    const name = generateName.slice(0, 58) + randomSuffix(random);
    const pod: Pod = {
      metadata: {
        name,
        generateName,
        namespace,
        labels: template?.metadata?.labels,
        annotations: template?.metadata?.annotations,
        finalizers: template?.metadata?.finalizers,
        ownerReferences: [controllerReference(flavour.kind, replicaSet)],
      },
      spec: template?.spec,
    };
    expectations.expect(uid, name);
    try {
      await client.resource<Pod>(podKind, namespace).create(pod);
    } catch (error) {
      // Perhaps it was created and only the answer got lost: then the watch tells, or the expectation expires.
      if (!(error instanceof NetworkError)) expectations.settle(uid, name);
      if (!isNamespaceTerminating(error))
        events.event(replicaSet, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`);
      throw error;
    }
    events.event(replicaSet, 'Normal', 'SuccessfulCreate', `Created pod: ${name}`);
  }

  async function removePod(replicaSet: ReplicaSet, pod: Pod): Promise<void> {
    const { name, uid } = pod.metadata as { name: string; uid: string };
    const owner = replicaSet.metadata.uid as string;
    expectations.expect(owner, uid);
    try {
      await client.resource<Pod>(podKind, pod.metadata.namespace).delete(name, { preconditions: { uid } });
    } catch (error) {
      expectations.settle(owner, uid);
      if (isNotFound(error)) return;
      events.event(replicaSet, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`);
      throw error;
    }
    events.event(replicaSet, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  }

  /** Pods of every ReplicaSet with the same controller: a Deployment's generations. */
  function relatedPods(replicaSet: ReplicaSet): Pod[] {
    const owner = controllerOf(replicaSet)?.uid;
    const family: (T | ReplicaSet)[] = owner ? controlledBy(replicaSets, owner) : [replicaSet];
    return family.flatMap((each) => controlledBy(pods, each.metadata.uid as string));
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const object = replicaSets.get(key);
    if (!object) return;
    const replicaSet = flavour.asReplicaSet(object);
    const uid = replicaSet.metadata.uid as string;
    const claims = claim(pods, replicaSet, selectorFromObject(replicaSet.spec?.selector));
    const owned = await settleClaims(client, flavour.kind, replicaSet, podKind, claims);

    const waitMs = expectations.waitMs(uid);
    let failure: ReplicaFailure | undefined;
    let failed: unknown;
    if (waitMs === 0) {
      const plan = planReplicas(replicaSet, owned, relatedPods(replicaSet), clock.now());
      try {
        if (plan.create > 0) await createPods(replicaSet, plan.create);
        const outcomes = await Promise.allSettled(plan.remove.map((pod) => removePod(replicaSet, pod)));
        for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      } catch (error) {
        if (isNamespaceTerminating(error)) return; // its pods are going away with it
        failed = error;
        failure = { reason: plan.create > 0 ? 'FailedCreate' : 'FailedDelete', message: messageOf(error) };
      }
    } else if (replicaSet.status?.conditions?.some((each) => each.type === 'ReplicaFailure')) {
      // Nothing was tried: what failed before still holds.
      const present = replicaSet.status.conditions.find((each) => each.type === 'ReplicaFailure');
      failure = { reason: present?.reason as ReplicaFailure['reason'], message: present?.message ?? '' };
    }

    const status = replicaSetStatus(replicaSet, owned, failure, clock.now());
    const written = flavour.withStatus(object, status);
    if (!deepEqual(written.status, object.status)) {
      await client.resource<T>(flavour.kind, object.metadata.namespace).update(written, { subresource: 'status' });
    }
    if (failed) throw failed;
    const rechecks = [
      waitMs > 0 ? waitMs : undefined,
      nextAvailableInMs(replicaSet, owned.filter(isPodActive), clock.now()),
    ].filter((ms) => ms !== undefined);
    return rechecks.length > 0 ? { requeueAfterMs: Math.min(...rechecks) } : undefined;
  }

  return runController(
    { name: flavour.name, queue, reconcile, workers: 8, informers: [replicaSets, pods], log },
    signal,
  );
}
