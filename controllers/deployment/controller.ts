// Carries out deployment/plan.ts: one ReplicaSet per pod template, the next one up as the last one goes down.
import { deepEqual } from '../../api/equality.ts';
import { ApiError } from '../../api/errors.ts';
import { deployment as deploymentKind } from '../../api/kinds/deployment.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import { keyOf } from '../../api/object.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { Deployment, DeploymentStatus, ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import {
  createWorkQueue,
  isAlreadyExists,
  isNamespaceTerminating,
  isNotFound,
  type ReconcileResult,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import {
  claim,
  controlledBy,
  controllerOf,
  controllerReference,
  indexByController,
  settleClaims,
} from '../parts/owners.ts';
import { revisionAnnotation } from './annotations.ts';
import { planDeployment, type Resize } from './plan.ts';
import { deadlineMs, storedStatus, withCondition } from './status.ts';
import { sameTemplate } from './template.ts';

export function runDeploymentController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('deployment-controller') ?? context.events;
  const log = context.log.child({ controller: 'deployment' });
  const deployments = informers.of<Deployment>(deploymentKind);
  const replicaSets = informers.of<ReplicaSet>(replicaSetKind);
  const pods = informers.of<Pod>(podKind);
  const queue = createWorkQueue({ clock, random });
  indexByController(replicaSets);
  indexByController(pods);

  deployments.addHandler({
    onAdd: (deployment) => queue.add(keyOf(deployment)),
    onUpdate: (deployment) => queue.add(keyOf(deployment)),
    onDelete: (deployment) => queue.add(keyOf(deployment)),
  });
  replicaSets.addHandler({
    onAdd: wake,
    onUpdate(replicaSet, old) {
      wake(replicaSet);
      if (controllerOf(old)?.uid !== controllerOf(replicaSet)?.uid) wake(old);
    },
    onDelete: wake,
  });
  pods.addHandler({ onUpdate: wakeRecreate, onDelete: wakeRecreate });

  function wake(replicaSet: ReplicaSet): void {
    const owner = controllerOf(replicaSet);
    if (owner) {
      if (owner.kind === deploymentKind.kind) queue.add(`${replicaSet.metadata.namespace}/${owner.name}`);
      return;
    }
    for (const deployment of deployments.list(replicaSet.metadata.namespace)) {
      if (selectorFromObject(deployment.spec?.selector).matches(replicaSet.metadata.labels))
        queue.add(keyOf(deployment));
    }
  }

  /** Recreate waits until the last old pod is gone. */
  function wakeRecreate(pod: Pod): void {
    const owner = controllerOf(pod);
    const replicaSet = owner && replicaSets.get(`${pod.metadata.namespace}/${owner.name}`);
    const parent = replicaSet && controllerOf(replicaSet);
    const deployment = parent && deployments.get(`${pod.metadata.namespace}/${parent.name}`);
    if (deployment?.spec?.strategy?.type === 'Recreate') queue.add(keyOf(deployment));
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const deployment = deployments.get(key);
    if (!deployment) return;
    const selector = selectorFromObject(deployment.spec?.selector);
    if (selector.everything) {
      events.event(
        deployment,
        'Warning',
        'SelectingAll',
        'This deployment is selecting all pods. A non-empty selector is required.',
      );
      return;
    }
    const claims = claim(replicaSets, deployment, selector);
    const owned = await settleClaims(client, deploymentKind, deployment, replicaSetKind, claims);
    const plan = planDeployment({
      deployment,
      replicaSets: owned,
      podsOf: (replicaSet) => controlledBy(pods, replicaSet.metadata.uid as string),
      nowMs: clock.now(),
    });
    const sets = client.resource<ReplicaSet>(replicaSetKind, deployment.metadata.namespace);
    if (plan.create && !(await create(deployment, plan.create))) return;
    for (const resize of plan.update) {
      await sets.update(resize.after);
      announce(deployment, resize);
    }
    await writeBack(deployment, plan.status, plan.revision);
    for (const replicaSet of plan.remove) {
      const { name, uid, resourceVersion } = replicaSet.metadata;
      try {
        await sets.delete(name as string, { preconditions: { uid, resourceVersion } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs };
  }

  function announce(deployment: Deployment, { before, after }: Resize): void {
    const from = before.spec?.replicas ?? 0;
    const to = after.spec?.replicas ?? 0;
    if (from === to) return;
    const message = `Scaled ${to > from ? 'up' : 'down'} replica set ${after.metadata.name} from ${from} to ${to}`;
    events.event(deployment, 'Normal', 'ScalingReplicaSet', message);
  }

  /** False when there is nothing more to do now: the cache was behind, or the name belongs to another template. */
  async function create(deployment: Deployment, replicaSet: ReplicaSet): Promise<boolean> {
    const sets = client.resource<ReplicaSet>(replicaSetKind, deployment.metadata.namespace);
    const name = replicaSet.metadata.name as string;
    const ownerReferences = [controllerReference(deploymentKind, deployment)];
    try {
      await sets.create({ ...replicaSet, metadata: { ...replicaSet.metadata, ownerReferences } });
    } catch (error) {
      if (isNamespaceTerminating(error)) return false;
      if (isAlreadyExists(error)) {
        const present = await sets.get(name);
        const isOurs =
          controllerOf(present)?.uid === deployment.metadata.uid &&
          sameTemplate(present.spec?.template, replicaSet.spec?.template);
        if (isOurs) return false; // its add event wakes us
        const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
        log.info(
          { deployment: keyOf(deployment), replicaSet: name, collisionCount },
          'hash collision: another hash is used',
        );
        await writeBack(deployment, { ...deployment.status, collisionCount }, undefined);
        return false;
      }
      await noteFailedCreate(deployment, name, error);
      throw error;
    }
    const replicas = replicaSet.spec?.replicas ?? 0;
    if (replicas > 0)
      events.event(deployment, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicas}`);
    return true;
  }

  async function noteFailedCreate(deployment: Deployment, name: string, error: unknown): Promise<void> {
    const message = `Failed to create new replica set "${name}": ${error instanceof Error ? error.message : String(error)}`;
    if (!(error instanceof ApiError)) return; // the server is away: it could not take the condition either
    events.event(deployment, 'Warning', 'ReplicaSetCreateError', message);
    if (deadlineMs(deployment) === undefined) return;
    const condition = { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message };
    const conditions = [...withCondition(deployment.status?.conditions ?? [], condition, clock.now())];
    await writeBack(deployment, { ...deployment.status, conditions }, undefined);
  }

  /**
   * Status and revision in one write: annotations pass through the status subresource, and there do not count as a new
   * generation. The resourceVersion is the one the plan was made from: a plan from a stale cache is refused and made again.
   */
  async function writeBack(
    deployment: Deployment,
    status: DeploymentStatus,
    revision: string | undefined,
  ): Promise<void> {
    const next = storedStatus(status);
    if (revision === undefined && deepEqual(next, deployment.status ?? {})) return;
    const metadata = { ...deployment.metadata };
    if (revision !== undefined) metadata.annotations = { ...metadata.annotations, [revisionAnnotation]: revision };
    const resource = client.resource<Deployment>(deploymentKind, metadata.namespace);
    await resource.update({ ...deployment, metadata, status: next }, { subresource: 'status' });
  }

  return runController(
    { name: 'deployment', queue, reconcile, workers: 4, informers: [deployments, replicaSets, pods], log },
    signal,
  );
}
