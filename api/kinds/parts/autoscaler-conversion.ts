// Autoscalers of v1 and v2 into each other, as upstream does it (k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go):
// v1 has fields for CPU alone, so that everything else is written into annotations, in the forms that v1 had for it once.
import type * as v1 from '../../types/autoscaling-v1.ts';
import type * as v2 from '../../types/autoscaling-v2.ts';
import type { KubeObject } from '../../object.ts';

const PREFIX = 'autoscaling.alpha.kubernetes.io/';
export const METRICS_ANNOTATION = `${PREFIX}metrics`;
const CURRENT_ANNOTATION = `${PREFIX}current-metrics`;
const CONDITIONS_ANNOTATION = `${PREFIX}conditions`;
const BEHAVIOR_ANNOTATION = `${PREFIX}behavior`;
const ROUND_TRIP = [METRICS_ANNOTATION, CURRENT_ANNOTATION, CONDITIONS_ANNOTATION, BEHAVIOR_ANNOTATION];

/** In place: they say something in v1 only. */
export function dropRoundTripAnnotations({ metadata }: KubeObject): void {
  const annotations = metadata.annotations;
  if (!annotations || !ROUND_TRIP.some((name) => Object.hasOwn(annotations, name))) return;
  const rest = Object.fromEntries(Object.entries(annotations).filter(([name]) => !ROUND_TRIP.includes(name)));
  if (Object.keys(rest).length > 0) metadata.annotations = rest;
  else delete metadata.annotations;
}

const isCpu = (metric: { type: string; resource?: { name: string } }) =>
  metric.type === 'Resource' && metric.resource?.name === 'cpu';

export function autoscalerFromV2(object: v2.HorizontalPodAutoscaler): v1.HorizontalPodAutoscaler {
  const { spec, status } = object;
  const metadata = { ...object.metadata };
  dropRoundTripAnnotations({ metadata });
  const annotations: Record<string, string> = {};
  const metrics = spec?.metrics ?? [];
  const others = metrics.filter((each) => !isCpu(each) || each.resource?.target?.averageUtilization === undefined);
  if (others.length > 0) annotations[METRICS_ANNOTATION] = JSON.stringify(others.map(metricToV1));
  const current = status?.currentMetrics ?? [];
  if (current.length > 0) annotations[CURRENT_ANNOTATION] = JSON.stringify(current.map(statusToV1));
  if (status?.conditions?.length) annotations[CONDITIONS_ANNOTATION] = JSON.stringify(status.conditions);
  if (spec?.behavior) annotations[BEHAVIOR_ANNOTATION] = JSON.stringify(behaviorToV1(spec.behavior));
  if (Object.keys(annotations).length > 0) metadata.annotations = { ...metadata.annotations, ...annotations };
  const target = metrics.find(isCpu)?.resource?.target?.averageUtilization;
  const measured = current.find(isCpu)?.resource?.current?.averageUtilization;
  return {
    ...object,
    apiVersion: 'autoscaling/v1',
    metadata,
    spec: compact({
      scaleTargetRef: spec?.scaleTargetRef,
      minReplicas: spec?.minReplicas,
      maxReplicas: spec?.maxReplicas ?? 0,
      targetCPUUtilizationPercentage: target,
    }),
    status: compact({
      observedGeneration: status?.observedGeneration,
      lastScaleTime: status?.lastScaleTime,
      currentReplicas: status?.currentReplicas ?? 0,
      desiredReplicas: status?.desiredReplicas ?? 0,
      currentCPUUtilizationPercentage: measured,
    }),
  };
}

