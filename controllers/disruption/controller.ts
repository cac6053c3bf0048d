// Keeps the status of PodDisruptionBudgets, which evictions are granted from.
import { pod as podKind } from '../../api/kinds/pod.ts';
import { podDisruptionBudget as budgetKind } from '../../api/kinds/pod-disruption-budget.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import { apiVersionOf, groupResource, type KubeObject, keyOf, parseApiVersion } from '../../api/object.ts';
import { podCondition, withPodCondition } from '../../api/pod-conditions.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Scale as ScaleObject } from '../../api/types/autoscaling-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../api/types/policy-v1.ts';
import { createWorkQueue, isConflict, isNotFound, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { controllerOf } from '../parts/owners.ts';
import { rfc3339 } from '../parts/time.ts';
import { countsOf, failedStatus, needsScales, planBudget, type Scale } from './plan.ts';

/** A pod that was marked for disruption and is still running after this was not disrupted. */
const STALE_MS = 120_000;
const byNamespace = 'in-namespace';

export function runDisruptionController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers, scheme } = context;
  const events = context.events.withSource?.('controllermanager') ?? context.events;
  const log = context.log.child({ controller: 'disruption' });
  const queue = createWorkQueue({ clock, random });
  const stale = createWorkQueue({ clock, random });
  const budgets = informers.of<PodDisruptionBudget>(budgetKind);
  const pods = informers.of<Pod>(podKind);
  const replicaSets = informers.of<ReplicaSet>(replicaSetKind);
  budgets.addIndex(byNamespace, (budget) => [budget.metadata.namespace ?? '']);
  pods.addIndex(byNamespace, (pod) => [pod.metadata.namespace ?? '']);

  const selects = (budget: PodDisruptionBudget, pod: Pod) =>
    selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels ?? {});
  const wake = (pod: Pod) => {
    for (const budget of budgets.byIndex(byNamespace, pod.metadata.namespace ?? '')) {
      if (selects(budget, pod)) queue.add(keyOf(budget));
    }
    const marked = podCondition(pod, 'DisruptionTarget');
    if (isStaleMark(pod)) {
      const sinceMs = Date.parse(marked?.lastTransitionTime ?? '') || clock.now();
      stale.addAfter(keyOf(pod), Math.max(0, sinceMs + STALE_MS - clock.now()));
    }
  };
  budgets.addHandler({ onAdd: (budget) => queue.add(keyOf(budget)), onUpdate: (budget) => queue.add(keyOf(budget)) });
  pods.addHandler({
    onAdd: wake,
    onUpdate(pod, old) {
      wake(old);
      wake(pod);
    },
    onDelete: wake,
  });
  // What a controller is meant to have is part of the sum.
  replicaSets.addHandler({
    onUpdate(replicaSet, old) {
      if (replicaSet.spec?.replicas === old.spec?.replicas) return;
      for (const budget of budgets.byIndex(byNamespace, replicaSet.metadata.namespace ?? '')) {
        if (needsScales(budget)) queue.add(keyOf(budget));
      }
    },
  });

  async function scaleOf(pod: Pod): Promise<Scale> {
    let owner = controllerOf(pod);
    if (!owner) return { kind: 'unmanaged' };
    const { namespace } = pod.metadata;
    if (owner.kind === 'ReplicaSet') {
      const replicaSet = replicaSets.get(`${namespace}/${owner.name}`);
      // A ReplicaSet of a Deployment is one of several; together they have what the Deployment is meant to.
      const above = replicaSet && controllerOf(replicaSet);
      if (above?.kind === 'Deployment') owner = above;
    }
    return readScale(owner, namespace as string, pod);
  }

  async function readScale(owner: OwnerReference, namespace: string, pod: Pod): Promise<Scale> {
    const { group, version } = parseApiVersion(owner.apiVersion) ?? { group: '', version: '' };
    const kind = scheme.byKind(group, version, owner.kind) ?? scheme.byGroupKind(group, owner.kind);
    const none = { kind: 'unknown', why: `found no controllers for pod ${JSON.stringify(pod.metadata.name)}` } as const;
    if (!kind) return none;
    if (!kind.scale) return { kind: 'unknown', why: `${groupResource(kind)} does not implement the scale subresource` };
    const prefix = kind.group === '' ? '/api/v1' : `/apis/${apiVersionOf(kind)}`;
    try {
      const scale = await client.request<ScaleObject>(
        'GET',
        `${prefix}/namespaces/${namespace}/${kind.resource}/${owner.name}/scale`,
      );
      if (scale.metadata?.uid !== owner.uid) return none;
      return { kind: 'scale', uid: owner.uid, replicas: scale.spec?.replicas ?? 0 };
    } catch (error) {
      if (isNotFound(error)) return none;
      throw error;
    }
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const budget = budgets.get(key);
    if (!budget) return;
    const selected = pods.byIndex(byNamespace, budget.metadata.namespace ?? '').filter((pod) => selects(budget, pod));
    if (selected.length === 0 && !budget.status?.conditions?.length) {
      events.event(budget as KubeObject, 'Normal', 'NoPods', 'No matching pods found');
    }
    const scales = needsScales(budget) ? await allScales(selected) : [];
    const outcome = countsOf(budget, selected, scales);
    if (!outcome.ok) {
      events.event(
        budget as KubeObject,
        'Warning',
        'CalculateExpectedPodCountFailed',
        `Failed to calculate the number of expected pods: ${outcome.message}`,
      );
      await write(budget, failedStatus(budget, outcome.message, clock.now()));
      return;
    }
    if (outcome.hasUnmanaged) {
      events.event(
        budget as KubeObject,
        'Warning',
        'UnmanagedPods',
        'Pods selected by this PodDisruptionBudget were found to be unmanaged: its status cannot be calculated correctly. To account for these pods please set ".spec.minAvailable" to an integer.',
      );
    }
    const nowMs = clock.now();
    const plan = planBudget(budget, selected, outcome.counts, nowMs);
    await write(budget, plan.status);
    return plan.recheckAtMs === undefined ? undefined : { requeueAfterMs: plan.recheckAtMs - nowMs };
  }

  /** One question per controller, however many pods it has. */
  async function allScales(selected: readonly Pod[]): Promise<Scale[]> {
    const asked = new Map<string, Promise<Scale>>();
    return Promise.all(
      selected.map((pod) => {
        const owner = controllerOf(pod)?.uid;
        if (owner === undefined) return { kind: 'unmanaged' } as const;
        let scale = asked.get(owner);
        if (!scale) asked.set(owner, (scale = scaleOf(pod)));
        return scale;
      }),
    );
  }

  async function write(budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus | undefined): Promise<void> {
    if (!status) return;
    try {
      await client
        .resource<PodDisruptionBudget>(budgetKind, budget.metadata.namespace)
        .update({ ...budget, status }, { subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Takes back a mark that nothing followed. */
  async function reconcileMark(key: string): Promise<ReconcileResult> {
    const pod = pods.get(key);
    if (!pod || !isStaleMark(pod)) return;
    const nowMs = clock.now();
    const sinceMs = Date.parse(podCondition(pod, 'DisruptionTarget')?.lastTransitionTime ?? '') || 0;
    if (sinceMs + STALE_MS > nowMs) return { requeueAfterMs: sinceMs + STALE_MS - nowMs };
    const condition = { type: 'DisruptionTarget', status: 'False', lastTransitionTime: rfc3339(nowMs) };
    const { conditions } = withPodCondition(pod.status?.conditions, condition);
    try {
      await client
        .resource<Pod>(podKind, pod.metadata.namespace)
        .update({ ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  const shared = { informers: [budgets, pods, replicaSets], log };
  return Promise.all([
    runController({ name: 'disruption', queue, reconcile, workers: 4, ...shared }, signal),
    runController({ name: 'disruption-marks', queue: stale, reconcile: reconcileMark, workers: 2, ...shared }, signal),
  ]).then(() => {});
}

function isStaleMark(pod: Pod): boolean {
  const { phase } = pod.status ?? {};
  if (pod.metadata.deletionTimestamp || phase === 'Failed' || phase === 'Succeeded') return false;
  const mark = podCondition(pod, 'DisruptionTarget');
  return mark?.status === 'True' && mark.reason !== 'TerminationByKubelet';
}
