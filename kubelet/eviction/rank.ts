// Which pod goes first when something runs short, and what is said of it. Pure; order and words are upstream's
// (pkg/kubelet/eviction/helpers.go).
import { podRequests } from '../../api/pod-resources.ts';
import { intValue } from '../../api/quantity.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { bytesOf } from '../containers/amounts.ts';
import { isStaticPod } from '../pods/static-pods.ts';
import { allContainers } from '../pods/containers-of.ts';
import type { PodDiskUsage } from '../stats/disk-usage.ts';
import type { PodUsage } from '../stats/pod-usage.ts';
import { ephemeralUsage } from '../stats/summary.ts';
import { amountOf, formatBytes, type Observations, resourceOf, type Signal, type Threshold } from './thresholds.ts';

export interface Candidate {
  pod: Pod;
  usage: PodUsage | undefined;
  disk: PodDiskUsage | undefined;
}

const CRITICAL_PRIORITY = 2_000_000_000;

/** What the node itself needs is never evicted. */
export function isCritical(pod: Pod): boolean {
  return isStaticPod(pod) || (pod.spec?.priority ?? 0) >= CRITICAL_PRIORITY;
}

const requested = (pod: Pod, name: string): number => {
  const found = podRequests(pod).get(name);
  return found ? intValue(found) : 0;
};
const memoryOf = ({ usage }: Candidate) => usage?.memory?.workingSetBytes ?? 0;
const diskOf = ({ usage, disk }: Candidate) => (disk ? ephemeralUsage(usage, disk) : { bytes: 0, inodes: 0 });

/** The first is to go first. */
export function rankFor(signal: Signal, candidates: readonly Candidate[]): Candidate[] {
  const byPriority = (a: Candidate, b: Candidate) => (a.pod.spec?.priority ?? 0) - (b.pod.spec?.priority ?? 0);
  const first = (holds: (each: Candidate) => boolean) => (a: Candidate, b: Candidate) =>
    Number(holds(b)) - Number(holds(a));
  const most = (amount: (each: Candidate) => number) => (a: Candidate, b: Candidate) => amount(b) - amount(a);
  const orders = {
    memory: [
      first((each) => memoryOf(each) > requested(each.pod, 'memory')),
      byPriority,
      most((each) => memoryOf(each) - requested(each.pod, 'memory')),
    ],
    'ephemeral-storage': [
      first((each) => diskOf(each).bytes > requested(each.pod, 'ephemeral-storage')),
      byPriority,
      most((each) => diskOf(each).bytes - requested(each.pod, 'ephemeral-storage')),
    ],
    inodes: [first((each) => diskOf(each).inodes > 0), byPriority, most((each) => diskOf(each).inodes)],
    pids: [byPriority, most((each) => each.usage?.processes ?? 0)],
  }[resourceOf[signal] as 'memory' | 'ephemeral-storage' | 'inodes' | 'pids'];
  return [...candidates].sort((a, b) => {
    for (const order of orders) {
      const difference = order(a, b);
      if (difference !== 0) return difference;
    }
    return 0;
  });
}

/** The message of an evicted pod's status, condition and event. */
export function evictionMessage(threshold: Threshold, seen: Observations, { pod, usage, disk }: Candidate): string {
  const { signal, value } = threshold;
  const resource = resourceOf[signal];
  let text = `The node was low on resource: ${resource}. `;
  const found = seen.get(signal);
  const shown = (amount: number) =>
    signal.endsWith('inodesFree') || resource === 'pids' ? String(Math.floor(amount)) : formatBytes(amount);
  if (found) {
    text += `Threshold quantity: ${shown(amountOf(value, found.capacity))}, available: ${shown(found.available)}. `;
  }
  if (resource !== 'memory' && resource !== 'ephemeral-storage') return text;
  for (const container of allContainers(pod)) {
    const stats = usage?.containers.find((each) => each.name === container.name);
    const used =
      resource === 'memory'
        ? (stats?.memory?.workingSetBytes ?? 0)
        : (stats?.rootfs?.usedBytes ?? 0) + (disk?.logs.get(container.name)?.bytes ?? 0);
    const request = bytesOf(container.resources?.requests?.[resource]);
    if (used <= request) continue;
    text += `Container ${container.name} was using ${formatBytes(used)}, request is ${formatBytes(request)}, has larger consumption of ${resource}. `;
  }
  return text;
}

/** Why a pod has to go for what it has written, whatever the node has left; undefined: it stays within its limits. */
export function localStorageExcess({ pod, usage, disk }: Candidate): string | undefined {
  if (!disk) return undefined;
  for (const volume of pod.spec?.volumes ?? []) {
    const limit = bytesOf(volume.emptyDir?.sizeLimit);
    if (limit === 0) continue;
    const used = disk.volumes.find((each) => each.name === volume.name)?.usedBytes ?? 0;
    if (used > limit)
      return `Usage of EmptyDir volume "${volume.name}" exceeds the limit "${volume.emptyDir?.sizeLimit}". `;
  }
  const limits = allContainers(pod).map((each) => bytesOf(each.resources?.limits?.['ephemeral-storage']));
  const total = limits.reduce((sum, each) => sum + each, 0);
  if (total > 0 && limits.every((each) => each > 0) && ephemeralUsage(usage, disk).bytes > total) {
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${formatBytes(total)}. `;
  }
  for (const container of allContainers(pod)) {
    const text = container.resources?.limits?.['ephemeral-storage'];
    const limit = bytesOf(text);
    if (limit === 0) continue;
    const layer = usage?.containers.find((each) => each.name === container.name)?.rootfs?.usedBytes ?? 0;
    if (layer + (disk.logs.get(container.name)?.bytes ?? 0) > limit) {
      return `Container ${container.name} exceeded its local ephemeral storage limit "${text}". `;
    }
  }
  return undefined;
}

/** Counting files costs: only of pods that may exceed something. */
export function hasLocalLimits(pod: Pod): boolean {
  return (
    (pod.spec?.volumes ?? []).some((each) => each.emptyDir?.sizeLimit && each.emptyDir.medium !== 'Memory') ||
    allContainers(pod).some((each) => each.resources?.limits?.['ephemeral-storage'] !== undefined)
  );
}
