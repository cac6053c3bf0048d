// A pod goes where its volumes are, or can be (https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode).
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import { classOfClaim, claimNameOf, isClaimOfPod, isFullyBound, volumeFitsNode } from '../../api/volume-rules.ts';
import type { Cluster, FilterPlugin, PodInfo, Refusal } from '../framework.ts';
import type { StorageView } from '../volumes.ts';

interface State {
  storage: StorageView;
  bound: PersistentVolume[];
  /** A claim's volume is not there. */
  isGone: boolean;
  /** Unbound, to be bound where the pod goes. */
  delayed: PersistentVolumeClaim[];
}

const conflict = { reasons: ["node(s) didn't match PersistentVolume's node affinity"], unresolvable: true };
const none = { reasons: ["node(s) didn't find available persistent volumes to bind"], unresolvable: true };
const full = { reasons: ['node(s) did not have enough free storage'], unresolvable: true };
const gone = {
  reasons: ['node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'],
  unresolvable: true,
};

export const volumeBinding: FilterPlugin<State> = {
  name: 'VolumeBinding',
  wakesOn: () => ['node-added', 'node-changed', 'storage-changed'],
  refuseEverywhere: (pod, cluster) => firstProblem(pod, cluster),
  prepare(pod, { storage }) {
    if (!storage) return undefined;
    const claims = claimsOf(pod, storage)
      .map(({ claim }) => claim)
      .filter((each) => each !== undefined);
    if (claims.length === 0) return undefined;
    const volumes = claims.filter(isFullyBound).map((each) => storage.volume(each.spec?.volumeName ?? ''));
    const bound = volumes.filter((each) => each !== undefined);
    const isGone = bound.length < volumes.length;
    return { storage, bound, isGone, delayed: claims.filter((each) => !isFullyBound(each)) };
  },
  filter({ storage, bound, isGone, delayed }, { node }) {
    const found: Refusal[] = [];
    if (!bound.every((each) => volumeFitsNode(each, node))) found.push(conflict);
    if (delayed.length > 0) {
      const match = storage.match(delayed, node);
      if (match === 'none') found.push(none);
      if (match === 'full') found.push(full);
    }
    if (isGone) found.push(gone);
    if (found.length < 2) return found[0];
    return { reasons: found.flatMap((each) => each.reasons), unresolvable: true };
  },
};

function claimsOf(pod: PodInfo, storage: StorageView) {
  return (pod.pod.spec?.volumes ?? []).flatMap((volume) => {
    const name = claimNameOf(pod.pod, volume);
    if (name === undefined) return [];
    return [{ name, isEphemeral: volume.ephemeral !== undefined, claim: storage.claim(pod.namespace, name) }];
  });
}

/** What keeps the pod from every node, in upstream's words. */
function firstProblem(pod: PodInfo, cluster: Cluster): string | undefined {
  const { storage } = cluster;
  if (!storage) return undefined;
  let waits = false;
  for (const { name, isEphemeral, claim } of claimsOf(pod, storage)) {
    if (!claim) {
      return isEphemeral
        ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
        : `persistentvolumeclaim "${name}" not found`;
    }
    if (isEphemeral && !isClaimOfPod(claim, pod.pod)) {
      return `PVC ${pod.namespace}/${name} was not created for pod ${pod.key} (pod is not owner)`;
    }
    if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim "${name}" is being deleted`;
    if (claim.status?.phase === 'Lost')
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName}"`;
    if (isFullyBound(claim)) continue;
    const isDelayed = storage.storageClass(classOfClaim(claim))?.volumeBindingMode === 'WaitForFirstConsumer';
    if (!isDelayed || claim.spec?.volumeName) waits = true;
  }
  return waits ? 'pod has unbound immediate PersistentVolumeClaims' : undefined;
}
