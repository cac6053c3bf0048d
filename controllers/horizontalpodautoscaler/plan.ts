// What an autoscaler does now: measurements and history in; replicas, conditions and status out. Pure.
import { cpuMillis, formatQuantity, quantityFromMilli } from '../../api/quantity.ts';
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerCondition,
  HorizontalPodAutoscalerStatus,
  MetricSpec,
  MetricStatus,
} from '../../api/types/autoscaling-v2.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { rfc3339 } from '../parts/time.ts';
import { type History, limit, remember } from './limits.ts';
import {
  MetricError,
  type PodMetrics,
  replicasForAverage,
  replicasForUtilization,
  replicasForValue,
  replicasForValuePerReplica,
  type Tolerance,
} from './replicas.ts';

/** What a metric of the spec was measured as; a value is in thousandths. */
export type Reading = { pods: PodMetrics } | { value: number } | { error: string };

export interface Facts {
  autoscaler: HorizontalPodAutoscaler;
  /** The target's Scale: what it asks for, and what it has. */
  specReplicas: number;
  statusReplicas: number;
  /** Why there is none, or the pods that it selects. */
  selected: { error: { reason: string; message: string; event?: string } } | { pods: readonly Pod[] };
  /** One for each metric of the spec, in order. */
  readings: readonly Reading[];
  history: History;
  nowMs: number;
}

export interface Plan {
  /** What the target is to have, when that is not what it asks for. */
  rescale?: { replicas: number; reason: string };
  status: HorizontalPodAutoscalerStatus;
  history: History;
  warnings: { reason: string; message: string }[];
}

type Conditions = readonly HorizontalPodAutoscalerCondition[];

/** A condition keeps its time while its status is the same. */
export function withCondition(
  conditions: Conditions,
  type: string,
  status: string,
  reason: string,
  message: string,
  nowMs: number,
): HorizontalPodAutoscalerCondition[] {
  const old = conditions.find((each) => each.type === type);
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : rfc3339(nowMs);
  const next = { type, status, reason, message, ...(lastTransitionTime && { lastTransitionTime }) };
  return old ? conditions.map((each) => (each === old ? next : each)) : [...conditions, next];
}

/** Outside of its bounds, or at zero, nothing has to be measured to know what comes next. */
export function needsReadings({ spec }: HorizontalPodAutoscaler, specReplicas: number): boolean {
  const minReplicas = spec.minReplicas ?? 1;
  return specReplicas >= minReplicas && specReplicas <= spec.maxReplicas;
}

export function planScale(facts: Facts): Plan {
  const { autoscaler, specReplicas: current, nowMs } = facts;
  const { maxReplicas } = autoscaler.spec;
  const minReplicas = autoscaler.spec.minReplicas ?? 1;
  const first = facts.history.recommendations.length === 0 ? { recommended: current } : {};
  let history = remember(autoscaler, facts.history, first, nowMs);
  let conditions = [...(autoscaler.status?.conditions ?? [])];
  const set = (type: string, status: string, reason: string, message: string) => {
    conditions = withCondition(conditions, type, status, reason, message, nowMs);
  };
  set('AbleToScale', 'True', 'SucceededGetScale', "the HPA controller was able to get the target's current scale");
  const warnings: Plan['warnings'] = [];
  let currentMetrics: MetricStatus[] | undefined;
  let desired = current;
  let reason = '';
  if (current === 0 && minReplicas !== 0) {
    desired = 0;
    set(
      'ScalingActive',
      'False',
      'ScalingDisabled',
      'scaling is disabled since the replica count of the target is zero',
    );
  } else if (current > maxReplicas) {
    desired = maxReplicas;
    reason = 'Current number of replicas above Spec.MaxReplicas';
  } else if (current < minReplicas) {
    desired = minReplicas;
    reason = 'Current number of replicas below Spec.MinReplicas';
  } else {
    const measured = measure(facts);
    warnings.push(...measured.warnings);
    set('ScalingActive', ...measured.active);
    if (measured.replicas === undefined) {
      warnings.push({ reason: 'FailedComputeMetricsReplicas', message: measured.error ?? '' });
      const before = autoscaler.status?.desiredReplicas ?? 0;
      return { status: statusOf(facts, before, measured.statuses, conditions), history, warnings };
    }
    currentMetrics = measured.statuses;
    if (measured.replicas > current) reason = `${measured.metric} above target`;
    else if (measured.replicas < current) reason = 'All metrics below target';
    const verdict = limit(autoscaler, current, measured.replicas, history, nowMs);
    history = remember(autoscaler, history, { recommended: measured.replicas }, nowMs);
    set('AbleToScale', 'True', verdict.stabilized.reason, verdict.stabilized.message);
    set('ScalingLimited', verdict.limited.status, verdict.limited.reason, verdict.limited.message);
    desired = verdict.replicas;
  }
  const plan: Plan = { status: statusOf(facts, desired, currentMetrics, conditions), history, warnings };
  if (desired !== current) plan.rescale = { replicas: desired, reason };
  return plan;
}

