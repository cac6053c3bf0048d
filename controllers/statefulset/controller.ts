// Pods with names that last: created in order, updated in reverse, each with its own claims.
import { deepEqual } from '../../api/equality.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { ControllerRevision, StatefulSet } from '../../api/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import {
  createWorkQueue,
  isAlreadyExists,
  isNamespaceTerminating,
  isNotFound,
  type ReconcileResult,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import { claim, controlledBy, controllerReference, indexByController, settleClaims } from '../parts/owners.ts';
import { messageOf, wakeOwnersOfPods } from '../parts/pod-control.ts';
import { revisionLabel, settleHistory, trimHistory } from '../parts/revisions.ts';
import { claimRef, controllerRevisionRef, statefulSetRef } from '../parts/workload-refs.ts';
import { planStatefulSet } from './plan.ts';
import { claimsOf, firstOrdinal, newPod, ordinalOf } from './pods.ts';

export function runStatefulSetController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('statefulset-controller') ?? context.events;
  const log = context.log.child({ controller: 'statefulset' });
  const sets = informers.of<StatefulSet>(statefulSetRef);
  const revisions = informers.of<ControllerRevision>(controllerRevisionRef);
  const pods = informers.of<Pod>(podKind);
  const queue = createWorkQueue({ clock, random });
  const expectations = new Expectations(clock);
  indexByController(pods);
  indexByController(revisions);
  wakeOwnersOfPods({ pods, owners: sets, ownerRef: statefulSetRef, expectations, queue });

  /** Tells the outcome as upstream words it; a namespace that is going away is nothing to tell. */
  async function told<T>(set: StatefulSet, verb: 'create' | 'delete', what: string, act: () => Promise<T>): Promise<T> {
    const reason = verb === 'create' ? 'Create' : 'Delete';
    const subject = `${verb} ${what} in StatefulSet ${set.metadata.name}`;
    try {
      const answer = await act();
      const outcome = what.startsWith('Claim') ? 'success' : 'successful';
      events.event(set, 'Normal', `Successful${reason}`, `${subject} ${outcome}`);
      return answer;
    } catch (error) {
      if (!isNamespaceTerminating(error) && !isAlreadyExists(error) && !isNotFound(error))
        events.event(set, 'Warning', `Failed${reason}`, `${subject} failed error: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Claims outlive pods: they are created once and found again. */
  async function settlePodClaims(set: StatefulSet, ordinal: number, podName: string): Promise<void> {
    const { persistentVolumeClaimRetentionPolicy: policy } = set.spec ?? {};
    for (const wanted of claimsOf(set, ordinal)) {
      const resource = client.resource<PersistentVolumeClaim>(claimRef, set.metadata.namespace);
      const { controller: _, ...owner } = controllerReference(statefulSetRef, set);
      const ownerReferences = policy?.whenDeleted === 'Delete' ? [owner] : undefined;
      const metadata = { ...wanted.metadata, ownerReferences };
      try {
        await told(set, 'create', `Claim ${metadata.name} Pod ${podName}`, () =>
          resource.create({ ...wanted, metadata }),
        );
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    }
  }

  async function createPod(set: StatefulSet, ordinal: number, revision: ControllerRevision): Promise<void> {
    const pod = newPod(set, ordinal, revision);
    const { name, namespace } = pod.metadata;
    await settlePodClaims(set, ordinal, name as string);
    const ownerReferences = [controllerReference(statefulSetRef, set)];
    const resource = client.resource<Pod>(podKind, namespace);
    try {
      await told(set, 'create', `Pod ${name}`, () =>
        resource.create({ ...pod, metadata: { ...pod.metadata, ownerReferences } }),
      );
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Ours, and the mirror is behind; or somebody else's, whose end is waited for.
      const present = await resource.get(name as string);
      const isOurs = present.metadata.ownerReferences?.some((each) => each.uid === set.metadata.uid);
      if (!isOurs) {
        events.event(
          set,
          'Warning',
          'FailedCreate',
          `create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${messageOf(error)}`,
        );
        throw error;
      }
    }
  }

  /** With whenScaled Delete a claim goes with the pod that is scaled away: the garbage collector sees to it. */
  async function giveClaimsTo(set: StatefulSet, pod: Pod, ordinal: number): Promise<void> {
    const resource = client.resource<PersistentVolumeClaim>(claimRef, set.metadata.namespace);
    for (const { metadata } of claimsOf(set, ordinal)) {
      try {
        const present = await resource.get(metadata.name as string);
        // No longer the set's: a claim stays as long as any of its owners does.
        const owners = (present.metadata.ownerReferences ?? []).filter((each) => each.uid !== set.metadata.uid);
        if (owners.some((each) => each.uid === pod.metadata.uid)) continue;
        const { controller: _, ...owner } = controllerReference(podKind, pod);
        await resource.update({ ...present, metadata: { ...present.metadata, ownerReferences: [...owners, owner] } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  async function removePod(set: StatefulSet, pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const ordinal = ordinalOf(set, pod) as number;
    const isScaledAway = ordinal < firstOrdinal(set) || ordinal >= firstOrdinal(set) + (set.spec?.replicas ?? 1);
    if (isScaledAway && set.spec?.persistentVolumeClaimRetentionPolicy?.whenScaled === 'Delete')
      await giveClaimsTo(set, pod, ordinal);
    const resource = client.resource<Pod>(podKind, namespace);
    expectations.expect(set.metadata.uid as string, uid as string);
    try {
      await told(set, 'delete', `Pod ${name}`, () => resource.delete(name as string, { preconditions: { uid } }));
    } catch (error) {
      expectations.settle(set.metadata.uid as string, uid as string);
      if (!isNotFound(error)) throw error;
    }
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const set = sets.get(key);
    if (!set) return;
    const uid = set.metadata.uid as string;
    const claims = claim(pods, set, selectorFromObject(set.spec?.selector));
    claims.adopt = claims.adopt.filter((pod) => ordinalOf(set, pod) !== undefined);
    const owned = await settleClaims(client, statefulSetRef, set, podKind, claims);
    const waitMs = expectations.waitMs(uid);
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    try {
      const history = await settleHistory(client, statefulSetRef, set, controlledBy(revisions, uid));
      const update = history.current;
      const current = history.old.find((each) => each.metadata.name === set.status?.currentRevision) ?? update;
      const plan = planStatefulSet({ set, pods: owned, current, update, nowMs: clock.now() });
      // The status first: a plan from a stale mirror is refused here, before it does harm.
      if (!deepEqual(plan.status, set.status ?? {})) {
        const resource = client.resource<StatefulSet>(statefulSetRef, set.metadata.namespace);
        await resource.update({ ...set, status: plan.status }, { subresource: 'status' });
      }
      for (const pod of plan.ended) {
        const { name, namespace } = pod.metadata;
        const reason = pod.status?.phase === 'Failed' ? 'RecreatingFailedPod' : 'RecreatingTerminatedPod';
        const state = pod.status?.phase === 'Failed' ? 'failed' : 'terminated';
        events.event(
          set,
          'Warning',
          reason,
          `StatefulSet ${namespace}/${set.metadata.name} is recreating ${state} Pod ${name}`,
        );
      }
      for (const pod of plan.remove) await removePod(set, pod);
      for (const { ordinal, revision } of plan.create) await createPod(set, ordinal, revision);
      const inUse = new Set(owned.map((pod) => pod.metadata.labels?.[revisionLabel]));
      const isLive = ({ metadata: { name } }: ControllerRevision) => name === current.metadata.name || inUse.has(name);
      await trimHistory(client, set, history.old, isLive);
      return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs };
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      throw error;
    }
  }

  const all = [sets, revisions, pods];
  return runController({ name: 'statefulset', queue, reconcile, workers: 4, informers: all, log }, signal);
}
