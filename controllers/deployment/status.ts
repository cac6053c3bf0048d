// A Deployment's status and conditions, with upstream's reasons and messages. Pure.
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../api/types/apps-v1.ts';
import { withoutZeros } from '../parts/status.ts';
import { parseTime, rfc3339 } from '../parts/time.ts';
import type { Bounds } from './bounds.ts';

export type Conditions = readonly DeploymentCondition[];

export const conditionOf = (conditions: Conditions | undefined, type: string): DeploymentCondition | undefined =>
  conditions?.find((each) => each.type === type);

/** The same status and reason: nothing changes, not even the times. The same status: lastTransitionTime stays. */
export function withCondition(
  conditions: Conditions,
  condition: Pick<DeploymentCondition, 'type' | 'status' | 'reason' | 'message'>,
  nowMs: number,
  options: { refresh?: boolean } = {},
): Conditions {
  const present = conditionOf(conditions, condition.type);
  if (present && present.status === condition.status && present.reason === condition.reason && !options.refresh)
    return conditions;
  const now = rfc3339(nowMs);
  const lastTransitionTime = present?.status === condition.status ? (present.lastTransitionTime ?? now) : now;
  const { type, status, reason, message } = condition;
  return [
    ...conditions.filter((each) => each.type !== type),
    { type, status, lastUpdateTime: now, lastTransitionTime, reason, message },
  ];
}

export const withoutCondition = (conditions: Conditions, type: string): Conditions =>
  conditions.filter((each) => each.type !== type);

const total = (replicaSets: readonly ReplicaSet[], of: (replicaSet: ReplicaSet) => number | undefined) =>
  replicaSets.reduce((count, each) => count + (of(each) ?? 0), 0);

export interface StatusInput {
  deployment: Deployment;
  /** With the sizes that they are given now. */
  newest: ReplicaSet | undefined;
  old: readonly ReplicaSet[];
  /** As they are after what this round has found out (paused, created). */
  conditions: Conditions;
  bounds: Bounds;
  nowMs: number;
}