function statusOf(
  { autoscaler, specReplicas }: Facts,
  desired: number,
  currentMetrics: MetricStatus[] | undefined,
  conditions: HorizontalPodAutoscalerCondition[],
): HorizontalPodAutoscalerStatus {
  const { lastScaleTime, observedGeneration } = autoscaler.status ?? {};
  return {
    ...(observedGeneration !== undefined && { observedGeneration }),
    ...(lastScaleTime && { lastScaleTime }),
    ...(specReplicas !== 0 && { currentReplicas: specReplicas }),
    desiredReplicas: desired,
    ...(currentMetrics && currentMetrics.length > 0 && { currentMetrics }),
    conditions,
  };
}

interface Measure {
  replicas?: number;
  metric: string;
  statuses: MetricStatus[];
  active: [status: string, reason: string, message: string];
  error?: string;
  warnings: Plan['warnings'];
}

/** The metric that asks for most counts. One that fails stops shrinking, all that fail stop everything. */
function measure(facts: Facts): Measure {
  const { selected, autoscaler, specReplicas } = facts;
  if ('error' in selected) {
    const { reason, message, event } = selected.error;
    return {
      metric: '',
      statuses: [],
      active: ['False', reason, message],
      error: event ?? message,
      warnings: [{ reason: event ? 'SelectorRequired' : reason, message: event ?? message }],
    };
  }
  const specs = autoscaler.spec.metrics ?? [];
  const statuses: MetricStatus[] = [];
  const failures: { reason: string; message: string }[] = [];
  let replicas = 0;
  let metric = '';
  for (const [index, spec] of specs.entries()) {
    try {
      const one = measureOne(facts, spec, facts.readings[index] ?? { error: 'not measured' }, selected.pods);
      statuses.push(one.status);
      if (replicas === 0 || one.replicas > replicas) {
        replicas = one.replicas;
        metric = one.metric;
      }
    } catch (error) {
      if (!(error instanceof MetricError)) throw error;
      failures.push({ reason: `FailedGet${spec.type}Metric`, message: error.message });
    }
  }
  const first = failures[0];
  const error =
    first && `invalid metrics (${failures.length} invalid out of ${specs.length}), first error is: ${first.message}`;
  if (first && (failures.length >= specs.length || replicas < specReplicas)) {
    const message = `the HPA was unable to compute the replica count: ${first.message}`;
    return {
      metric: '',
      statuses,
      active: ['False', first.reason, message],
      error: error as string,
      warnings: failures,
    };
  }
  return {
    replicas,
    metric,
    statuses,
    active: ['True', 'ValidMetricFound', `the HPA was able to successfully calculate a replica count from ${metric}`],
    ...(error && { error }),
    warnings: failures,
  };
}

interface One {
  replicas: number;
  metric: string;
  status: MetricStatus;
}

const DEFAULT_TOLERANCE = 0.1;
const toleranceOf = ({ behavior }: HorizontalPodAutoscaler['spec']): Tolerance => {
  const of = (value: string | number | undefined) =>
    value === undefined ? DEFAULT_TOLERANCE : cpuMillis(value) / 1000;
  return { up: of(behavior?.scaleUp?.tolerance), down: of(behavior?.scaleDown?.tolerance) };
};
const quantity = (millis: number) => formatQuantity(quantityFromMilli(millis));

