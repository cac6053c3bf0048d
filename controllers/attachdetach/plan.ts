// Which VolumeAttachments a volume of a CSI driver is to have: one for each node with a pod that uses it, unless it is for one node only. Pure.
import { attachedName, isForManyNodes } from '../../api/csi-attachment.ts';
import type { Node, PersistentVolume, Pod } from '../../api/types/core-v1.ts';
import type { VolumeAttachment } from '../../api/types/storage-v1.ts';

export interface AttachFacts {
  volume: PersistentVolume;
  /** Pods that use it and have a node. */
  pods: readonly Pod[];
  /** Of this volume. */
  attachments: readonly VolumeAttachment[];
  node(name: string): Node | undefined;
  /** Since when no pod on the node has wanted the volume; undefined: it has just been seen. */
  unwantedSinceMs(node: string): number | undefined;
  nowMs: number;
}

export interface AttachPlan {
  attach: string[];
  /** Attachments by name. */
  detach: string[];
  /** Pods that must wait, and what they are told. */
  conflicts: { pod: Pod; message: string }[];
  /** Nodes whose kubelet still uses what no pod there wants: looked at again then. */
  waiting: string[];
  /** When one of those has had its time. */
  againAtMs?: number;
}

/** A node that does not say within this time that it has let a volume go loses it. */
export const MAX_UNMOUNT_MS = 6 * 60_000;
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

/** Its containers may still use its volumes. */
export function holdsVolumes(pod: Pod): boolean {
  const { phase, containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  if (!pod.spec?.nodeName || phase === 'Failed' || phase === 'Succeeded') return false;
  if (!pod.metadata.deletionTimestamp) return true;
  const statuses = [...containerStatuses, ...initContainerStatuses];
  return statuses.length === 0 || statuses.some((each) => each.state?.running || each.state?.waiting);
}

export function planAttachments(facts: AttachFacts): AttachPlan {
  const { volume, attachments, nowMs } = facts;
  const { driver = '', volumeHandle = '' } = volume.spec?.csi ?? {};
  const name = volume.metadata.name ?? '';
  const plan: AttachPlan = { attach: [], detach: [], conflicts: [], waiting: [] };
  const holders = facts.pods.filter(holdsVolumes);
  // Nothing is attached to a node that is gone.
  const wanted = new Set(holders.map((pod) => pod.spec?.nodeName as string).filter((each) => facts.node(each)));
  const at = new Set(attachments.map((each) => each.spec.nodeName));

  for (const attachment of attachments) {
    const { nodeName } = attachment.spec;
    if (wanted.has(nodeName) || attachment.metadata.deletionTimestamp) continue;
    const node = facts.node(nodeName);
    const isInUse = node?.status?.volumesInUse?.includes(attachedName(driver, volumeHandle)) ?? false;
    const isOut = node?.spec?.taints?.some((each) => each.key === OUT_OF_SERVICE) ?? false;
    const untilMs = (facts.unwantedSinceMs(nodeName) ?? nowMs) + MAX_UNMOUNT_MS;
    if (!isInUse || isOut || nowMs >= untilMs) {
      plan.detach.push(attachment.metadata.name ?? '');
      continue;
    }
    plan.waiting.push(nodeName);
    plan.againAtMs = Math.min(plan.againAtMs ?? Number.POSITIVE_INFINITY, untilMs);
  }

  const many = isForManyNodes(volume);
  for (const nodeName of wanted) {
    if (at.has(nodeName)) continue;
    if (many || at.size === 0) {
      plan.attach.push(nodeName);
      at.add(nodeName);
      continue;
    }
    const elsewhere = holders.filter((pod) => at.has(pod.spec?.nodeName as string));
    for (const pod of holders.filter((each) => each.spec?.nodeName === nodeName)) {
      plan.conflicts.push({ pod, message: conflict(name, pod, elsewhere) });
    }
  }
  return plan;
}

/** Pods of other namespaces are counted, not named. */
function conflict(volume: string, pod: Pod, holders: readonly Pod[]): string {
  const start = `Multi-Attach error for volume "${volume}" `;
  if (holders.length === 0) {
    return `${start}Volume is already exclusively attached to one node and can't be attached to another`;
  }
  const near = holders.filter((each) => each.metadata.namespace === pod.metadata.namespace);
  const far = holders.length - near.length;
  const names = near.map((each) => each.metadata.name).join(', ');
  if (near.length === 0) return `${start}Volume is already used by ${far} pod(s) in different namespaces`;
  return `${start}Volume is already used by pod(s) ${names}${far > 0 ? ` and ${far} pod(s) in different namespaces` : ''}`;
}
