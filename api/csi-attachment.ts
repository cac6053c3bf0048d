// What controller, attacher and kubelet agree on about attached volumes of CSI drivers. Pure.
import { createHash } from 'node:crypto';
import type { PersistentVolume } from './types/core-v1.ts';
import type { CSIDriver } from './types/storage-v1.ts';

/** The name of the VolumeAttachment: found again by whoever knows volume, driver and node. */
export const attachmentName = (volumeHandle: string, driver: string, nodeName: string): string =>
  `csi-${createHash('sha256')
    .update(volumeHandle + driver + nodeName)
    .digest('hex')}`;

/** A driver that says nothing wants its volumes attached. */
export const wantsAttachment = (driver: CSIDriver | undefined): boolean => driver?.spec.attachRequired ?? true;

/** As `node.status.volumesInUse` and `volumesAttached` name a volume. */
export const attachedName = (driver: string, volumeHandle: string): string =>
  `kubernetes.io/csi/${driver}^${volumeHandle}`;

/** Pods of several nodes may have it at once. */
export const isForManyNodes = (volume: PersistentVolume): boolean =>
  (volume.spec?.accessModes ?? []).some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany');
