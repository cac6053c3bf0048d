// Which nodes lack a daemon's pod, which pods must go, and the status. Pure.
import {
  becomesAvailableInMs,
  isPodActive,
  isPodAvailable,
  isPodReady,
  isPodTerminal,
} from '../../api/pod-conditions.ts';
import type { DaemonSet, DaemonSetStatus } from '../../api/types/apps-v1.ts';
import type { Affinity, Node, NodeSelectorTerm, Pod, PodTemplateSpec } from '../../api/types/core-v1.ts';
import { resolveCount } from '../deployment/bounds.ts';
import { revisionLabel } from '../parts/revisions.ts';
import { withoutZeros } from '../parts/status.ts';
import { parseTime } from '../parts/time.ts';
import { daemonTolerations, nodeFit } from './node-fit.ts';

export interface DaemonFacts {
  daemonSet: DaemonSet;
  /** All that it controls, from a mirror that has seen its own creations and deletions. */
  pods: readonly Pod[];
  nodes: readonly Node[];
  /** Of the present template. */
  hash: string;
  nowMs: number;
}

export interface DaemonPlan {
  /** Names of nodes. */
  create: string[];
  remove: Pod[];
  /** Of `remove`, those that ended by themselves: their next try is not at once. */
  ended: Pod[];
  status: DaemonSetStatus;
  recheckMs: number | undefined;
}

/** The node that a pod is on, or is meant for before it is placed. */
export function nodeOf(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms)
    for (const { key, operator, values } of matchFields)
      if (key === 'metadata.name' && operator === 'In' && values?.length === 1) return values[0];
  return undefined;
}

const byAge = (a: Pod, b: Pod) =>
  parseTime(a.metadata.creationTimestamp) - parseTime(b.metadata.creationTimestamp) ||
  ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1);

