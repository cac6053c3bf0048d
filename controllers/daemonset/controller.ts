// One pod of a DaemonSet on every node that it fits, rolled over node by node when the template changes.
import { deepEqual } from '../../api/equality.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { randomSuffix } from '../../api/names.ts';
import { keyOf } from '../../api/object.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { ControllerRevision, DaemonSet } from '../../api/types/apps-v1.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNamespaceTerminating, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import { claim, controlledBy, indexByController, settleClaims } from '../parts/owners.ts';
import { createPodControl, wakeOwnersOfPods } from '../parts/pod-control.ts';
import { hashOf, settleHistory, trimHistory } from '../parts/revisions.ts';
import { controllerRevisionRef, daemonSetRef } from '../parts/workload-refs.ts';
import { daemonPod, nodeOf, planDaemonSet } from './plan.ts';

const firstRetryMs = 1_000;
const maxRetryMs = 900_000;

export function runDaemonSetController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('daemonset-controller') ?? context.events;
  const log = context.log.child({ controller: 'daemonset' });
  const daemonSets = informers.of<DaemonSet>(daemonSetRef);
  const revisions = informers.of<ControllerRevision>(controllerRevisionRef);
  const pods = informers.of<Pod>(podKind);
  const nodes = informers.of<Node>(nodeKind);
  const queue = createWorkQueue({ clock, random });
  const expectations = new Expectations(clock);
  const control = createPodControl({ client, events, expectations, ownerRef: daemonSetRef });
  /** Per DaemonSet and node: how long to leave a pod that ended alone before the next try. */
  const retries = new Map<string, { delayMs: number; lastMs: number }>();
  indexByController(pods);
  indexByController(revisions);
  wakeOwnersOfPods({ pods, owners: daemonSets, ownerRef: daemonSetRef, expectations, queue });

  const wakeAll = () => {
    for (const each of daemonSets.list()) queue.add(keyOf(each));
  };
  const facts = (node: Node) => [node.metadata.labels, node.spec?.taints];
  nodes.addHandler({
    onAdd: wakeAll,
    onUpdate: (node, old) => void (!deepEqual(facts(node), facts(old)) && wakeAll()),
    onDelete: wakeAll,
  });

  /** Milliseconds until the ended pod may be removed, and so replaced. */
  function retryInMs(id: string): number {
    const nowMs = clock.now();
    const last = retries.get(id);
    if (last && nowMs - last.lastMs < last.delayMs) return last.delayMs - (nowMs - last.lastMs);
    const wasLongAgo = !last || nowMs - last.lastMs > 2 * maxRetryMs;
    retries.set(id, { lastMs: nowMs, delayMs: wasLongAgo ? firstRetryMs : Math.min(maxRetryMs, last.delayMs * 2) });
    return 0;
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const daemonSet = daemonSets.get(key);
    if (!daemonSet) return;
    const { uid, namespace, name } = daemonSet.metadata as { uid: string; namespace: string; name: string };
    const selector = selectorFromObject(daemonSet.spec?.selector);
    if (selector.everything) {
      const message = 'This daemon set is selecting all pods. A non-empty selector is required.';
      events.event(daemonSet, 'Warning', 'SelectingAll', message);
      return;
    }
    const owned = await settleClaims(client, daemonSetRef, daemonSet, podKind, claim(pods, daemonSet, selector));
    const waitMs = expectations.waitMs(uid);
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    let history: Awaited<ReturnType<typeof settleHistory>>;
    try {
      history = await settleHistory(client, daemonSetRef, daemonSet, controlledBy(revisions, uid));
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      throw error;
    }
    const hash = hashOf(history.current);
    const plan = planDaemonSet({ daemonSet, pods: owned, nodes: nodes.list(), hash, nowMs: clock.now() });
    let recheckMs = plan.recheckMs;
    const remove = plan.remove.filter((pod) => {
      if (!plan.ended.includes(pod)) return true;
      const leftMs = retryInMs(`${uid}/${nodeOf(pod)}`);
      if (leftMs > 0) recheckMs = Math.min(recheckMs ?? leftMs, leftMs);
      else announceEnd(daemonSet, pod);
      return leftMs === 0;
    });
    let failed: unknown;
    try {
      const created = plan.create.map((node) =>
        daemonPod(daemonSet, node, hash, `${name.slice(0, 57)}-${randomSuffix(random)}`),
      );
      await control.createAll(daemonSet, created);
      await control.removeAll(daemonSet, remove);
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      failed = error;
    }
    if (!deepEqual(plan.status, daemonSet.status ?? {})) {
      const resource = client.resource<DaemonSet>(daemonSetRef, namespace);
      await resource.update({ ...daemonSet, status: plan.status }, { subresource: 'status' });
    }
    if (failed !== undefined) throw failed;
    const inUse = new Set(owned.map((pod) => pod.metadata.labels?.['controller-revision-hash']));
    await trimHistory(client, daemonSet, history.old, (revision) => inUse.has(hashOf(revision)));
    return recheckMs === undefined ? undefined : { requeueAfterMs: recheckMs };
  }

  function announceEnd(daemonSet: DaemonSet, pod: Pod): void {
    const where = `${keyOf(pod)} on node ${nodeOf(pod)}`;
    if (pod.status?.phase === 'Failed')
      events.event(daemonSet, 'Warning', 'FailedDaemonPod', `Found failed daemon pod ${where}, will try to kill it`);
    else
      events.event(
        daemonSet,
        'Normal',
        'SucceededDaemonPod',
        `Found succeeded daemon pod ${where}, will try to delete it`,
      );
  }

  const all = [daemonSets, revisions, pods, nodes];
  return runController({ name: 'daemonset', queue, reconcile, workers: 2, informers: all, log }, signal);
}
