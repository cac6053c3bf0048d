// Deletes the pods that a node's NoExecute taints drive out, at once or after their tolerationSeconds.
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodTerminal } from '../../api/pod-conditions.ts';
import type { Node, Pod, Taint } from '../../api/types/core-v1.ts';
import { createWorkQueue, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { disruptPod, podsOnNode } from '../parts/pods.ts';
import { parseTime } from '../parts/time.ts';
import { planEviction } from './plan.ts';

const noExecute = (node: Node | undefined) =>
  (node?.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute');

export function runTaintEviction(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('taint-eviction-controller') ?? context.events;
  const log = context.log.child({ controller: 'taint-eviction' });
  const queue = createWorkQueue({ clock, random });
  const nodes = informers.of<Node>(nodeKind);
  const pods = informers.of<Pod>(podKind);
  const onNode = podsOnNode(pods);

  /** By node, then by taint: since when it counts, on the monotonic clock. A clock that is set drives nobody out. */
  const sinceMs = new Map<string, Map<string, number>>();
  const since =
    (nodeName: string) =>
    ({ key, timeAdded }: Taint): number => {
      const known = sinceMs.get(nodeName) ?? new Map<string, number>();
      sinceMs.set(nodeName, known);
      const id = `${key} ${timeAdded}`;
      const agoMs = timeAdded ? Math.max(0, clock.now() - parseTime(timeAdded)) : 0;
      const atMs = known.get(id) ?? clock.monotonic() - agoMs;
      known.set(id, atMs);
      return atMs;
    };
  const forget = (node: Node) => {
    const present = new Set(noExecute(node).map(({ key, timeAdded }) => `${key} ${timeAdded}`));
    const known = sinceMs.get(node.metadata.name as string);
    for (const id of known?.keys() ?? []) if (!present.has(id)) known?.delete(id);
  };

  const wakeAll = (node: Node) => {
    for (const pod of onNode(node.metadata.name as string)) queue.add(keyOf(pod));
  };
  nodes.addHandler({
    onAdd: (node) => void (noExecute(node).length > 0 && wakeAll(node)),
    onUpdate(node, old) {
      if (JSON.stringify(noExecute(node)) === JSON.stringify(noExecute(old))) return;
      forget(node);
      wakeAll(node);
    },
    onDelete: (node) => void sinceMs.delete(node.metadata.name as string),
  });
  const wake = (pod: Pod) => {
    if (pod.spec?.nodeName && noExecute(nodes.get(pod.spec.nodeName)).length > 0) queue.add(keyOf(pod));
  };
  pods.addHandler({
    onAdd: wake,
    onUpdate: (pod, old) => void (pod.spec?.nodeName !== old.spec?.nodeName && wake(pod)),
  });

  async function reconcile(key: string): Promise<ReconcileResult> {
    const pod = pods.get(key);
    if (!pod || pod.metadata.deletionTimestamp || isPodTerminal(pod)) return;
    const nodeName = pod.spec?.nodeName ?? '';
    const eviction = planEviction(pod, noExecute(nodes.get(nodeName)), clock.monotonic(), since(nodeName));
    if (eviction.kind === 'stay') return;
    if (eviction.kind === 'evictAt') return { requeueAfterMs: eviction.atMs - clock.monotonic() };
    events.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
    const message = 'Taint manager: deleting due to NoExecute taint';
    await disruptPod(client, pod, { reason: 'DeletionByTaintManager', message }, clock.now());
  }

  return runController({ name: 'taint-eviction', queue, reconcile, workers: 8, informers: [nodes, pods], log }, signal);
}
