// Volumes that pods do not share: claims for one pod alone, and disks that only one pod, or only readers, can have.
import type { Volume } from '../../api/types/core-v1.ts';
import type { Cluster, FilterPlugin } from '../framework.ts';

interface State {
  /** Of the pod's claims for one pod alone, those that another has. */
  taken: boolean;
  disks: Volume[];
}

const taken = {
  reasons: ['node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode'],
  unresolvable: false,
};
const inUse = { reasons: ['node(s) had no available disk'], unresolvable: false };

export const volumeRestrictions: FilterPlugin<State> = {
  name: 'VolumeRestrictions',
  wakesOn: () => ['node-added', 'pod-removed', 'storage-changed'],
  prepare(pod, cluster) {
    const disks = (pod.pod.spec?.volumes ?? []).filter(isDisk);
    const own = pod.claims.some((claim) => isForOnePod(claim, cluster) && cluster.claimUsers(claim) > 0);
    return own || disks.length > 0 ? { taken: own, disks } : undefined;
  },
  filter(state, node) {
    if (state.disks.length > 0) {
      for (const pod of node.pods.values())
        for (const other of pod.pod.spec?.volumes ?? [])
          if (state.disks.some((disk) => clash(disk, other))) return inUse;
    }
    // Wherever the other pod is: the volume is for one pod of the cluster.
    return state.taken ? taken : undefined;
  },
};

function isForOnePod(key: string, { storage }: Cluster): boolean {
  const slash = key.indexOf('/');
  const claim = storage?.claim(key.slice(0, slash), key.slice(slash + 1));
  return claim?.spec?.accessModes?.includes('ReadWriteOncePod') ?? false;
}

const isDisk = (volume: Volume): boolean =>
  !!(volume.gcePersistentDisk ?? volume.awsElasticBlockStore ?? volume.rbd ?? volume.iscsi);

function clash(a: Volume, b: Volume): boolean {
  if (a.gcePersistentDisk && b.gcePersistentDisk) {
    const [x, y] = [a.gcePersistentDisk, b.gcePersistentDisk];
    return x.pdName === y.pdName && !(x.readOnly && y.readOnly);
  }
  if (a.awsElasticBlockStore && b.awsElasticBlockStore)
    return a.awsElasticBlockStore.volumeID === b.awsElasticBlockStore.volumeID;
  if (a.iscsi && b.iscsi) return a.iscsi.iqn === b.iscsi.iqn && !(a.iscsi.readOnly && b.iscsi.readOnly);
  if (a.rbd && b.rbd) {
    const [x, y] = [a.rbd, b.rbd];
    const isSame = (x.pool ?? 'rbd') === (y.pool ?? 'rbd') && x.image === y.image;
    return isSame && x.monitors.some((each) => y.monitors.includes(each)) && !(x.readOnly && y.readOnly);
  }
  return false;
}
