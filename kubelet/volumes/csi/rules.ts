// What a CSIDriver object and a driver's capabilities decide about a volume, and what drivers are told of a pod. Pure.
import type { PersistentVolumeSpec, Pod } from '../../../api/types/core-v1.ts';
import type { CSIDriver } from '../../../api/types/storage-v1.ts';
import { VolumeError } from '../payload.ts';

const accessModes: Record<string, string> = {
  ReadWriteOnce: 'SINGLE_NODE_WRITER',
  ReadWriteOncePod: 'SINGLE_NODE_WRITER',
  ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
  ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
};

/** For drivers that know how many of a node's pods write (SINGLE_NODE_MULTI_WRITER). */
const finerAccessModes: Record<string, string> = {
  ...accessModes,
  ReadWriteOnce: 'SINGLE_NODE_MULTI_WRITER',
  ReadWriteOncePod: 'SINGLE_NODE_SINGLE_WRITER',
};

/** CSI's word for how a volume with these access modes is used. */
export function accessModeOf(modes: readonly string[] = [], isFiner = false): string {
  const words = isFiner ? finerAccessModes : accessModes;
  return words[modes[0] ?? 'ReadWriteOnce'] ?? 'UNKNOWN';
}

/** CSI's VolumeCapability of a persistent volume; `group` for drivers that give the volume to it themselves. */
export function capabilityOf(spec: PersistentVolumeSpec, options: { isFiner: boolean; group: string }) {
  const accessMode = { mode: accessModeOf(spec.accessModes, options.isFiner) };
  if (spec.volumeMode === 'Block') return { block: {}, accessMode };
  const mount = {
    fsType: spec.csi?.fsType ?? '',
    mountFlags: spec.mountOptions ?? [],
    volumeMountGroup: options.group,
  };
  return { mount, accessMode };
}

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

/** One line of a driver's NodeGetVolumeStats. */
export interface VolumeUsageLine {
  available?: number;
  total?: number;
  used?: number;
  unit?: string;
}

export interface DriverUsage {
  fs: { capacityBytes: number; availableBytes: number; usedBytes: number; inodes: number; inodesFree: number };
  inodesUsed: number;
  /** What the driver says of the volume's health; undefined for drivers that say nothing. */
  isAbnormal?: boolean;
}

/** Undefined when the driver does not say in bytes. */
export function usageOf(lines: readonly VolumeUsageLine[], isAbnormal: boolean | undefined): DriverUsage | undefined {
  const bytes = lines.find((each) => each.unit === 'BYTES');
  const inodes = lines.find((each) => each.unit === 'INODES');
  if (!bytes && !inodes && isAbnormal === undefined) return undefined;
  return {
    fs: {
      capacityBytes: bytes?.total ?? 0,
      availableBytes: bytes?.available ?? 0,
      usedBytes: bytes?.used ?? 0,
      inodes: inodes?.total ?? 0,
      inodesFree: inodes?.available ?? 0,
    },
    inodesUsed: inodes?.used ?? 0,
    ...(isAbnormal !== undefined && { isAbnormal }),
  };
}