export function autoscalerToV2(object: v1.HorizontalPodAutoscaler): v2.HorizontalPodAutoscaler {
  const { spec, status } = object;
  const metadata = { ...object.metadata };
  const said = (name: string) => parsed(metadata.annotations?.[name]);
  const metrics = listOf(said(METRICS_ANNOTATION)).map(metricFromV1);
  const target = spec?.targetCPUUtilizationPercentage;
  if (target !== undefined) {
    metrics.push({
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: target } },
    });
  }
  const written = said(CURRENT_ANNOTATION);
  const measured = status?.currentCPUUtilizationPercentage;
  const current = Array.isArray(written)
    ? listOf(written).map(statusFromV1)
    : measured === undefined
      ? undefined
      : [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: measured } } }];
  const conditions = listOf(said(CONDITIONS_ANNOTATION)) as unknown as v2.HorizontalPodAutoscalerCondition[];
  const behavior = behaviorFromV1(said(BEHAVIOR_ANNOTATION));
  dropRoundTripAnnotations({ metadata });
  return {
    ...object,
    apiVersion: 'autoscaling/v2',
    metadata,
    spec: compact({
      scaleTargetRef: spec?.scaleTargetRef,
      minReplicas: spec?.minReplicas,
      maxReplicas: spec?.maxReplicas ?? 0,
      metrics: metrics.length > 0 ? metrics : undefined,
      behavior,
    }),
    status: compact({
      observedGeneration: status?.observedGeneration,
      lastScaleTime: status?.lastScaleTime,
      currentReplicas: status?.currentReplicas || undefined,
      desiredReplicas: status?.desiredReplicas ?? 0,
      currentMetrics: current,
      conditions: conditions.length > 0 ? conditions : undefined,
    }),
  };
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** What cannot be read says nothing, as upstream has it. */
function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return undefined;
  }
}

/** Without the members that are undefined. */
const compact = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;

const SOURCES = ['object', 'pods', 'resource', 'containerResource', 'external'] as const;

/** Where v1 kept what v2 has under `metric`, `target` and `current`. */
const SELECTOR = { external: 'metricSelector', object: 'selector', pods: 'selector' } as const;
const nameOf = (metric: unknown) => (isObject(metric) ? metric.name : undefined);

function metricToV1(metric: v2.MetricSpec): Json {
  return mapSources(metric as unknown as Json, (source, name) => {
    const { target, metric: identifier, describedObject, ...rest } = source as Json & { target?: v2.MetricTarget };
    const out: Json = { ...rest };
    if (identifier) {
      out.metricName = nameOf(identifier);
      out[SELECTOR[name as keyof typeof SELECTOR]] = (identifier as Json).selector;
    }
    if (name === 'object') {
      return { ...out, target: describedObject, targetValue: target?.value ?? '0', averageValue: target?.averageValue };
    }
    if (name === 'external') return { ...out, targetValue: target?.value, targetAverageValue: target?.averageValue };
    if (name === 'pods') return { ...out, targetAverageValue: target?.averageValue ?? '0' };
    return {
      ...out,
      targetAverageUtilization: target?.averageUtilization,
      targetAverageValue: target?.averageValue,
    };
  });
}

function metricFromV1(metric: Json): v2.MetricSpec {
  return mapSources(metric, (source, name) => {
    const identifier = { metric: identifierOf(source, name) };
    if (name === 'object') {
      const { target, targetValue, averageValue } = source;
      return {
        describedObject: target,
        ...identifier,
        target:
          averageValue === undefined ? { type: 'Value', value: targetValue } : { type: 'AverageValue', averageValue },
      };
    }
    if (name === 'external') {
      const { targetValue: value, targetAverageValue: averageValue } = source;
      return {
        ...identifier,
        target: { type: value === undefined ? 'AverageValue' : 'Value', value, averageValue },
      };
    }
    if (name === 'pods') {
      return { ...identifier, target: { type: 'AverageValue', averageValue: source.targetAverageValue } };
    }
    const { targetAverageUtilization: averageUtilization, targetAverageValue: averageValue, ...rest } = source;
    const type = averageUtilization === undefined ? 'AverageValue' : 'Utilization';
    return { ...rest, target: { type, averageUtilization, averageValue } };
  }) as unknown as v2.MetricSpec;
}

