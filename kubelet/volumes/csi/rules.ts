// What a CSIDriver object decides about a volume, and what drivers are told of a pod. Pure.
import type { Pod } from '../../../api/types/core-v1.ts';
import type { CSIDriver } from '../../../api/types/storage-v1.ts';
import { VolumeError } from '../payload.ts';

const accessModes: Record<string, string> = {
  ReadWriteOnce: 'SINGLE_NODE_WRITER',
  ReadWriteOncePod: 'SINGLE_NODE_WRITER',
  ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
  ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
};

/** CSI's word for how a volume with these access modes is used. */
export const accessModeOf = (modes: readonly string[] = []): string =>
  accessModes[modes[0] ?? 'ReadWriteOnce'] ?? 'SINGLE_NODE_WRITER';

/** A driver that nobody has described has persistent volumes only. */
export function checkMode(kind: CSIDriver | undefined, driver: string, mode: 'Persistent' | 'Ephemeral'): void {
  const modes = kind?.spec.volumeLifecycleModes?.length ? kind.spec.volumeLifecycleModes : ['Persistent'];
  if (modes.includes(mode)) return;
  const only = modes.map((each) => JSON.stringify(each)).join(', ');
  throw new VolumeError(`volume mode "${mode}" not supported by driver ${driver} (only supports [${only}])`);
}

/** Whether the kubelet gives the files to the pod's group (CSIDriver.spec.fsGroupPolicy). */
export function takesGroup(
  kind: CSIDriver | undefined,
  fsType: string | undefined,
  modes: readonly string[] = [],
): boolean {
  const policy = kind?.spec.fsGroupPolicy ?? 'ReadWriteOnceWithFSType';
  if (policy !== 'ReadWriteOnceWithFSType') return policy === 'File';
  return !!fsType && modes.includes('ReadWriteOnce');
}

export function podInfo(pod: Pod, isEphemeral: boolean): Record<string, string> {
  return {
    'csi.storage.k8s.io/pod.name': pod.metadata.name ?? '',
    'csi.storage.k8s.io/pod.namespace': pod.metadata.namespace ?? '',
    'csi.storage.k8s.io/pod.uid': pod.metadata.uid ?? '',
    'csi.storage.k8s.io/serviceAccount.name': pod.spec?.serviceAccountName ?? '',
    'csi.storage.k8s.io/ephemeral': String(isEphemeral),
  };
}
