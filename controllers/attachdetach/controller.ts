// Attaches volumes of CSI drivers to the nodes whose pods use them, and detaches them after: by VolumeAttachments, which each driver's
// external-attacher carries out. One key per volume; what nodes have attached is told them in their status.
import { csiDriver as driverKind } from '../../api/kinds/csi-driver.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { volumeAttachment as attachmentKind } from '../../api/kinds/volume-attachment.ts';
import { attachedName, attachmentName, wantsAttachment } from '../../api/csi-attachment.ts';
import { keyOf } from '../../api/object.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '../../api/types/storage-v1.ts';
import { claimNameOf } from '../../api/volume-rules.ts';
import { createWorkQueue, isAlreadyExists, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { holdsVolumes, planAttachments } from './plan.ts';

const byClaim = 'attachdetach-pods-by-claim';
const byVolume = 'attachdetach-by-volume';
const byNode = 'attachdetach-by-node';
/** A conflict that lasts is looked at, and told, again after this. */
const CONFLICT_MS = 30_000;

export function runAttachDetach(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('attachdetach-controller') ?? context.events;
  const log = context.log.child({ controller: 'attachdetach' });
  const queue = createWorkQueue({ clock, random });
  const pods = informers.of<Pod>(podKind);
  const claims = informers.of<PersistentVolumeClaim>(claimKind);
  const volumes = informers.of<PersistentVolume>(volumeKind);
  const attachments = informers.of<VolumeAttachment>(attachmentKind);
  const drivers = informers.of<CSIDriver>(driverKind);
  const nodes = informers.of<Node>(nodeKind);
  /** `<volume>/<node>`: since when nobody there wants it. */
  const unwanted = new Map<string, number>();
  /** What was last said of an attachment, by uid. */
  const told = new Map<string, string>();

  const claimsOf = (pod: Pod) =>
    (pod.spec?.volumes ?? []).flatMap((volume) => {
      const name = claimNameOf(pod, volume);
      return name === undefined ? [] : [`${pod.metadata.namespace}/${name}`];
    });
  pods.addIndex(byClaim, claimsOf);
  attachments.addIndex(byVolume, (each) => [each.spec.source.persistentVolumeName ?? '']);
  attachments.addIndex(byNode, (each) => [each.spec.nodeName]);

  const wakeClaim = (key: string) => {
    const name = claims.get(key)?.spec?.volumeName;
    if (name) queue.add(name);
  };
  const wakePod = (pod: Pod) => claimsOf(pod).forEach(wakeClaim);
  pods.addHandler({
    onAdd: wakePod,
    onUpdate: (pod, old) => {
      if (pod.spec?.nodeName !== old.spec?.nodeName || holdsVolumes(pod) !== holdsVolumes(old)) wakePod(pod);
    },
    onDelete: wakePod,
  });
  claims.addHandler({ onAdd: (claim) => wakeClaim(keyOf(claim)), onUpdate: (claim) => wakeClaim(keyOf(claim)) });
  volumes.addHandler({
    onAdd: (volume) => void (volume.spec?.csi && queue.add(keyOf(volume))),
    onDelete: (volume) => void (volume.spec?.csi && queue.add(keyOf(volume))),
  });
  const wakeAttachment = ({ spec }: VolumeAttachment) => queue.add(spec.source.persistentVolumeName ?? '');
  attachments.addHandler({ onAdd: wakeAttachment, onUpdate: wakeAttachment });
  attachments.addHandler({
    onDelete(attachment) {
      told.delete(attachment.metadata.uid ?? '');
      wakeAttachment(attachment);
      void tellNode(attachment.spec.nodeName).catch((err) =>
        log.warn({ err }, 'cannot tell a node what it has attached'),
      );
    },
  });
  drivers.addHandler({
    onAdd: ({ metadata }) => {
      for (const each of volumes.list()) if (each.spec?.csi?.driver === metadata.name) queue.add(keyOf(each));
    },
  });
  const wakeNode = (node: Node) => attachments.byIndex(byNode, keyOf(node)).forEach(wakeAttachment);
  nodes.addHandler({
    onAdd: wakeNode,
    onUpdate: (node, old) => {
      const now = [node.status?.volumesInUse, node.spec?.taints];
      if (JSON.stringify(now) !== JSON.stringify([old.status?.volumesInUse, old.spec?.taints])) wakeNode(node);
    },
    onDelete: wakeNode,
  });

  async function reconcile(name: string): Promise<{ requeueAfterMs: number } | void> {
    const found = attachments.byIndex(byVolume, name);
    const volume = volumes.get(name);
    const csi = volume?.spec?.csi;
    // A volume that is gone cannot be unpublished by its driver any more, but what is attached is let go.
    if (!volume || !csi) return;
    await Promise.all(found.map((each) => announce(each, volume)));
    const isAttached = wantsAttachment(drivers.get(csi.driver));
    if (!isAttached && found.length === 0) return;
    const plan = planAttachments({
      volume,
      pods: isAttached ? podsOf(volume) : [],
      attachments: found,
      node: (each) => nodes.get(each),
      unwantedSinceMs: (node) => unwanted.get(`${name}/${node}`),
      nowMs: clock.monotonic(),
    });
    const waiting = new Set(plan.waiting.map((node) => `${name}/${node}`));
    for (const key of unwanted.keys()) if (key.startsWith(`${name}/`) && !waiting.has(key)) unwanted.delete(key);
    for (const key of waiting) if (!unwanted.has(key)) unwanted.set(key, clock.monotonic());

    for (const each of plan.detach) await remove(each);
    for (const node of plan.attach) await attach(volume, csi.driver, csi.volumeHandle, node);
    for (const { pod, message } of plan.conflicts) events.event(pod, 'Warning', 'FailedAttachVolume', message);
    await Promise.all([...new Set(found.map((each) => each.spec.nodeName))].map(tellNode));
    const delays = [
      ...(plan.conflicts.length > 0 ? [CONFLICT_MS] : []),
      ...(plan.againAtMs === undefined ? [] : [Math.max(0, plan.againAtMs - clock.monotonic())]),
    ];
    if (delays.length > 0) return { requeueAfterMs: Math.min(...delays) };
  }

  function podsOf(volume: PersistentVolume): Pod[] {
    const ref = volume.spec?.claimRef;
    if (!ref) return [];
    const key = `${ref.namespace}/${ref.name}`;
    const claim = claims.get(key);
    const isOurs = claim?.status?.phase === 'Bound' && claim.spec?.volumeName === volume.metadata.name;
    return isOurs ? [...pods.byIndex(byClaim, key)] : [];
  }

  async function attach(volume: PersistentVolume, driver: string, handle: string, nodeName: string): Promise<void> {
    const attachment: VolumeAttachment = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'VolumeAttachment',
      metadata: { name: attachmentName(handle, driver, nodeName) },
      spec: { attacher: driver, nodeName, source: { persistentVolumeName: volume.metadata.name ?? '' } },
    };
    try {
      await client.resource<VolumeAttachment>(attachmentKind).create(attachment);
      log.info({ volume: volume.metadata.name, node: nodeName }, 'asked for a volume to be attached');
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async function remove(name: string): Promise<void> {
    try {
      await client.resource<VolumeAttachment>(attachmentKind).delete(name);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** What the pods of the node hear: once per answer of the driver. */
  async function announce(attachment: VolumeAttachment, volume: PersistentVolume): Promise<void> {
    const { attached, attachError } = attachment.status ?? { attached: false };
    const key = attachment.metadata.uid ?? '';
    const state = attached ? 'attached' : (attachError?.message ?? '');
    if (state === '' || attachment.metadata.deletionTimestamp || told.get(key) === state) return;
    told.set(key, state);
    const name = volume.metadata.name ?? '';
    for (const pod of podsOf(volume).filter((each) => each.spec?.nodeName === attachment.spec.nodeName)) {
      if (pod.status?.phase === 'Running') continue;
      if (attached) {
        events.event(pod, 'Normal', 'SuccessfulAttachVolume', `AttachVolume.Attach succeeded for volume "${name}" `);
      } else {
        const text = `AttachVolume.Attach failed for volume "${name}" : ${state}`;
        events.event(pod, 'Warning', 'FailedAttachVolume', text);
      }
    }
  }

  /** `volumesAttached` of the node's status, which kubelets wait for. */
  async function tellNode(nodeName: string): Promise<void> {
    const node = nodes.get(nodeName);
    if (!node) return;
    const wanted = attachments
      .byIndex(byNode, nodeName)
      .filter((each) => each.status?.attached && !each.metadata.deletionTimestamp)
      .flatMap((each) => {
        const csi = volumes.get(each.spec.source.persistentVolumeName ?? '')?.spec?.csi;
        return csi ? [{ name: attachedName(csi.driver, csi.volumeHandle), devicePath: '' }] : [];
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const present = (node.status?.volumesAttached ?? []).map((each) => each.name).sort();
    if (JSON.stringify(present) === JSON.stringify(wanted.map((each) => each.name))) return;
    const body = { status: { volumesAttached: wanted.length > 0 ? wanted : null } };
    try {
      await client.resource<Node>(nodeKind).patch(nodeName, 'merge', body, { subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return runController(
    {
      name: 'attachdetach',
      queue,
      reconcile,
      workers: 4,
      informers: [pods, claims, volumes, attachments, drivers, nodes],
      log,
    },
    signal,
  );
}
