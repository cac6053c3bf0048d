// A pod goes where its volumes are, or can be (https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode).
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import { classOfClaim, claimNameOf, isClaimOfPod, isFullyBound, volumeFitsNode } from '../../api/volume-rules.ts';
import type { Cluster, FilterPlugin, NodeInfo, PodInfo } from '../framework.ts';
import type { StorageView } from '../volumes.ts';

interface State {
  storage: StorageView;
  bound: PersistentVolume[];
  /** Unbound, to be bound where the pod goes. */
  delayed: PersistentVolumeClaim[];
}

const conflict = { reasons: ["node(s) didn't match PersistentVolume's node affinity"], unresolvable: true };
const zones = { reasons: ['node(s) had no available volume zone'], unresolvable: true };
const none = { reasons: ["node(s) didn't find available persistent volumes to bind"], unresolvable: true };

const ZONE_LABELS = [
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
];

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
    const bound: PersistentVolume[] = [];
    for (const claim of claims.filter(isFullyBound)) {
      const volume = storage.volume(claim.spec?.volumeName ?? '');
      if (volume) bound.push(volume);
    }
    return { storage, bound, delayed: claims.filter((each) => !isFullyBound(each)) };
  },
  filter({ storage, bound, delayed }, { node }) {
    for (const volume of bound) {
      if (!volumeFitsNode(volume, node)) return conflict;
      if (!inZone(volume, node)) return zones;
    }
    if (delayed.length > 0 && !storage.match(delayed, node)) return none;
    return undefined;
  },
};

function inZone(volume: PersistentVolume, node: NodeInfo['node']): boolean {
  return ZONE_LABELS.every((key) => {
    const value = volume.metadata.labels?.[key];
    return value === undefined || value.split('__').includes(node.metadata.labels?.[key] ?? '');
  });
}

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
    if (claim.spec?.accessModes?.includes('ReadWriteOncePod') && usedByAnother(pod, name, cluster)) {
      return 'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode';
    }
    if (isFullyBound(claim)) continue;
    const isDelayed = storage.storageClass(classOfClaim(claim))?.volumeBindingMode === 'WaitForFirstConsumer';
    if (!isDelayed || claim.spec?.volumeName) waits = true;
  }
  return waits ? 'pod has unbound immediate PersistentVolumeClaims' : undefined;
}

function usedByAnother(pod: PodInfo, claim: string, { nodes }: Cluster): boolean {
  return nodes.some((node) =>
    [...node.pods.values()].some(
      (each) =>
        each.uid !== pod.uid &&
        each.namespace === pod.namespace &&
        (each.pod.spec?.volumes ?? []).some((volume) => claimNameOf(each.pod, volume) === claim),
    ),
  );
}
