// The next steps of a StatefulSet, and its status. Pure.
//
// OrderedReady takes one step at a time: up in order, each pod available before the next; down in reverse. Parallel creates and
// deletes all at once. A change of template goes from the highest ordinal down, one pod at a time, in both.
import { becomesAvailableInMs, isPodAvailable, isPodReady, isPodTerminal } from '../../api/pod-conditions.ts';
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { resolveCount } from '../deployment/bounds.ts';
import { revisionLabel } from '../parts/revisions.ts';
import { withoutZeros } from '../parts/status.ts';
import { firstOrdinal, ordinalOf } from './pods.ts';

export interface StatefulFacts {
  set: StatefulSet;
  pods: readonly Pod[];
  /** What status.currentRevision names (or, that one being gone, the same as `update`), and the one of the present template. */
  current: ControllerRevision;
  update: ControllerRevision;
  nowMs: number;
}

export interface StatefulPlan {
  create: { ordinal: number; revision: ControllerRevision }[];
  remove: Pod[];
  /** Of `remove`, those that ended by themselves. */
  ended: Pod[];
  status: StatefulSetStatus;
  recheckMs: number | undefined;
}

export function planStatefulSet({ set, pods, current, update, nowMs }: StatefulFacts): StatefulPlan {
  const { replicas = 1, minReadySeconds = 0, podManagementPolicy } = set.spec ?? {};
  const start = firstOrdinal(set);
  const byOrdinal = new Map<number, Pod>();
  for (const pod of pods) {
    const ordinal = ordinalOf(set, pod);
    if (ordinal !== undefined) byOrdinal.set(ordinal, pod);
  }
  const isGoing = (pod: Pod) => pod.metadata.deletionTimestamp !== undefined;
  const runsReady = (pod: Pod) => pod.status?.phase === 'Running' && isPodReady(pod) && !isGoing(pod);
  const isAvailable = (pod: Pod) => runsReady(pod) && isPodAvailable(pod, minReadySeconds, nowMs);
  const revisionOf = (pod: Pod) => pod.metadata.labels?.[revisionLabel];
  const members = [...byOrdinal.values()];
  const waits = members
    .filter((pod) => runsReady(pod) && !isAvailable(pod))
    .map((pod) => Math.max(1, becomesAvailableInMs(pod, minReadySeconds, nowMs) ?? 1));
  const status = statusOf();
  const plan: StatefulPlan = {
    create: [],
    remove: [],
    ended: [],
    status,
    recheckMs: waits.length > 0 ? Math.min(...waits) : undefined,
  };
  if (!set.metadata.deletionTimestamp) steps();
  return plan;

  function steps(): void {
    const inOrder = podManagementPolicy !== 'Parallel';
    for (let ordinal = start; ordinal < start + replicas; ordinal++) {
      const pod = byOrdinal.get(ordinal);
      if (!pod) plan.create.push({ ordinal, revision: isKeptBack(ordinal) ? current : update });
      else if (isPodTerminal(pod) && !isGoing(pod)) {
        plan.remove.push(pod);
        plan.ended.push(pod);
      } else if (isAvailable(pod)) continue;
      if (inOrder) return;
    }
    const condemned = [...byOrdinal.keys()].filter((each) => each < start || each >= start + replicas);
    condemned.sort((a, b) => b - a);
    const firstUnhealthy = condemned.findLast((ordinal) => !isAvailable(byOrdinal.get(ordinal) as Pod));
    for (const ordinal of condemned) {
      const pod = byOrdinal.get(ordinal) as Pod;
      if (isGoing(pod)) {
        if (inOrder) return;
        continue;
      }
      if (inOrder && !isAvailable(pod) && ordinal !== firstUnhealthy) return;
      plan.remove.push(pod);
      if (inOrder) return;
    }
    if (plan.create.length + plan.remove.length > 0) return;
    roll();
  }

  function roll(): void {
    const { type = 'RollingUpdate', rollingUpdate } = set.spec?.updateStrategy ?? {};
    if (type !== 'RollingUpdate') return;
    const most = Math.max(1, resolveCount(rollingUpdate?.maxUnavailable ?? 1, replicas, Math.floor));
    let down = 0;
    for (let ordinal = start; ordinal < start + replicas; ordinal++)
      if (!isAvailable(byOrdinal.get(ordinal) as Pod)) down++;
    const lowest = Math.max(start, start + (rollingUpdate?.partition ?? 0));
    for (let ordinal = start + replicas - 1; ordinal >= lowest; ordinal--) {
      const pod = byOrdinal.get(ordinal) as Pod;
      const isOld = revisionOf(pod) !== update.metadata.name;
      if (!isAvailable(pod)) {
        // One that is down already may be replaced; one that comes up is waited for.
        if (isOld && !isGoing(pod)) plan.remove.push(pod);
        if (down >= most) return;
      } else if (isOld) {
        if (down >= most) return;
        plan.remove.push(pod);
        if (++down >= most) return;
      }
    }
  }

  function isKeptBack(ordinal: number): boolean {
    const { type = 'RollingUpdate', rollingUpdate } = set.spec?.updateStrategy ?? {};
    if (type !== 'RollingUpdate') return false;
    if (!rollingUpdate) return ordinal < start + (set.status?.currentReplicas ?? 0);
    return ordinal < start + (rollingUpdate.partition ?? 0);
  }

  function statusOf(): StatefulSetStatus {
    const staying = members.filter((pod) => !isGoing(pod));
    const count = (holds: (pod: Pod) => boolean) => members.filter(holds).length;
    const updated = staying.filter((pod) => revisionOf(pod) === update.metadata.name).length;
    const ready = count(runsReady);
    const { type = 'RollingUpdate' } = set.spec?.updateStrategy ?? {};
    const isDone =
      type === 'RollingUpdate' && updated === members.length && ready === members.length && members.length === replicas;
    const onCurrent = staying.filter((pod) => revisionOf(pod) === current.metadata.name).length;
    return withoutZeros<StatefulSetStatus>(
      {
        observedGeneration: set.metadata.generation ?? 0,
        replicas: members.length,
        readyReplicas: ready,
        availableReplicas: count(isAvailable),
        currentReplicas: isDone ? updated : onCurrent,
        updatedReplicas: updated,
        currentRevision: isDone ? update.metadata.name : current.metadata.name,
        updateRevision: update.metadata.name,
        collisionCount: set.status?.collisionCount ?? 0,
        conditions: set.status?.conditions,
      },
      ['replicas', 'availableReplicas', 'collisionCount'],
    );
  }
}