export function planDaemonSet({ daemonSet, pods, nodes, hash, nowMs }: DaemonFacts): DaemonPlan {
  const { template, minReadySeconds = 0, updateStrategy } = daemonSet.spec ?? { template: {} };
  const byNode = new Map<string, Pod[]>();
  const known = new Set(nodes.map((node) => node.metadata.name));
  const create: string[] = [];
  const remove = new Set<Pod>();
  const ended: Pod[] = [];
  for (const pod of [...pods].sort(byAge)) {
    const name = nodeOf(pod) ?? '';
    if (!known.has(name)) {
      // Placed ones are the pod garbage collector's; others would wait for their node for ever.
      if (!pod.spec?.nodeName && !pod.metadata.deletionTimestamp) remove.add(pod);
      continue;
    }
    byNode.set(name, [...(byNode.get(name) ?? []), pod]);
  }
  const isAvailable = (pod: Pod) => isPodActive(pod) && isPodAvailable(pod, minReadySeconds, nowMs);
  const isNew = (pod: Pod) => pod.metadata.labels?.[revisionLabel] === hash;
  const counts = { desired: 0, current: 0, misscheduled: 0, ready: 0, available: 0, updated: 0 };
  const rolls = (updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
  const wanted = nodes.filter((node) => nodeFit(template.spec, node).shouldRun).length;
  const { maxSurge: surge = 0, maxUnavailable: unavailable = 1 } = updateStrategy?.rollingUpdate ?? {};
  const maxSurge = rolls ? resolveCount(surge, wanted, Math.ceil) : 0;
  // Neither: one at a time, or nothing would ever move.
  const maxUnavailable = resolveCount(unavailable, wanted, Math.ceil) || (maxSurge > 0 ? 0 : 1);
  let down = 0;
  let surging = 0;
  const replaceable: Pod[] = [];
  const surgeable: string[] = [];

  for (const node of nodes) {
    const name = node.metadata.name as string;
    const here = byNode.get(name) ?? [];
    const { shouldRun, mayStay } = nodeFit(template.spec, node);
    const first = here.find((pod) => !isPodTerminal(pod)) ?? here[0];
    if (shouldRun) {
      counts.desired++;
      if (first) counts.current++;
      if (first && isPodReady(first)) counts.ready++;
      if (here.some(isAvailable)) counts.available++;
      if (first && here.some(isNew)) counts.updated++;
    } else if (here.length > 0) counts.misscheduled++;

    const live = here.filter((pod) => !pod.metadata.deletionTimestamp);
    if (!mayStay) {
      for (const pod of live) remove.add(pod);
      continue;
    }
    for (const pod of live.filter(isPodTerminal)) {
      remove.add(pod);
      ended.push(pod);
    }
    const running = live.filter((pod) => !isPodTerminal(pod));
    const fresh = running.filter(isNew);
    const stale = running.filter((pod) => !isNew(pod));
    if (here.length === 0 && shouldRun) create.push(name);
    // One pod is enough, or an old and a new one while the new one comes up.
    const spareNew = fresh.slice(1);
    const spareOld = stale.slice(1);
    for (const pod of [...spareNew, ...spareOld]) remove.add(pod);
    const [newest] = fresh;
    const [oldest] = stale;
    if (newest && oldest) {
      if (maxSurge === 0 || isAvailable(newest)) remove.add(oldest);
      else surging++;
      if (!isAvailable(newest) && !isAvailable(oldest)) down++;
    } else if (oldest && rolls) {
      if (!isAvailable(oldest)) {
        down++;
        remove.add(oldest); // it serves nobody
      } else if (maxSurge > 0) surgeable.push(name);
      else replaceable.push(oldest);
    } else if (shouldRun && !(newest && isAvailable(newest))) down++;
  }
  for (const pod of replaceable.slice(0, Math.max(0, maxUnavailable - down))) remove.add(pod);
  create.push(...surgeable.slice(0, Math.max(0, maxSurge - surging)));

  if (daemonSet.metadata.deletionTimestamp) {
    create.length = 0;
    remove.clear();
    ended.length = 0;
  }
  const waits = pods.flatMap((pod) => {
    const waitMs =
      isPodActive(pod) && !isAvailable(pod) ? becomesAvailableInMs(pod, minReadySeconds, nowMs) : undefined;
    return waitMs === undefined ? [] : [Math.max(1, waitMs)];
  });
  const status = withoutZeros<DaemonSetStatus>(
    {
      currentNumberScheduled: counts.current,
      numberMisscheduled: counts.misscheduled,
      desiredNumberScheduled: counts.desired,
      numberReady: counts.ready,
      observedGeneration: daemonSet.metadata.generation ?? 0,
      updatedNumberScheduled: counts.updated,
      numberAvailable: counts.available,
      numberUnavailable: counts.desired - counts.available,
      collisionCount: daemonSet.status?.collisionCount,
      conditions: daemonSet.status?.conditions,
    },
    ['currentNumberScheduled', 'numberMisscheduled', 'desiredNumberScheduled', 'numberReady'],
  );
  return { create, remove: [...remove], ended, status, recheckMs: waits.length > 0 ? Math.min(...waits) : undefined };
}

/** A pod that the scheduler can place on one node only. */
export function daemonPod(daemonSet: DaemonSet, nodeName: string, hash: string, name: string): Pod {
  const template: PodTemplateSpec = daemonSet.spec?.template ?? {};
  const generation = daemonSet.metadata.annotations?.['deprecated.daemonset.template.generation'];
  return {
    metadata: {
      name,
      generateName: `${daemonSet.metadata.name}-`,
      annotations: template.metadata?.annotations,
      finalizers: template.metadata?.finalizers,
      labels: {
        ...template.metadata?.labels,
        [revisionLabel]: hash,
        ...(generation !== undefined && { 'pod-template-generation': generation }),
      },
    },
    spec: template.spec && {
      ...template.spec,
      affinity: onNode(template.spec.affinity, nodeName),
      tolerations: daemonTolerations(template.spec),
    },
  };
}

/** The node's name stands in for whatever node affinity was required: the node was chosen by it already. */
function onNode(affinity: Affinity | undefined, nodeName: string): Affinity {
  const term: NodeSelectorTerm = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] };
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
  return { ...affinity, nodeAffinity: { ...affinity?.nodeAffinity, ...required } };
}
