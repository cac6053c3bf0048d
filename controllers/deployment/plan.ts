// What a Deployment needs next, as one value: a ReplicaSet to create, ReplicaSets to resize or relabel, ReplicaSets of the
// past to delete, the status. Pure; the controller only carries it out.
import { isPodTerminal } from '../../api/pod-conditions.ts';
import { deepEqual } from '../../api/equality.ts';
import type { Deployment, DeploymentStatus, ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { parseTime } from '../parts/time.ts';
import { annotatedCount, annotationsOfNew, revisionAnnotation, revisionOf, withCounts } from './annotations.ts';
import { type Bounds, rollingBounds } from './bounds.ts';
import { growNew, scaleInProportion, shrinkOld, type Size, totalReplicas } from './scaling.ts';
import {
  type Conditions,
  conditionOf,
  countedStatus,
  deadlineMs,
  isComplete,
  rolloutStatus,
  storedStatus,
  withCondition,
} from './status.ts';
import { byCreation, findNew, hashLabel, templateHash } from './template.ts';

export interface DeploymentInput {
  deployment: Deployment;
  /** Those it controls. */
  replicaSets: readonly ReplicaSet[];
  /** Pods of those ReplicaSets; only Recreate looks at them. */
  podsOf(replicaSet: ReplicaSet): readonly Pod[];
  nowMs: number;
}

export interface Resize {
  before: ReplicaSet;
  after: ReplicaSet;
}

export interface DeploymentPlan {
  /** Without owner reference: the controller adds it. */
  create?: ReplicaSet;
  update: Resize[];
  remove: ReplicaSet[];
  /** The Deployment's revision annotation, when it must change. */
  revision?: string;
  status: DeploymentStatus;
  recheckMs: number | undefined;
}

/** The state that a plan is worked out on: ReplicaSets as they shall be, beside what they are. */
class Draft {
  readonly deployment: Deployment;
  readonly desired: number;
  readonly bounds: Bounds;
  readonly nowMs: number;
  newest: ReplicaSet | undefined;
  readonly old: ReplicaSet[];
  readonly before: ReadonlyMap<string, ReplicaSet>;
  conditions: Conditions;
  created: ReplicaSet | undefined;
  revision: string | undefined;

  constructor({ deployment, replicaSets, nowMs }: DeploymentInput) {
    this.deployment = deployment;
    this.desired = deployment.spec?.replicas ?? 1;
    this.bounds = rollingBounds(deployment);
    this.nowMs = nowMs;
    this.newest = findNew(deployment, replicaSets);
    this.old = replicaSets.filter((each) => each !== this.newest).sort(byCreation);
    this.before = new Map(replicaSets.map((each) => [each.metadata.name as string, each]));
    this.conditions = deployment.status?.conditions ?? [];
  }

  get all(): ReplicaSet[] {
    return this.newest ? [...this.old, this.newest] : [...this.old];
  }

  replace(replicaSet: ReplicaSet): void {
    const { name } = replicaSet.metadata;
    if (this.newest?.metadata.name === name) this.newest = replicaSet;
    else
      this.old.splice(
        this.old.findIndex((each) => each.metadata.name === name),
        1,
        replicaSet,
      );
  }

  /** Gives a ReplicaSet its size and notes the size of the whole on it. */
  resize(replicaSet: ReplicaSet, replicas: number): void {
    const annotations = withCounts(
      replicaSet.metadata.annotations ?? {},
      this.desired,
      this.desired + this.bounds.maxSurge,
    );
    this.replace({
      ...replicaSet,
      metadata: { ...replicaSet.metadata, annotations },
      spec: { ...(replicaSet.spec as NonNullable<ReplicaSet['spec']>), replicas },
    });
  }

  /** True when a size differs from what is stored. */
  get isScaling(): boolean {
    return this.all.some((each) => {
      const before = this.before.get(each.metadata.name as string);
      return before !== undefined && before.spec?.replicas !== each.spec?.replicas;
    });
  }
}

export function planDeployment(input: DeploymentInput): DeploymentPlan {
  const draft = new Draft(input);
  const { deployment } = input;
  if (deployment.metadata.deletionTimestamp) return finish(draft, { rollout: false });
  notePaused(draft);
  if (deployment.spec?.paused) {
    syncRevision(draft, false);
    scale(draft);
    return finish(draft, { rollout: false, cleanUp: true });
  }
  if (isScalingEvent(draft)) {
    syncRevision(draft, false);
    scale(draft);
    return finish(draft, { rollout: false });
  }
  if (deployment.spec?.strategy?.type === 'Recreate') recreate(draft, input);
  else rollOver(draft);
  return finish(draft, { rollout: true });
}

/** Pausing stops the deadline, resuming starts it anew. */
function notePaused(draft: Draft): void {
  if (deadlineMs(draft.deployment) === undefined) return;
  const current = conditionOf(draft.conditions, 'Progressing');
  if (current?.reason === 'ProgressDeadlineExceeded') return;
  const isPaused = draft.deployment.spec?.paused === true;
  const wasPaused = current?.reason === 'DeploymentPaused';
  if (isPaused && !wasPaused) {
    draft.conditions = withCondition(
      draft.conditions,
      { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' },
      draft.nowMs,
    );
  } else if (!isPaused && wasPaused) {
    draft.conditions = withCondition(
      draft.conditions,
      { type: 'Progressing', status: 'Unknown', reason: 'DeploymentResumed', message: 'Deployment is resumed' },
      draft.nowMs,
    );
  }
}

/** spec.replicas changed since the ReplicaSets were last sized. In the middle of Recreate the old ones just end. */
function isScalingEvent(draft: Draft): boolean {
  const active = draft.all.filter((each) => (each.spec?.replicas ?? 0) > 0);
  if (draft.deployment.spec?.strategy?.type === 'Recreate' && active.length > 1) return false;
  return draft.all.some((each) => {
    if ((each.spec?.replicas ?? 0) === 0) return false;
    const desired = annotatedCount(each, 'desired');
    return desired !== undefined && desired !== draft.desired;
  });
}

/** Finds or creates the ReplicaSet of the present template and keeps revision numbers right. */
function syncRevision(draft: Draft, mayCreate: boolean): void {
  const { deployment, nowMs } = draft;
  const revision = Math.max(0, ...draft.old.map(revisionOf)) + 1;
  if (draft.newest) {
    const { newest } = draft;
    const annotations = annotationsOfNew(deployment, newest.metadata.annotations ?? {}, revision);
    const minReadySeconds = deployment.spec?.minReadySeconds;
    draft.newest = {
      ...newest,
      metadata: { ...newest.metadata, annotations },
      spec: {
        ...(newest.spec as NonNullable<ReplicaSet['spec']>),
        ...((newest.spec?.minReadySeconds ?? 0) !== (minReadySeconds ?? 0) && { minReadySeconds }),
      },
    };
    draft.revision = annotations[revisionAnnotation];
    if (deadlineMs(deployment) !== undefined && !conditionOf(draft.conditions, 'Progressing')) {
      const message = `Found new replica set "${newest.metadata.name}"`;
      draft.conditions = withCondition(
        draft.conditions,
        { type: 'Progressing', status: 'True', reason: 'FoundNewReplicaSet', message },
        nowMs,
      );
    }
    return;
  }
  if (!mayCreate) return;
  const created = newReplicaSet(draft, revision);
  draft.newest = created;
  draft.created = created;
  draft.revision = String(revision);
  if (deadlineMs(deployment) !== undefined) {
    const message = `Created new replica set "${created.metadata.name}"`;
    draft.conditions = withCondition(
      draft.conditions,
      { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message },
      nowMs,
    );
  }
}

function newReplicaSet(draft: Draft, revision: number): ReplicaSet {
  const { deployment, desired, bounds } = draft;
  const spec = deployment.spec as NonNullable<Deployment['spec']>;
  const hash = templateHash(spec.template, deployment.status?.collisionCount ?? 0);
  const labels = { ...spec.template.metadata?.labels, [hashLabel]: hash };
  const size: Size = { name: '', replicas: 0, available: 0, annotatedMax: undefined, createdMs: draft.nowMs };
  if (spec.strategy?.type === 'Recreate') size.replicas = desired;
  else growNew(size, draft.old.map(sizeOf), desired, bounds);
  return {
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: withCounts(annotationsOfNew(deployment, {}, revision), desired, desired + bounds.maxSurge),
    },
    spec: {
      replicas: size.replicas,
      ...(spec.minReadySeconds && { minReadySeconds: spec.minReadySeconds }),
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [hashLabel]: hash } },
      template: { ...spec.template, metadata: { ...spec.template.metadata, labels } },
    },
  };
}

