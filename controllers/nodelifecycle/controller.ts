// Watches over nodes: a node that shows no sign of life (lease or status) becomes Unknown, its conditions become taints,
// its pods are marked not ready. Time counts from when a sign was seen here, so that clocks of hosts may differ.
import { lease as leaseKind } from '../../api/kinds/lease.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { isPodReady } from '../../api/pod-conditions.ts';
import type { Lease } from '../../api/types/coordination-v1.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNotFound, NetworkError, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { podsOnNode } from '../parts/pods.ts';
import { rfc3339 } from '../parts/time.ts';
import { gracePeriodMs, isNodeReady, plannedTaints, unknownConditions } from './plan.ts';

const leaseNamespace = 'kube-node-lease';

export function runNodeLifecycleController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('node-controller') ?? context.events;
  const log = context.log.child({ controller: 'nodelifecycle' });
  const queue = createWorkQueue({ clock, random });
  const nodes = informers.of<Node>(nodeKind);
  const leases = informers.of<Lease>(leaseKind);
  const pods = informers.of<Pod>(podKind);
  const onNode = podsOnNode(pods);
  /** When each node last showed a sign of life. */
  const heardMs = new Map<string, number>();
  /** Whether each node was ready when it was last looked at. */
  const readyBefore = new Map<string, boolean>();
  /** Until when this controller itself was cut off: silence until then proves nothing. */
  let deafUntilMs = Number.NEGATIVE_INFINITY;
  let isDeaf = false;

  const heard = (name: string) => {
    heardMs.set(name, clock.monotonic());
    queue.add(name);
  };
  const heartbeat = (node: Node) => node.status?.conditions?.find((each) => each.type === 'Ready')?.lastHeartbeatTime;
  nodes.addHandler({
    onAdd(node) {
      const name = node.metadata.name as string;
      events.event(node, 'Normal', 'RegisteredNode', `Node ${name} event: Registered Node ${name} in Controller`);
      heard(name);
    },
    onUpdate(node, old) {
      if (heartbeat(node) !== heartbeat(old)) heard(node.metadata.name as string);
      else queue.add(node.metadata.name as string);
    },
    onDelete(node) {
      const name = node.metadata.name as string;
      events.event(node, 'Normal', 'RemovingNode', `Node ${name} event: Removing Node ${name} from Controller`);
      heardMs.delete(name);
      readyBefore.delete(name);
    },
  });
  leases.addHandler({
    onUpdate(lease, old) {
      if (lease.metadata.namespace !== leaseNamespace || lease.spec?.renewTime === old.spec?.renewTime) return;
      const name = lease.metadata.name as string;
      if (!nodes.get(name)) return;
      heardMs.set(name, clock.monotonic());
      const node = nodes.get(name);
      if (node && !isNodeReady(node)) queue.add(name); // a healthy node needs no work at each heartbeat
    },
  });
  // A pod that lands on, or is reported from, a node that is not ready is not ready.
  pods.addHandler({
    onUpdate(pod) {
      const node = pod.spec?.nodeName ? nodes.get(pod.spec.nodeName) : undefined;
      if (node && isUnknown(node) && isPodReady(pod)) queue.add(node.metadata.name as string);
    },
  });

  const isUnknown = (node: Node) =>
    node.status?.conditions?.find((each) => each.type === 'Ready')?.status === 'Unknown';

  async function reconcile(name: string): Promise<ReconcileResult> {
    let node = nodes.get(name);
    if (!node) return;
    const resource = client.resource<Node>(nodeKind);
    const silence = () => clock.monotonic() - Math.max(deafUntilMs, heardMs.get(name) ?? clock.monotonic());
    if (isDeaf || (silence() >= gracePeriodMs && !isUnknown(node))) {
      const live = await listen(name);
      if (!live) return;
      node = live;
    }
    const silentMs = silence();
    if (silentMs >= gracePeriodMs) {
      const wasReady = isNodeReady(node);
      const conditions = unknownConditions(node, clock.now());
      if (conditions) {
        node = await resource.update({ ...node, status: { ...node.status, conditions } }, { subresource: 'status' });
        log.warn({ node: name, silentMs }, 'node shows no sign of life');
        if (wasReady) events.event(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
      }
    }
    const taints = plannedTaints(node, clock.now());
    if (taints) {
      const { resourceVersion } = node.metadata;
      await resource.patch(name, 'merge', {
        metadata: { resourceVersion },
        spec: { taints: taints.length > 0 ? taints : null },
      });
    }
    // A kubelet that lives speaks for its pods: they are marked once when its node ceases to be ready. A silent one does not.
    const ceased = readyBefore.get(name) === true && !isNodeReady(node);
    if (isUnknown(node) || ceased) await markPodsNotReady(name);
    readyBefore.set(name, isNodeReady(node));
    if (silentMs < gracePeriodMs) return { requeueAfterMs: gracePeriodMs - silentMs };
  }

  /** The node, read live. A failure is tried again within seconds, and puts off every judgement until one succeeds. */
  async function listen(name: string): Promise<Node | undefined> {
    try {
      const node = await client.resource<Node>(nodeKind).get(name);
      if (isDeaf) deafUntilMs = clock.monotonic();
      isDeaf = false;
      return node;
    } catch (error) {
      if (error instanceof NetworkError) isDeaf = true;
      if (!isNotFound(error)) throw error;
      return undefined;
    }
  }

  async function markPodsNotReady(nodeName: string): Promise<void> {
    for (const pod of onNode(nodeName)) {
      if (!isPodReady(pod) || pod.metadata.deletionTimestamp) continue;
      const conditions = pod.status?.conditions?.map((each) =>
        each.type === 'Ready' ? { ...each, status: 'False', lastTransitionTime: rfc3339(clock.now()) } : each,
      );
      try {
        await client
          .resource<Pod>(podKind, pod.metadata.namespace)
          .update({ ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' });
        events.event(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  return runController(
    { name: 'nodelifecycle', queue, reconcile, workers: 8, informers: [nodes, leases, pods], log },
    signal,
  );
}