/** Counts and the Available condition. */
export function countedStatus({ deployment, newest, old, conditions, bounds, nowMs }: StatusInput): DeploymentStatus {
  const all = newest ? [...old, newest] : [...old];
  const desired = deployment.spec?.replicas ?? 1;
  const available = total(all, (each) => each.status?.availableReplicas);
  const isAvailable = available >= desired - bounds.maxUnavailable;
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: total(all, (each) => each.status?.replicas),
    updatedReplicas: newest?.status?.replicas ?? 0,
    readyReplicas: total(all, (each) => each.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total(all, (each) => each.spec?.replicas) - available),
    terminatingReplicas: total(all, (each) => each.status?.terminatingReplicas),
    collisionCount: deployment.status?.collisionCount,
    conditions: [
      ...withCondition(
        conditions,
        isAvailable
          ? {
              type: 'Available',
              status: 'True',
              reason: 'MinimumReplicasAvailable',
              message: 'Deployment has minimum availability.',
            }
          : {
              type: 'Available',
              status: 'False',
              reason: 'MinimumReplicasUnavailable',
              message: 'Deployment does not have minimum availability.',
            },
        nowMs,
      ),
    ],
  };
}

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const desired = deployment.spec?.replicas ?? 1;
  return (
    (status.updatedReplicas ?? 0) === desired &&
    (status.replicas ?? 0) === desired &&
    (status.availableReplicas ?? 0) === desired &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

function hasProgressed(old: DeploymentStatus, now: DeploymentStatus): boolean {
  const count = (
    status: DeploymentStatus,
    field: 'replicas' | 'updatedReplicas' | 'readyReplicas' | 'availableReplicas',
  ) => status[field] ?? 0;
  const outdated = (status: DeploymentStatus) => count(status, 'replicas') - count(status, 'updatedReplicas');
  return (
    count(now, 'updatedReplicas') > count(old, 'updatedReplicas') ||
    outdated(now) < outdated(old) ||
    count(now, 'readyReplicas') > count(old, 'readyReplicas') ||
    count(now, 'availableReplicas') > count(old, 'availableReplicas')
  );
}

/** Math.MaxInt32 stands for "no deadline", as in upstream's defaulting of older API versions. */
export const deadlineMs = (deployment: Deployment): number | undefined => {
  const seconds = deployment.spec?.progressDeadlineSeconds;
  return seconds === undefined || seconds === 2147483647 ? undefined : seconds * 1000;
};

export interface RolloutStatus {
  status: DeploymentStatus;
  /** When to look whether the deadline has passed; undefined when it does not run. */
  recheckMs: number | undefined;
}

/** countedStatus plus the Progressing and ReplicaFailure conditions of a rollout that goes on. */
export function rolloutStatus(input: StatusInput): RolloutStatus {
  const { deployment, newest, old, nowMs } = input;
  const status = countedStatus(input);
  const deadline = deadlineMs(deployment);
  let conditions: Conditions = status.conditions ?? [];
  const current = conditionOf(input.conditions, 'Progressing');
  const wasComplete =
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === 'NewReplicaSetAvailable';
  const subject = newest ? `ReplicaSet "${newest.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  if (deadline === undefined) {
    conditions = withoutCondition(conditions, 'Progressing');
  } else if (!wasComplete) {
    if (isComplete(deployment, status)) {
      const message = `${subject} has successfully progressed.`;
      conditions = withCondition(
        conditions,
        { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message },
        nowMs,
      );
    } else if (hasProgressed(deployment.status ?? {}, status)) {
      const message = `${subject} is progressing.`;
      conditions = withCondition(
        conditions,
        { type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message },
        nowMs,
        { refresh: true },
      );
    } else if (hasTimedOut(current, deadline, nowMs)) {
      const message = `${subject} has timed out progressing.`;
      conditions = withCondition(
        conditions,
        { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message },
        nowMs,
      );
    }
  }
  conditions = withReplicaFailure(conditions, newest, old);
  const next = { ...status, conditions: [...conditions] };
  return { status: next, recheckMs: recheckMs(deployment, next, deadline, nowMs) };
}

function hasTimedOut(current: DeploymentCondition | undefined, deadline: number, nowMs: number): boolean {
  if (!current || current.reason === 'NewReplicaSetAvailable') return false;
  return current.reason === 'ProgressDeadlineExceeded' || parseTime(current.lastUpdateTime) + deadline < nowMs;
}

/** The new ReplicaSet's failure, else that of any old one, is the Deployment's. */
function withReplicaFailure(
  conditions: Conditions,
  newest: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Conditions {
  const failureOf = (each: ReplicaSet | undefined) =>
    each?.status?.conditions?.find((condition) => condition.type === 'ReplicaFailure');
  const failure = failureOf(newest) ?? old.map(failureOf).find((each) => each !== undefined);
  if (!failure) return withoutCondition(conditions, 'ReplicaFailure');
  const { type, status, reason, message, lastTransitionTime } = failure;
  const present = conditionOf(conditions, 'ReplicaFailure');
  if (present?.status === status && present.reason === reason) return conditions;
  return [
    ...withoutCondition(conditions, 'ReplicaFailure'),
    { type, status, lastUpdateTime: lastTransitionTime, lastTransitionTime, reason, message },
  ];
}

function recheckMs(
  deployment: Deployment,
  status: DeploymentStatus,
  deadline: number | undefined,
  nowMs: number,
): number | undefined {
  const progressing = conditionOf(status.conditions, 'Progressing');
  if (
    deadline === undefined ||
    !progressing ||
    progressing.reason === 'ProgressDeadlineExceeded' ||
    isComplete(deployment, status)
  )
    return undefined;
  return Math.max(0, parseTime(progressing.lastUpdateTime) + deadline - nowMs) + 1_000;
}

/** As stored: zero counts left out. */
export const storedStatus = (status: DeploymentStatus): DeploymentStatus =>
  withoutZeros(status, ['terminatingReplicas']);