const sizeOf = (replicaSet: ReplicaSet): Size => ({
  name: replicaSet.metadata.name as string,
  replicas: replicaSet.spec?.replicas ?? 0,
  available: replicaSet.status?.availableReplicas ?? 0,
  annotatedMax: annotatedCount(replicaSet, 'max'),
  createdMs: parseTime(replicaSet.metadata.creationTimestamp),
});

/** spec.replicas changed, or the Deployment is paused: sizes follow, the mix of revisions stays. */
function scale(draft: Draft): void {
  const active = draft.all.filter((each) => (each.spec?.replicas ?? 0) > 0);
  if (active.length <= 1) {
    const only = active[0] ?? draft.newest ?? draft.old.at(-1);
    if (only) draft.resize(only, draft.desired);
    return;
  }
  if (draft.newest && isSaturated(draft, draft.newest)) {
    for (const each of draft.old) if ((each.spec?.replicas ?? 0) > 0) draft.resize(each, 0);
    return;
  }
  if (draft.deployment.spec?.strategy?.type === 'Recreate') return;
  const sizes = draft.all.map(sizeOf);
  scaleInProportion(sizes, draft.desired, draft.bounds, draft.deployment.status?.replicas ?? 0);
  for (const each of active) {
    const size = sizes.find((found) => found.name === each.metadata.name);
    if (size) draft.resize(each, size.replicas);
  }
}

