// Removes pods that nobody else will: those of nodes that do not exist (after a while, read live), those deleted before
// they were given a node, and the oldest ended ones above a threshold.
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodTerminal } from '../../api/pod-conditions.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNotFound, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { disruptPod, podsOnNode } from '../parts/pods.ts';
import { parseTime } from '../parts/time.ts';

/** A node may be registered again right after it was deleted. */
export const quarantineMs = 40_000;
export const terminatedThreshold = 12_500;
/** How often ended pods are counted: they cost memory only. */
const countEveryMs = 20_000;
const countKey = ' count';

/** The ended pods above the threshold, the oldest first. Pure. */
export function surplusTerminated(pods: readonly Pod[], threshold: number): Pod[] {
  const ended = pods.filter((pod) => isPodTerminal(pod) && !pod.metadata.deletionTimestamp);
  if (ended.length <= threshold) return [];
  const createdMs = (pod: Pod) => parseTime(pod.metadata.creationTimestamp);
  return ended
    .sort((a, b) => createdMs(a) - createdMs(b) || (keyOf(a) < keyOf(b) ? -1 : 1))
    .slice(0, ended.length - threshold);
}

export function runPodGarbageCollector(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'pod-gc' });
  const queue = createWorkQueue({ clock, random });
  const nodes = informers.of<Node>(nodeKind);
  const pods = informers.of<Pod>(podKind);
  const onNode = podsOnNode(pods);
  /** When a pod's node was first missed. */
  const missedMs = new Map<string, number>();
  let ended = 0;

  nodes.addHandler({
    onDelete(node) {
      for (const pod of onNode(node.metadata.name as string)) queue.add(keyOf(pod));
    },
  });
  const isUnplacedAndDeleted = (pod: Pod) => !pod.spec?.nodeName && pod.metadata.deletionTimestamp !== undefined;
  const look = (pod: Pod) => {
    if (isUnplacedAndDeleted(pod) || (pod.spec?.nodeName && !nodes.get(pod.spec.nodeName))) queue.add(keyOf(pod));
  };
  const count = (by: number) => {
    ended += by;
    if (ended > terminatedThreshold) queue.addAfter(countKey, countEveryMs);
  };
  pods.addHandler({
    onAdd(pod) {
      look(pod);
      if (isPodTerminal(pod)) count(1);
    },
    onUpdate(pod, old) {
      look(pod);
      count(Number(isPodTerminal(pod)) - Number(isPodTerminal(old)));
    },
    onDelete(pod) {
      missedMs.delete(pod.metadata.uid as string);
      if (isPodTerminal(pod)) count(-1);
    },
  });

  async function reconcile(key: string): Promise<ReconcileResult> {
    if (key === countKey) {
      for (const pod of surplusTerminated(pods.list(), terminatedThreshold)) await forceDelete(pod);
      return;
    }
    const pod = pods.get(key);
    if (!pod) return;
    if (isUnplacedAndDeleted(pod)) return forceDelete(pod);
    const uid = pod.metadata.uid as string;
    const nodeName = pod.spec?.nodeName;
    if (!nodeName || nodes.get(nodeName)) return void missedMs.delete(uid);
    const sinceMs = missedMs.get(uid) ?? clock.monotonic();
    missedMs.set(uid, sinceMs);
    const leftMs = sinceMs + quarantineMs - clock.monotonic();
    if (leftMs > 0) return { requeueAfterMs: leftMs };
    if (await exists(nodeName)) return;
    log.info({ pod: key, node: nodeName }, 'pod removed: its node does not exist');
    await disruptPod(
      client,
      pod,
      { reason: 'DeletionByPodGC', message: 'PodGC: node no longer exists', fail: true, gracePeriodSeconds: 0 },
      clock.now(),
    );
  }

  async function forceDelete(pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    try {
      await client
        .resource<Pod>(podKind, namespace)
        .delete(name as string, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function exists(nodeName: string): Promise<boolean> {
    try {
      await client.resource<Node>(nodeKind).get(nodeName);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  return runController({ name: 'pod-gc', queue, reconcile, workers: 4, informers: [nodes, pods], log }, signal);
}
