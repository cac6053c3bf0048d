// What a node's conditions mean: Unknown when it has not been heard of, and the taints that follow. Pure.
import { tolerates } from '../../api/node-rules.ts';
import type { Node, NodeCondition, Pod, Taint } from '../../api/types/core-v1.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';

/** Without a sign of life for so long a node's state is Unknown. */
export const gracePeriodMs = 40_000;

const watchedConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const;

/** The conditions of a node that was not heard of in time; undefined when they say so already. */
export function unknownConditions(node: Node, nowMs: number): NodeCondition[] | undefined {
  const present = node.status?.conditions ?? [];
  const now = rfc3339(nowMs);
  const next = [...present];
  let isChanged = false;
  for (const type of watchedConditions) {
    const at = next.findIndex((each) => each.type === type);
    const old = next[at];
    if (old?.status === 'Unknown') continue;
    isChanged = true;
    if (old) {
      next[at] = {
        ...old,
        status: 'Unknown',
        lastTransitionTime: now,
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
      };
    } else {
      next.push({
        type,
        status: 'Unknown',
        lastHeartbeatTime: node.metadata.creationTimestamp,
        lastTransitionTime: now,
        reason: 'NodeStatusNeverUpdated',
        message: 'Kubelet never posted node status.',
      });
    }
  }
  return isChanged ? next : undefined;
}

export const isNodeReady = (node: Node): boolean =>
  node.status?.conditions?.find((each) => each.type === 'Ready')?.status === 'True';

const taintOfCondition: readonly { type: string; status: string; key: string; effects: readonly string[] }[] = [
  { type: 'Ready', status: 'False', key: 'node.kubernetes.io/not-ready', effects: ['NoSchedule', 'NoExecute'] },
  { type: 'Ready', status: 'Unknown', key: 'node.kubernetes.io/unreachable', effects: ['NoSchedule', 'NoExecute'] },
  { type: 'MemoryPressure', status: 'True', key: 'node.kubernetes.io/memory-pressure', effects: ['NoSchedule'] },
  { type: 'DiskPressure', status: 'True', key: 'node.kubernetes.io/disk-pressure', effects: ['NoSchedule'] },
  { type: 'PIDPressure', status: 'True', key: 'node.kubernetes.io/pid-pressure', effects: ['NoSchedule'] },
  {
    type: 'NetworkUnavailable',
    status: 'True',
    key: 'node.kubernetes.io/network-unavailable',
    effects: ['NoSchedule'],
  },
];
const unschedulableKey = 'node.kubernetes.io/unschedulable';
const ownKeys: ReadonlySet<string> = new Set([...taintOfCondition.map((each) => each.key), unschedulableKey]);

/** The node's taints as its conditions demand; those of others stay. Undefined when they are so already. */
export function plannedTaints(node: Node, nowMs: number): Taint[] | undefined {
  const wanted: { key: string; effect: string }[] = [];
  for (const condition of node.status?.conditions ?? []) {
    for (const { type, status, key, effects } of taintOfCondition) {
      if (condition.type === type && condition.status === status)
        wanted.push(...effects.map((effect) => ({ key, effect })));
    }
  }
  // A node that has never reported is as not ready as one that says so: the taint it was admitted with stays.
  if (!node.status?.conditions?.some((each) => each.type === 'Ready'))
    wanted.push({ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' });
  if (node.spec?.unschedulable) wanted.push({ key: unschedulableKey, effect: 'NoSchedule' });
  const present = node.spec?.taints ?? [];
  const isSame = (a: { key: string; effect: string }, b: { key: string; effect: string }) =>
    a.key === b.key && a.effect === b.effect;
  const kept = present.filter((taint) => !ownKeys.has(taint.key) || wanted.some((each) => isSame(each, taint)));
  const missing = wanted.filter((each) => !present.some((taint) => isSame(each, taint)));
  if (missing.length === 0 && kept.length === present.length) return undefined;
  return [...kept, ...missing.map(({ key, effect }) => ({ key, effect, timeAdded: rfc3339(nowMs) }))];
}

export type Eviction = { kind: 'stay' } | { kind: 'evict' } | { kind: 'evictAt'; atMs: number };

/**
 * Whether the NoExecute taints drive a pod out, and when. `sinceMs` tells when a taint was added, by the clock of `nowMs`: as a
 * taint's timeAdded says, so that a restart does not start the time anew.
 */
export function planEviction(
  pod: Pod,
  taints: readonly Taint[],
  nowMs: number,
  sinceMs = ({ timeAdded }: Taint): number => (timeAdded ? parseTime(timeAdded) : nowMs),
): Eviction {
  const noExecute = taints.filter((taint) => taint.effect === 'NoExecute');
  if (noExecute.length === 0) return { kind: 'stay' };
  let atMs = Number.POSITIVE_INFINITY;
  for (const taint of noExecute) {
    const matching = (pod.spec?.tolerations ?? []).filter((toleration) => tolerates(toleration, taint));
    if (matching.length === 0) return { kind: 'evict' };
    const startMs = sinceMs(taint);
    for (const { tolerationSeconds } of matching) {
      if (tolerationSeconds !== undefined) atMs = Math.min(atMs, startMs + Math.max(0, tolerationSeconds) * 1000);
    }
  }
  if (atMs === Number.POSITIVE_INFINITY) return { kind: 'stay' };
  return atMs <= nowMs ? { kind: 'evict' } : { kind: 'evictAt', atMs };
}