function statusToV1(metric: v2.MetricStatus): Json {
  return mapSources(metric as unknown as Json, (source, name) => {
    const {
      current,
      metric: identifier,
      describedObject,
      ...rest
    } = source as Json & {
      current?: v2.MetricValueStatus;
    };
    const out: Json = { ...rest };
    if (identifier) {
      out.metricName = nameOf(identifier);
      out[SELECTOR[name as keyof typeof SELECTOR]] = (identifier as Json).selector;
    }
    if (name === 'object') {
      return {
        ...out,
        target: describedObject,
        currentValue: current?.value ?? '0',
        averageValue: current?.averageValue,
      };
    }
    if (name === 'external') {
      return { ...out, currentValue: current?.value ?? '0', currentAverageValue: current?.averageValue };
    }
    if (name === 'pods') return { ...out, currentAverageValue: current?.averageValue ?? '0' };
    return {
      ...out,
      currentAverageUtilization: current?.averageUtilization,
      currentAverageValue: current?.averageValue ?? '0',
    };
  });
}

function statusFromV1(metric: Json): v2.MetricStatus {
  return mapSources(metric, (source, name) => {
    const identifier = { metric: identifierOf(source, name) };
    const { currentValue: value, currentAverageValue, currentAverageUtilization: averageUtilization } = source;
    if (name === 'object') {
      return {
        describedObject: source.target,
        ...identifier,
        current: { value, averageValue: source.averageValue },
      };
    }
    if (name === 'external') return { ...identifier, current: { value, averageValue: currentAverageValue } };
    if (name === 'pods') return { ...identifier, current: { averageValue: currentAverageValue } };
    const { name: resource, container } = source;
    return { name: resource, container, current: { averageUtilization, averageValue: currentAverageValue } };
  }) as unknown as v2.MetricStatus;
}

const identifierOf = (source: Json, name: string): Json => ({
  name: source.metricName,
  selector: source[SELECTOR[name as keyof typeof SELECTOR]],
});

/** Each source that is there, changed; JSON leaves out what is undefined. */
function mapSources(metric: Json, change: (source: Json, name: (typeof SOURCES)[number]) => Json): Json {
  const out: Json = { type: metric.type };
  for (const name of SOURCES) {
    const source = metric[name];
    if (isObject(source)) out[name] = dropUndefined(change(source, name));
  }
  return out;
}

function dropUndefined(value: Json): Json {
  const out: Json = {};
  for (const [key, each] of Object.entries(value)) {
    if (each !== undefined) out[key] = isObject(each) ? dropUndefined(each) : each;
  }
  return out;
}

/** Upstream writes its own Go type here: the members' names are Go's. */
function behaviorToV1(behavior: v2.HorizontalPodAutoscalerBehavior): Json {
  const rules = (each: v2.HPAScalingRules | undefined) =>
    each
      ? {
          StabilizationWindowSeconds: each.stabilizationWindowSeconds ?? null,
          SelectPolicy: each.selectPolicy ?? null,
          Policies: (each.policies ?? []).map(({ type, value, periodSeconds }) => ({
            Type: type,
            Value: value,
            PeriodSeconds: periodSeconds,
          })),
          Tolerance: each.tolerance ?? null,
        }
      : null;
  return { ScaleUp: rules(behavior.scaleUp), ScaleDown: rules(behavior.scaleDown) };
}

function behaviorFromV1(value: unknown): v2.HorizontalPodAutoscalerBehavior | undefined {
  if (!isObject(value)) return undefined;
  const rules = (each: unknown) =>
    isObject(each)
      ? dropUndefined({
          stabilizationWindowSeconds: each.StabilizationWindowSeconds ?? undefined,
          selectPolicy: each.SelectPolicy ?? undefined,
          policies: listOf(each.Policies).map(({ Type, Value, PeriodSeconds }) => ({
            type: Type,
            value: Value,
            periodSeconds: PeriodSeconds,
          })),
          tolerance: each.Tolerance ?? undefined,
        })
      : undefined;
  return dropUndefined({ scaleUp: rules(value.ScaleUp), scaleDown: rules(value.ScaleDown) });
}
