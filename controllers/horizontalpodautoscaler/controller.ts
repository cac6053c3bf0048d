// Scales what HorizontalPodAutoscalers name, every 15 seconds: reads the target's Scale and its metrics, plans, writes the
// Scale and the status. Recommendations and changes of the last minutes are kept in memory only, as upstream.
import { deepEqual } from '../../api/equality.ts';
import { horizontalPodAutoscaler as autoscalerKind } from '../../api/kinds/horizontal-pod-autoscaler.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { type KubeObject, keyOf, parseApiVersion } from '../../api/object.ts';
import { parseLabelSelector, type Selector } from '../../api/selectors.ts';
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus } from '../../api/types/autoscaling-v2.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { createWorkQueue, isConflict, type ReconcileResult, runController } from '../../client/index.ts';
import { pathOf } from '../../client/paths.ts';
import type { ControllersContext } from '../context.ts';
import { messageOf } from '../parts/pod-control.ts';
import { rfc3339 } from '../parts/time.ts';
import { type History, NO_HISTORY, remember } from './limits.ts';
import { read } from './metrics.ts';
import { type Facts, needsReadings, planScale, withCondition } from './plan.ts';

const PERIOD_MS = 15_000;

interface Scale extends KubeObject {
  spec?: { replicas?: number };
  status?: { replicas: number; selector?: string };
}

