// The resources that the scheduler reads and writes.
import type { ResourceRef } from '../client/port.ts';

const ref = (group: string, resource: string, kind: string, namespaced = true): ResourceRef => ({
  group,
  version: 'v1',
  resource,
  kind,
  namespaced,
});

export const pods = ref('', 'pods', 'Pod');
export const nodes = ref('', 'nodes', 'Node', false);
export const namespaces = ref('', 'namespaces', 'Namespace', false);
export const persistentVolumes = ref('', 'persistentvolumes', 'PersistentVolume', false);
export const persistentVolumeClaims = ref('', 'persistentvolumeclaims', 'PersistentVolumeClaim');
export const storageClasses = ref('storage.k8s.io', 'storageclasses', 'StorageClass', false);
export const csiNodes = ref('storage.k8s.io', 'csinodes', 'CSINode', false);
export const csiDrivers = ref('storage.k8s.io', 'csidrivers', 'CSIDriver', false);
export const csiCapacities = ref('storage.k8s.io', 'csistoragecapacities', 'CSIStorageCapacity');
export const volumeAttachments = ref('storage.k8s.io', 'volumeattachments', 'VolumeAttachment', false);
export const services = ref('', 'services', 'Service');
export const replicationControllers = ref('', 'replicationcontrollers', 'ReplicationController');
export const replicaSets = ref('apps', 'replicasets', 'ReplicaSet');
export const statefulSets = ref('apps', 'statefulsets', 'StatefulSet');
export const disruptionBudgets = ref('policy', 'poddisruptionbudgets', 'PodDisruptionBudget');
