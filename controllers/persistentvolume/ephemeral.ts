// Generic ephemeral volumes: a claim per pod and volume, owned by the pod, gone with it
// (https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes).
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodTerminal } from '../../api/pod-conditions.ts';
import type { PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import { isClaimOfPod } from '../../api/volume-rules.ts';
import { createWorkQueue, isAlreadyExists, isNamespaceTerminating, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';

/** The claims that a pod's volumes need. Pure. */
export function claimsOfPod(pod: Pod): PersistentVolumeClaim[] {
  if (pod.metadata.deletionTimestamp || isPodTerminal(pod)) return [];
  const { name, namespace, uid = '' } = pod.metadata;
  return (pod.spec?.volumes ?? []).flatMap((volume) => {
    const template = volume.ephemeral?.volumeClaimTemplate;
    if (!template) return [];
    return [
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          ...(template.metadata?.labels && { labels: template.metadata.labels }),
          ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
          name: `${name}-${volume.name}`,
          ...(namespace && { namespace }),
          ownerReferences: [
            { apiVersion: 'v1', kind: 'Pod', name: name ?? '', uid, controller: true, blockOwnerDeletion: true },
          ],
        },
        spec: template.spec,
      },
    ];
  });
}

export function runEphemeralVolumeController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('ephemeral_volume') ?? context.events;
  const log = context.log.child({ controller: 'ephemeral-volume' });
  const queue = createWorkQueue({ clock, random });
  const pods = informers.of<Pod>(podKind);
  const claims = informers.of<PersistentVolumeClaim>(claimKind);
  const wake = (pod: Pod) => {
    if (pod.spec?.volumes?.some((each) => each.ephemeral)) queue.add(keyOf(pod));
  };
  pods.addHandler({ onAdd: wake });
  claims.addHandler({
    onDelete(claim) {
      const owner = claim.metadata.ownerReferences?.find((each) => each.controller && each.kind === 'Pod');
      if (owner) queue.add(`${claim.metadata.namespace}/${owner.name}`);
    },
  });

  async function reconcile(key: string): Promise<void> {
    const pod = pods.get(key);
    if (!pod) return;
    for (const claim of claimsOfPod(pod)) {
      const known = claims.get(keyOf(claim));
      if (known) {
        if (isClaimOfPod(known, pod)) continue;
        const text = `PVC ${keyOf(claim)} was not created for pod ${key} (pod is not owner)`;
        events.event(pod, 'Warning', 'EphemeralVolume', text);
        throw new Error(text);
      }
      try {
        await client.resource<PersistentVolumeClaim>(claimKind, pod.metadata.namespace).create(claim);
      } catch (error) {
        if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
      }
    }
  }

  return runController(
    { name: 'ephemeral-volume', queue, reconcile, workers: 2, informers: [pods, claims], log },
    signal,
  );
}
