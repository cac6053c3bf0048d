// Which volumes of CSI drivers are to be attached to a node, and which no longer: pods, claims and attachments in, writes out. Pure.
import { attachmentName, wantsAttachment } from '../../api/csi-attachment.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '../../api/types/storage-v1.ts';
import { claimNameOf } from '../../api/volume-rules.ts';

/** What the node's status calls a volume. */
export const attachedName = (driver: string, volumeHandle: string): string =>
  `kubernetes.io/csi/${driver}^${volumeHandle}`;

export interface Facts {
  nodeName: string;
  /** Of a node that is gone everything is detached. */
  nodeExists: boolean;
  /** Those on the node. */
  pods: readonly Pod[];
  claimOf(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volumeOf(name: string): PersistentVolume | undefined;
  driverOf(name: string): CSIDriver | undefined;
  /** Attachments of CSI volumes to this node. */
  attachments: readonly VolumeAttachment[];
  /** Attachments of a volume, to whichever node. */
  attachmentsOf(volumeName: string): readonly VolumeAttachment[];
}

export interface Plan {
  create: VolumeAttachment[];
  remove: VolumeAttachment[];
  /** For the node's status. */
  attached: { name: string; devicePath: string }[];
  /** Pods that wait for another node to let go of a volume. */
  blocked: { pod: Pod; message: string }[];
}

/** The claims that a pod's volumes name, with those that are made for it. */
export function claimNames(pod: Pod): string[] {
  return (pod.spec?.volumes ?? []).flatMap((volume) => claimNameOf(pod, volume) ?? []);
}

/** The volumes of CSI drivers that a pod uses and that must be attached. */
function volumesOf(pod: Pod, { claimOf, volumeOf, driverOf }: Facts): PersistentVolume[] {
  return claimNames(pod).flatMap((name) => {
    const claim = claimOf(pod.metadata.namespace as string, name);
    const volume =
      claim?.status?.phase === 'Bound' && claim.spec?.volumeName ? volumeOf(claim.spec.volumeName) : undefined;
    const driver = volume?.spec?.csi?.driver;
    return volume && driver !== undefined && wantsAttachment(driverOf(driver)) ? [volume] : [];
  });
}

const isExclusive = (volume: PersistentVolume): boolean =>
  (volume.spec?.accessModes ?? []).every((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod');

/**
 * A pod holds its volumes until it is gone: by then its kubelet has taken them away. One volume that only one node may
 * have is attached when the other node has let go.
 */
export function planAttachments(facts: Facts): Plan {
  const { nodeName, nodeExists, pods, attachments, attachmentsOf } = facts;
  const plan: Plan = { create: [], remove: [], attached: [], blocked: [] };
  const wanted = new Map<string, PersistentVolume>();
  for (const pod of nodeExists ? pods : []) {
    for (const volume of volumesOf(pod, facts)) {
      const volumeName = volume.metadata.name as string;
      const csi = volume.spec?.csi as { driver: string; volumeHandle: string };
      const name = attachmentName(csi.volumeHandle, csi.driver, nodeName);
      if (wanted.has(name)) continue;
      const isElsewhere = attachmentsOf(volumeName).some((each) => each.spec.nodeName !== nodeName);
      const isHere = attachments.some((each) => each.metadata.name === name);
      if (!isHere && isElsewhere && isExclusive(volume)) {
        const why = "Volume is already exclusively attached to one node and can't be attached to another";
        plan.blocked.push({ pod, message: `Multi-Attach error for volume "${volumeName}" ${why}` });
        continue;
      }
      wanted.set(name, volume);
      if (isHere) continue;
      plan.create.push({
        apiVersion: 'storage.k8s.io/v1',
        kind: 'VolumeAttachment',
        metadata: { name },
        spec: { attacher: csi.driver, nodeName, source: { persistentVolumeName: volumeName } },
      });
    }
  }
  for (const attachment of attachments) {
    const volume = wanted.get(attachment.metadata.name as string);
    if (!volume && !attachment.metadata.deletionTimestamp) plan.remove.push(attachment);
    const csi = volume?.spec?.csi;
    if (csi && attachment.status?.attached)
      plan.attached.push({ name: attachedName(csi.driver, csi.volumeHandle), devicePath: '' });
  }
  plan.attached.sort((a, b) => (a.name < b.name ? -1 : 1));
  return plan;
}
