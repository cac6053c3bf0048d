// Autoscalers, in the form of v2 whatever version they come in (k8s.io/kubernetes/pkg/apis/autoscaling/validation).
import { fieldErrors } from '../field-error.ts';
import { nameIsPathSegment } from '../names.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  HPAScalingPolicy,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from '../types/autoscaling-v2.ts';
import { dnsLabel, type Findings, invalidEach, nonNegative, POSITIVE } from './checks.ts';
import { containerResourceName } from './resources.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const MAX_STABILIZATION_SECONDS = 3600;
const MAX_PERIOD_SECONDS = 1800;
const SELECT_POLICIES = ['Disabled', 'Max', 'Min'];
const METRIC_TYPES = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];
const TARGET_TYPES = ['Utilization', 'Value', 'AverageValue'];

/** Zero replicas are a feature that is not on: what is stored with them may stay. */
export function* validateAutoscaler(object: HorizontalPodAutoscaler, old?: HorizontalPodAutoscaler): Findings {
  const { minReplicas, maxReplicas = 0, scaleTargetRef, metrics = [], behavior } = object.spec ?? {};
  const lowest = old?.spec?.minReplicas === 0 ? 0 : 1;
  if (minReplicas !== undefined && minReplicas < lowest) {
    yield invalid('spec.minReplicas', minReplicas, `must be greater than or equal to ${lowest}`);
  }
  if (maxReplicas < 1) yield invalid('spec.maxReplicas', maxReplicas, 'must be greater than 0');
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    yield invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`');
  }
  yield* reference(scaleTargetRef, 'spec.scaleTargetRef');
  for (const [i, each] of metrics.entries()) yield* metric(each, `spec.metrics[${i}]`);
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External')) {
    const text = 'must specify at least one Object or External metric to support scaling to zero replicas';
    yield forbidden('spec.metrics', text);
  }
  if (behavior?.scaleUp) yield* scalingRules(behavior.scaleUp, 'spec.behavior.scaleUp');
  if (behavior?.scaleDown) yield* scalingRules(behavior.scaleDown, 'spec.behavior.scaleDown');
}

export function* validateAutoscalerStatus({ status }: HorizontalPodAutoscaler): Findings {
  yield* nonNegative(status?.currentReplicas, 'status.currentReplicas');
  yield* nonNegative(status?.desiredReplicas, 'status.desiredReplicas');
}

function* reference(to: CrossVersionObjectReference | undefined, field: string): Findings {
  for (const name of ['kind', 'name'] as const) {
    const value = to?.[name];
    if (!value) yield required(`${field}.${name}`);
    else yield* invalidEach(`${field}.${name}`, value, nameIsPathSegment(value, false));
  }
}

function* scalingRules(rules: HPAScalingRules, field: string): Findings {
  const { stabilizationWindowSeconds: seconds, selectPolicy, policies = [], tolerance } = rules;
  const path = `${field}.stabilizationWindowSeconds`;
  if (seconds !== undefined && seconds < 0) yield invalid(path, seconds, 'must be greater than or equal to zero');
  if (seconds !== undefined && seconds > MAX_STABILIZATION_SECONDS) {
    yield invalid(path, seconds, `must be less than or equal to ${MAX_STABILIZATION_SECONDS}`);
  }
  if (selectPolicy !== undefined && !SELECT_POLICIES.includes(selectPolicy)) {
    yield notSupported(`${field}.selectPolicy`, selectPolicy, SELECT_POLICIES);
  }
  if (policies.length === 0) yield required(`${field}.policies`, 'must specify at least one Policy');
  for (const [i, each] of policies.entries()) yield* scalingPolicy(each, `${field}.policies[${i}]`);
  if (tolerance !== undefined && quantityOf(tolerance).nanos < 0n) {
    yield invalid(`${field}.tolerance`, formatQuantity(quantityOf(tolerance)), 'must be greater than or equal to 0');
  }
}

function* scalingPolicy({ type = '', value = 0, periodSeconds = 0 }: HPAScalingPolicy, field: string): Findings {
  if (type !== 'Pods' && type !== 'Percent') yield notSupported(`${field}.type`, type, ['Percent', 'Pods']);
  if (value <= 0) yield invalid(`${field}.value`, value, POSITIVE);
  if (periodSeconds <= 0) yield invalid(`${field}.periodSeconds`, periodSeconds, POSITIVE);
  if (periodSeconds > MAX_PERIOD_SECONDS) {
    yield invalid(`${field}.periodSeconds`, periodSeconds, `must be less than or equal to ${MAX_PERIOD_SECONDS}`);
  }
}

const SOURCES = {
  object: 'Object',
  external: 'External',
  pods: 'Pods',
  resource: 'Resource',
  containerResource: 'ContainerResource',
} as const;
type Source = keyof typeof SOURCES;

/** Exactly one source, the one that the type names; only the first is looked into. */
function* metric(spec: MetricSpec, field: string): Findings {
  const type = spec.type ?? '';
  if (type === '') yield required(`${field}.type`, 'must specify a metric source type');
  const isKnown = METRIC_TYPES.includes(type);
  if (!isKnown) yield notSupported(`${field}.type`, type, METRIC_TYPES);
  const present = (Object.keys(SOURCES) as Source[]).filter((name) => spec[name]);
  const [first] = present;
  if (first) yield* CHECKS[first](spec, `${field}.${first}`);
  const expected = (Object.keys(SOURCES) as Source[]).find((name) => SOURCES[name] === type);
  if (!expected) yield notSupported(`${field}.type`, type, METRIC_TYPES);
  else if (!spec[expected]) {
    yield required(`${field}.${expected}`, 'must populate information for the given metric source');
  }
  if (present.length === 1) return;
  for (const name of present) {
    if (name !== expected) yield forbidden(`${field}.${name}`, 'must populate the given metric source only');
  }
}

const CHECKS: Record<Source, (spec: MetricSpec, field: string) => Findings> = {
  *object({ object: source }, field) {
    yield* reference(source?.describedObject, `${field}.describedObject`);
    yield* identifier(source?.metric, `${field}.metric`);
    yield* target(source?.target, `${field}.target`);
    if (source?.target?.value === undefined && source?.target?.averageValue === undefined) {
      yield required(`${field}.target.averageValue`, 'must set either a target value or averageValue');
    }
  },
  *external({ external: source }, field) {
    yield* identifier(source?.metric, `${field}.metric`);
    yield* target(source?.target, `${field}.target`);
    const { value, averageValue } = source?.target ?? {};
    if (value === undefined && averageValue === undefined) {
      const text = 'must set either a target value for metric or a per-pod target';
      yield required(`${field}.target.averageValue`, text);
    }
    if (value !== undefined && averageValue !== undefined) {
      const text = 'may not set both a target value for metric and a per-pod target';
      yield forbidden(`${field}.target.value`, text);
    }
  },
  *pods({ pods: source }, field) {
    yield* identifier(source?.metric, `${field}.metric`);
    yield* target(source?.target, `${field}.target`);
    if (source?.target?.averageValue === undefined) {
      yield required(`${field}.target.averageValue`, 'must specify a positive target averageValue');
    }
  },
  *resource({ resource: source }, field) {
    if (!source?.name) yield required(`${field}.name`, 'must specify a resource name');
    yield* resourceTarget(source?.target, field);
  },
  *containerResource({ containerResource: source }, field) {
    if (!source?.name) yield required(`${field}.name`, 'must specify a resource name');
    else yield* containerResourceName(source.name, `${field}.name`);
    if (!source?.container) yield required(`${field}.container`, 'must specify a container');
    else yield* dnsLabel(source.container, `${field}.container`);
    yield* resourceTarget(source?.target, field);
  },
};

function* resourceTarget(to: MetricTarget | undefined, field: string): Findings {
  yield* target(to, `${field}.target`);
  const { averageUtilization, averageValue } = to ?? {};
  if (averageUtilization === undefined && averageValue === undefined) {
    const text = 'must set either a target raw value or a target utilization';
    yield required(`${field}.target.averageUtilization`, text);
  }
  if (averageUtilization !== undefined && averageValue !== undefined) {
    const text = 'may not set both a target raw value and a target utilization';
    yield forbidden(`${field}.target.averageValue`, text);
  }
}

function* target(to: MetricTarget | undefined, field: string): Findings {
  const { type = '', averageUtilization } = to ?? {};
  if (type === '') yield required(`${field}.type`, 'must specify a metric target type');
  if (!TARGET_TYPES.includes(type)) {
    yield invalid(`${field}.type`, type, 'must be either Utilization, Value, or AverageValue');
  }
  for (const name of ['value', 'averageValue'] as const) {
    const quantity = to?.[name] === undefined ? undefined : quantityOf(to[name]);
    if (quantity && quantity.nanos <= 0n)
      yield invalid(`${field}.${name}`, formatQuantity(quantity), 'must be positive');
  }
  if (averageUtilization !== undefined && averageUtilization < 1) {
    yield invalid(`${field}.averageUtilization`, averageUtilization, 'must be greater than 0');
  }
}

function* identifier(id: MetricIdentifier | undefined, field: string): Findings {
  if (!id?.name) yield required(`${field}.name`, 'must specify a metric name');
  else yield* invalidEach(`${field}.name`, id.name, nameIsPathSegment(id.name, false));
}