function measureOne(facts: Facts, spec: MetricSpec, reading: Reading, pods: readonly Pod[]): One {
  const { specReplicas: currentReplicas, statusReplicas, autoscaler, nowMs } = facts;
  const tolerance = toleranceOf(autoscaler.spec);
  const common = { currentReplicas, pods, tolerance, nowMs };
  const failed = (what: string) => new MetricError(`${what}: ${(reading as { error: string }).error}`);
  switch (spec.type) {
    case 'Resource':
    case 'ContainerResource': {
      const source = spec.resource ?? spec.containerResource;
      if (!source) break;
      const { name, target } = source;
      const container = spec.containerResource?.container;
      const status = (current: object): MetricStatus =>
        container === undefined
          ? { type: 'Resource', resource: { name, current } }
          : { type: 'ContainerResource', containerResource: { name, container, current } };
      const byAverage = target.averageValue !== undefined;
      const kind = container === undefined ? 'resource metric value' : 'container metric value';
      const what = byAverage ? `failed to get ${name} ${kind}` : `failed to get ${name} utilization`;
      if (!('pods' in reading)) throw failed(what);
      const question = { ...common, metrics: reading.pods, resource: name };
      if (byAverage) {
        const { replicas, average } = explained(`failed to get ${name} usage`, () =>
          replicasForAverage({ ...question, target: cpuMillis(target.averageValue) }),
        );
        return { replicas, metric: `${name} resource`, status: status({ averageValue: quantity(average) }) };
      }
      const { replicas, percent, average } = explained(what, () =>
        replicasForUtilization({
          ...question,
          targetPercent: target.averageUtilization ?? 0,
          ...(container !== undefined && { container }),
        }),
      );
      return {
        replicas,
        metric: `${name} resource utilization (percentage of request)`,
        status: status({ averageUtilization: percent, averageValue: quantity(average) }),
      };
    }
    case 'Pods': {
      if (!spec.pods) break;
      const { metric, target } = spec.pods;
      if (!('pods' in reading)) throw failed('failed to get pods metric value');
      const { replicas, average } = explained('failed to get pods metric value', () =>
        replicasForAverage({ ...common, metrics: reading.pods, target: cpuMillis(target.averageValue) }),
      );
      return {
        replicas,
        metric: `pods metric ${metric.name}`,
        status: { type: 'Pods', pods: { metric, current: { averageValue: quantity(average) } } },
      };
    }
    case 'Object':
    case 'External': {
      const source = spec.object ?? spec.external;
      if (!source) break;
      const { metric, target } = source;
      const isObject = spec.object !== undefined;
      const what = isObject ? 'failed to get object metric value' : 'failed to get external metric ' + metric.name;
      if (!('value' in reading)) throw failed(what);
      const { value: usage } = reading;
      let replicas: number;
      let current: object;
      if (target.averageValue !== undefined) {
        const per = replicasForValuePerReplica({
          statusReplicas,
          tolerance,
          target: cpuMillis(target.averageValue),
          usage,
        });
        replicas = per.replicas;
        current = { averageValue: quantity(per.average) };
      } else {
        replicas = explained(what, () => replicasForValue({ ...common, target: cpuMillis(target.value), usage }));
        current = { value: quantity(usage) };
      }
      if (spec.object) {
        const { describedObject } = spec.object;
        return {
          replicas,
          metric: `${describedObject.kind} metric ${metric.name}`,
          status: { type: 'Object', object: { metric, describedObject, current } },
        };
      }
      return {
        replicas,
        metric: `external metric ${metric.name}(${metric.selector ? JSON.stringify(metric.selector) : 'nil'})`,
        status: { type: 'External', external: { metric, current } },
      };
    }
  }
  throw new MetricError(`unknown metric source type ${JSON.stringify(spec.type)}`);
}

function explained<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof MetricError) throw new MetricError(`${what}: ${error.message}`);
    throw error;
  }
}