const isSaturated = (draft: Draft, replicaSet: ReplicaSet) =>
  replicaSet.spec?.replicas === draft.desired &&
  annotatedCount(replicaSet, 'desired') === draft.desired &&
  (replicaSet.status?.availableReplicas ?? 0) === draft.desired;

/** RollingUpdate: one step up, or, when there is no room for it, one step down. */
function rollOver(draft: Draft): void {
  syncRevision(draft, true);
  const newest = draft.newest as ReplicaSet;
  const others = draft.old.map(sizeOf);
  const size = sizeOf(newest);
  if (!draft.created) {
    growNew(size, others, draft.desired, draft.bounds);
    if (size.replicas !== newest.spec?.replicas) return draft.resize(newest, size.replicas);
  }
  if (totalReplicas(others) === 0) return;
  shrinkOld(size, others, draft.desired, draft.bounds);
  for (const [i, each] of [...draft.old].entries()) {
    const { replicas } = others[i] as Size;
    if (replicas !== each.spec?.replicas) draft.resize(each, replicas);
  }
}

/** Recreate: all old pods end before the first new one starts. */
function recreate(draft: Draft, { podsOf }: DeploymentInput): void {
  syncRevision(draft, false);
  const active = draft.old.filter((each) => (each.spec?.replicas ?? 0) > 0);
  for (const each of active) draft.resize(each, 0);
  if (active.length > 0) return;
  if (draft.old.some((each) => podsOf(each).some((pod) => !isPodTerminal(pod)))) return;
  if (!draft.newest) syncRevision(draft, true);
  else if (draft.newest.spec?.replicas !== draft.desired) draft.resize(draft.newest, draft.desired);
}

function finish(draft: Draft, { rollout, cleanUp = false }: { rollout: boolean; cleanUp?: boolean }): DeploymentPlan {
  const { deployment, newest, old, conditions, bounds, nowMs } = draft;
  const statusInput = { deployment, newest, old, conditions, bounds, nowMs };
  const { status, recheckMs } = rollout
    ? rolloutStatus(statusInput)
    : { status: countedStatus(statusInput), recheckMs: undefined };
  const isDone = cleanUp || (rollout && !draft.isScaling && !draft.created && isComplete(deployment, status));
  const update: Resize[] = [];
  for (const after of draft.all) {
    const before = draft.before.get(after.metadata.name as string);
    if (before && !deepEqual(before, after)) update.push({ before, after });
  }
  return {
    ...(draft.created && { create: draft.created }),
    update,
    remove: isDone ? pastLimit(draft) : [],
    ...(draft.revision !== undefined &&
      draft.revision !== deployment.metadata.annotations?.[revisionAnnotation] && { revision: draft.revision }),
    status: storedStatus(status),
    recheckMs,
  };
}

/** Old ReplicaSets above revisionHistoryLimit that nothing depends on any more, the oldest revisions first. */
function pastLimit(draft: Draft): ReplicaSet[] {
  const limit = draft.deployment.spec?.revisionHistoryLimit;
  if (limit === undefined) return [];
  const alive = draft.old.filter((each) => !each.metadata.deletionTimestamp);
  const surplus = alive.length - limit;
  if (surplus <= 0) return [];
  return alive
    .sort((a, b) => revisionOf(a) - revisionOf(b) || byCreation(a, b))
    .slice(0, surplus)
    .filter(
      (each) =>
        (each.status?.replicas ?? 0) === 0 &&
        (each.spec?.replicas ?? 0) === 0 &&
        (each.metadata.generation ?? 0) <= (each.status?.observedGeneration ?? 0),
    );
}