export function runHorizontalPodAutoscaler(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const name = 'horizontalpodautoscaler';
  const { client, clock, random, informers, scheme } = context;
  const events = context.events.withSource?.('horizontal-pod-autoscaler') ?? context.events;
  const log = context.log.child({ controller: name });
  const autoscalers = informers.of<HorizontalPodAutoscaler>(autoscalerKind);
  const pods = informers.of<Pod>(podKind);
  const queue = createWorkQueue({ clock, random });
  const histories = new Map<string, History>();
  /** The selectors of the targets, by autoscaler: two that share pods would fight. */
  const selectors = new Map<string, { namespace: string; selector: Selector }>();
  autoscalers.addHandler({
    onAdd: (each) => queue.add(keyOf(each)),
    // Its own status is no reason to look again before time.
    onUpdate: (each, old) => void (deepEqual(each.spec, old.spec) || queue.add(keyOf(each))),
    onDelete(each) {
      histories.delete(keyOf(each));
      selectors.delete(keyOf(each));
    },
  });

  async function writeStatus(autoscaler: HorizontalPodAutoscaler, status: HorizontalPodAutoscalerStatus) {
    if (deepEqual(status, autoscaler.status)) return;
    const resource = client.resource<HorizontalPodAutoscaler>(autoscalerKind, autoscaler.metadata.namespace);
    await resource.update({ ...autoscaler, status }, { subresource: 'status' });
  }

  const withConditionOf = (
    autoscaler: HorizontalPodAutoscaler,
    status: HorizontalPodAutoscalerStatus | undefined,
    reason: string,
    message: string,
  ): HorizontalPodAutoscalerStatus => ({
    desiredReplicas: 0,
    ...status,
    conditions: withCondition(status?.conditions ?? [], 'AbleToScale', 'False', reason, message, clock.now()),
  });

  /** The path of the target's Scale. Throws what is wrong with the reference. */
  function scalePath({ spec, metadata }: HorizontalPodAutoscaler): string {
    const { apiVersion = '', kind: kindName, name: target } = spec.scaleTargetRef;
    const parsed = parseApiVersion(apiVersion);
    if (!parsed)
      throw new Error(`invalid API version in scale target reference: unexpected GroupVersion string: ${apiVersion}`);
    const kind = scheme.byKind(parsed.group, parsed.version, kindName) ?? scheme.byGroupKind(parsed.group, kindName);
    if (!kind)
      throw new Error(
        `unable to determine resource for scale target reference: no matches for kind ${JSON.stringify(kindName)} in group ${JSON.stringify(parsed.group)}`,
      );
    return pathOf(kind, metadata.namespace, target, 'scale');
  }

  function select(key: string, namespace: string, text: string | undefined): Facts['selected'] {
    if (!text) {
      const message = "the HPA target's scale is missing a selector";
      return { error: { reason: 'InvalidSelector', message, event: 'selector is required' } };
    }
    let selector: Selector;
    try {
      selector = parseLabelSelector(text);
    } catch (error) {
      const message = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`;
      return { error: { reason: 'InvalidSelector', message } };
    }
    selectors.set(key, { namespace, selector });
    const found = pods.list(namespace).filter((pod) => selector.matches(pod.metadata.labels));
    const rivals = [...selectors].filter(
      ([other, its]) =>
        other === key ||
        (its.namespace === namespace && found.some((pod) => its.selector.matches(pod.metadata.labels))),
    );
    if (rivals.length > 1 && found.length > 0) {
      const names = rivals.map(([other]) => other).sort();
      const message = `pods by selector ${text} are controlled by multiple HPAs: [${names.join(' ')}]`;
      return { error: { reason: 'AmbiguousSelector', message } };
    }
    return { pods: found };
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const autoscaler = autoscalers.get(key);
    if (!autoscaler) return;
    const namespace = autoscaler.metadata.namespace as string;
    let path: string;
    let scale: Scale;
    try {
      path = scalePath(autoscaler);
      scale = await client.request<Scale>('GET', path);
    } catch (error) {
      const message = messageOf(error);
      events.event(autoscaler, 'Warning', 'FailedGetScale', message);
      const told = `the HPA controller was unable to get the target's current scale: ${message}`;
      await writeStatus(autoscaler, withConditionOf(autoscaler, autoscaler.status, 'FailedGetScale', told));
      return { requeueAfterMs: PERIOD_MS };
    }
    const specReplicas = scale.spec?.replicas ?? 0;
    const selector = scale.status?.selector;
    const selected = select(key, namespace, selector);
    const where = { client, scheme, namespace, selector: selector ?? '' };
    const isMeasured = 'pods' in selected && needsReadings(autoscaler, specReplicas);
    const readings = isMeasured
      ? await Promise.all((autoscaler.spec.metrics ?? []).map((spec) => read(spec, where)))
      : [];
    const nowMs = clock.now();
    const plan = planScale({
      autoscaler,
      specReplicas,
      statusReplicas: scale.status?.replicas ?? 0,
      selected,
      readings,
      history: histories.get(key) ?? NO_HISTORY,
      nowMs,
    });
    histories.set(key, plan.history);
    for (const { reason, message } of plan.warnings) events.event(autoscaler, 'Warning', reason, message);
    if (!plan.rescale) {
      await writeStatus(autoscaler, plan.status);
      return { requeueAfterMs: PERIOD_MS };
    }
    const { replicas, reason } = plan.rescale;
    const size = `New size: ${replicas}; reason: ${reason}`;
    try {
      await client.request('PUT', path, { ...scale, spec: { ...scale.spec, replicas } });
    } catch (error) {
      // Somebody wrote the target since: it is looked at again, with the back-off of any conflict.
      if (isConflict(error)) throw error;
      const message = messageOf(error);
      events.event(autoscaler, 'Warning', 'FailedRescale', `${size}; error: ${message}`);
      const told = `the HPA controller was unable to update the target scale: ${message}`;
      const { desiredReplicas = 0 } = autoscaler.status ?? {};
      await writeStatus(
        autoscaler,
        withConditionOf(autoscaler, { ...plan.status, desiredReplicas }, 'FailedUpdateScale', told),
      );
      return { requeueAfterMs: PERIOD_MS };
    }
    events.event(autoscaler, 'Normal', 'SuccessfulRescale', size);
    histories.set(key, remember(autoscaler, plan.history, { change: replicas - specReplicas }, nowMs));
    const told = `the HPA controller was able to update the target scale to ${replicas}`;
    await writeStatus(autoscaler, {
      ...plan.status,
      lastScaleTime: rfc3339(nowMs),
      conditions: withCondition(plan.status.conditions ?? [], 'AbleToScale', 'True', 'SucceededRescale', told, nowMs),
    });
    return { requeueAfterMs: PERIOD_MS };
  }

  return runController({ name, queue, reconcile, workers: 5, informers: [autoscalers, pods], log }, signal);
}
