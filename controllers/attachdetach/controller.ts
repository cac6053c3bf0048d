// Asks the attachers of CSI drivers to attach the volumes of each node's pods, and to detach them when the pods are gone. The
// asking is a VolumeAttachment; the driver's attacher answers in its status.
import { deepEqual } from '../../api/equality.ts';
import { csiDriver as driverKind } from '../../api/kinds/csi-driver.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { volumeAttachment as attachmentKind } from '../../api/kinds/volume-attachment.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '../../api/types/storage-v1.ts';
import { createWorkQueue, isAlreadyExists, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { podsOnNode } from '../parts/pods.ts';
import { claimNames, planAttachments } from './plan.ts';

const podsByClaim = 'pods-by-claim';
const byNode = 'attachments-by-node';
const byVolume = 'attachments-by-volume';

export function runAttachDetach(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const name = 'attachdetach';
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('attachdetach-controller') ?? context.events;
  const log = context.log.child({ controller: name });
  const pods = informers.of<Pod>(podKind);
  const nodes = informers.of<Node>(nodeKind);
  const claims = informers.of<PersistentVolumeClaim>(claimKind);
  const volumes = informers.of<PersistentVolume>(volumeKind);
  const drivers = informers.of<CSIDriver>(driverKind);
  const attachments = informers.of<VolumeAttachment>(attachmentKind);
  /** Keys are names of nodes. */
  const queue = createWorkQueue({ clock, random });
  const onNode = podsOnNode(pods);
  pods.addIndex(podsByClaim, (pod) => claimNames(pod).map((claim) => `${pod.metadata.namespace}/${claim}`));
  attachments.addIndex(byNode, ({ spec }) => [spec.nodeName]);
  attachments.addIndex(byVolume, ({ spec }) => [spec.source.persistentVolumeName ?? '']);

  const wakePod = (pod: Pod) => {
    if (pod.spec?.nodeName && claimNames(pod).length > 0) queue.add(pod.spec.nodeName);
  };
  const wakeClaim = ({ metadata }: PersistentVolumeClaim) =>
    pods.byIndex(podsByClaim, `${metadata.namespace}/${metadata.name}`).forEach(wakePod);
  const wakeVolume = ({ spec }: PersistentVolume) => {
    const claim = spec?.csi && spec.claimRef && claims.get(`${spec.claimRef.namespace}/${spec.claimRef.name}`);
    if (claim) wakeClaim(claim);
  };
  pods.addHandler({
    onAdd: wakePod,
    onUpdate: (pod, old) => void (pod.spec?.nodeName !== old.spec?.nodeName && wakePod(pod)),
    onDelete: wakePod,
  });
  claims.addHandler({ onAdd: wakeClaim, onUpdate: wakeClaim });
  volumes.addHandler({ onAdd: wakeVolume, onUpdate: wakeVolume });
  drivers.addHandler({ onAdd: () => nodes.list().forEach((node) => queue.add(node.metadata.name as string)) });
  nodes.addHandler({
    onAdd: (node) => queue.add(node.metadata.name as string),
    onDelete: (node) => queue.add(node.metadata.name as string),
  });
  attachments.addHandler({
    onAdd: ({ spec }) => queue.add(spec.nodeName),
    onUpdate(attachment, old) {
      tell(attachment, old);
      queue.add(attachment.spec.nodeName);
    },
    onDelete(attachment) {
      queue.add(attachment.spec.nodeName);
      // Another node may wait for it.
      const volume = volumes.get(attachment.spec.source.persistentVolumeName ?? '');
      if (volume) wakeVolume(volume);
    },
  });

  /** What became of an attachment, to the pods that wait for it. */
  function tell(attachment: VolumeAttachment, old: VolumeAttachment): void {
    const volumeName = attachment.spec.source.persistentVolumeName ?? '';
    const isNew = attachment.status?.attached === true && !old.status?.attached;
    const error = attachment.status?.attachError?.message;
    if (!isNew && (error === undefined || error === old.status?.attachError?.message)) return;
    const { namespace, name: claim } = volumes.get(volumeName)?.spec?.claimRef ?? {};
    for (const pod of pods.byIndex(podsByClaim, `${namespace}/${claim}`)) {
      if (pod.spec?.nodeName !== attachment.spec.nodeName) continue;
      const what = `AttachVolume.Attach ${isNew ? 'succeeded' : 'failed'} for volume "${volumeName}" `;
      if (isNew) events.event(pod, 'Normal', 'SuccessfulAttachVolume', what);
      else events.event(pod, 'Warning', 'FailedAttachVolume', `${what}: ${error}`);
    }
  }

  async function reconcile(nodeName: string): Promise<void> {
    const node = nodes.get(nodeName);
    const plan = planAttachments({
      nodeName,
      nodeExists: node !== undefined,
      pods: onNode(nodeName),
      claimOf: (namespace, claim) => claims.get(`${namespace}/${claim}`),
      volumeOf: (volume) => volumes.get(volume),
      driverOf: (driver) => drivers.get(driver),
      attachments: attachments
        .byIndex(byNode, nodeName)
        .filter(({ spec }) => volumes.get(spec.source.persistentVolumeName ?? '')?.spec?.csi !== undefined),
      attachmentsOf: (volume) => attachments.byIndex(byVolume, volume),
    });
    const resource = client.resource<VolumeAttachment>(attachmentKind);
    for (const { pod, message } of plan.blocked) events.event(pod, 'Warning', 'FailedAttachVolume', message);
    for (const attachment of plan.create) {
      try {
        await resource.create(attachment);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    }
    for (const { metadata } of plan.remove) {
      try {
        await resource.delete(metadata.name as string, { preconditions: { uid: metadata.uid } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    if (node && !deepEqual(plan.attached, node.status?.volumesAttached ?? [])) {
      const status = { volumesAttached: plan.attached.length > 0 ? plan.attached : null };
      await client.resource<Node>(nodeKind).patch(nodeName, 'merge', { status }, { subresource: 'status' });
    }
  }

  return runController(
    { name, queue, reconcile, workers: 5, informers: [pods, nodes, claims, volumes, drivers, attachments], log },
    signal,
  );
}
