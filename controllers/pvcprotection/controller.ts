// Takes the finalizer off claims and volumes that are to be deleted once nothing uses them any more.
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { type KubeObject, keyOf } from '../../api/object.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import { type Client, createWorkQueue, isNotFound, type ResourceRef, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { CLAIM_FINALIZER, claimsOf, planClaim, planVolume, type ProtectionPlan, VOLUME_FINALIZER } from './plan.ts';

const byClaim = 'pods-by-claim';

export function runPvcProtection(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'pvc-protection' });
  const queue = createWorkQueue({ clock, random });
  const claims = informers.of<PersistentVolumeClaim>(claimKind);
  const pods = informers.of<Pod>(podKind);
  const keysOf = (pod: Pod) => claimsOf(pod).map((name) => `${pod.metadata.namespace}/${name}`);
  pods.addIndex(byClaim, keysOf);
  claims.addHandler({
    onAdd: (claim) => queue.add(keyOf(claim)),
    onUpdate: (claim) => queue.add(keyOf(claim)),
  });
  pods.addHandler({
    // A pod that replaced another of its name between two events let go of the other's claims.
    onUpdate: (pod, old) =>
      void (pod.metadata.uid !== old.metadata.uid && keysOf(old).forEach((key) => queue.add(key))),
    onDelete: (pod) => keysOf(pod).forEach((key) => queue.add(key)),
  });

  async function reconcile(key: string): Promise<void> {
    const claim = claims.get(key);
    if (!claim) return;
    let plan = planClaim(claim, pods.byIndex(byClaim, key));
    if (plan === 'remove') {
      // The mirror may lag: no claim is let go while the server knows of a pod that uses it.
      const { namespace, name } = claim.metadata;
      const live = await client.resource<Pod>(podKind, namespace).listAll();
      plan = planClaim(
        claim,
        live.items.filter((pod) => claimsOf(pod).includes(name as string)),
      );
    }
    await writeFinalizer(client, claimKind, claim, CLAIM_FINALIZER, plan);
  }

  return runController(
    { name: 'pvc-protection', queue, reconcile, workers: 4, informers: [claims, pods], log },
    signal,
  );
}

export function runPvProtection(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'pv-protection' });
  const queue = createWorkQueue({ clock, random });
  const volumes = informers.of<PersistentVolume>(volumeKind);
  volumes.addHandler({
    onAdd: (volume) => queue.add(keyOf(volume)),
    onUpdate: (volume) => queue.add(keyOf(volume)),
  });

  async function reconcile(key: string): Promise<void> {
    const volume = volumes.get(key);
    if (volume) await writeFinalizer(client, volumeKind, volume, VOLUME_FINALIZER, planVolume(volume));
  }

  return runController({ name: 'pv-protection', queue, reconcile, workers: 2, informers: [volumes], log }, signal);
}

async function writeFinalizer(
  client: Client,
  ref: ResourceRef,
  object: KubeObject,
  finalizer: string,
  plan: ProtectionPlan,
): Promise<void> {
  if (plan === 'nothing') return;
  const rest = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
  const finalizers = plan === 'add' ? [...rest, finalizer] : rest;
  try {
    await client
      .resource(ref, object.metadata.namespace)
      .update({ ...object, metadata: { ...object.metadata, finalizers } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
