// StatefulSets. The pod specification itself is not checked here, as upstream: its mounts may name claims of the set, so it is
// checked when pods are made of it.
import { fieldErrors } from '../field-error.ts';
import { validateAnnotations } from '../metadata.ts';
import { selectorFromObject, validateLabelSelector, validateLabels } from '../selectors.ts';
import type {
  StatefulSet,
  StatefulSetPersistentVolumeClaimRetentionPolicy,
  StatefulSetSpec,
  StatefulSetStatus,
  StatefulSetUpdateStrategy,
} from '../types/apps-v1.ts';
import { dnsLabel, type Findings, nonNegative } from './checks.ts';
import { validatePodAnnotations } from './pod-annotations.ts';
import { isEmptySelector } from './pod-template.ts';
import { intOrPercent, isZero, notMoreThan100Percent } from './replicas.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

/** With `old`, what was accepted once and is unchanged is accepted again. */
export function* validateStatefulSet({ spec = {} as StatefulSetSpec }: StatefulSet, old?: StatefulSet): Findings {
  const policy = spec.podManagementPolicy;
  if (!policy) yield required('spec.podManagementPolicy');
  else if (policy !== 'OrderedReady' && policy !== 'Parallel') {
    yield invalid('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'");
  }
  yield* updateStrategy(spec.updateStrategy ?? {}, 'spec.updateStrategy');
  yield* retention(spec.persistentVolumeClaimRetentionPolicy, 'spec.persistentVolumeClaimRetentionPolicy');
  yield* nonNegative(spec.replicas, 'spec.replicas');
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  yield* nonNegative(spec.ordinals?.start, 'spec.ordinals.start');
  if (spec.serviceName && spec.serviceName !== old?.spec?.serviceName) {
    yield* dnsLabel(spec.serviceName, 'spec.serviceName');
  }
  yield* selectorAndTemplate(spec);
}

function* selectorAndTemplate({ selector, template = {} }: StatefulSetSpec): Findings {
  const found = validateLabelSelector(selector, 'spec.selector');
  if (!selector) yield required('spec.selector');
  else {
    yield* found;
    if (isEmptySelector(selector)) {
      yield invalid('spec.selector', selector, 'empty selector is invalid for statefulset');
    }
  }
  const { labels, annotations } = template.metadata ?? {};
  if (found.length > 0) yield invalid('spec.selector', selector, '');
  else {
    const parsed = selectorFromObject(selector);
    if (!parsed.everything && !parsed.matches(labels ?? {})) {
      yield invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
    }
    yield* validateLabels(labels, 'spec.template.labels');
    yield* validateAnnotations(annotations, 'spec.template.annotations');
    yield* validatePodAnnotations(annotations, template.spec ?? { containers: [] }, 'spec.template.annotations');
  }
  if (template.spec?.restartPolicy !== 'Always') {
    yield notSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const detail = 'activeDeadlineSeconds in StatefulSet is not Supported';
    yield forbidden('spec.template.spec.activeDeadlineSeconds', detail);
  }
}

function* updateStrategy(strategy: StatefulSetUpdateStrategy, field: string): Findings {
  const { type, rollingUpdate } = strategy;
  if (!type) yield required(field);
  else if (type === 'OnDelete') {
    if (rollingUpdate) {
      yield invalid(`${field}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (type !== 'RollingUpdate') yield invalid(field, strategy, "must be 'RollingUpdate' or 'OnDelete'");
  else if (rollingUpdate) {
    const { partition, maxUnavailable } = rollingUpdate;
    yield* nonNegative(partition, `${field}.rollingUpdate.partition`);
    if (maxUnavailable === undefined) return;
    const at = `${field}.rollingUpdate.maxUnavailable`;
    yield* intOrPercent(maxUnavailable, at);
    if (isZero(maxUnavailable)) yield invalid(at, maxUnavailable, 'cannot be 0');
    yield* notMoreThan100Percent(maxUnavailable, at);
  }
}

function* retention(policy: StatefulSetPersistentVolumeClaimRetentionPolicy | undefined, field: string): Findings {
  if (!policy) return;
  for (const name of ['whenDeleted', 'whenScaled'] as const) {
    const value = policy[name] ?? '';
    if (value !== 'Retain' && value !== 'Delete') {
      yield notSupported(`${field}.${name}`, value, ['Retain', 'Delete']);
    }
  }
}

const COUNTED = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'] as const;

export function* validateStatefulSetStatus(
  status: StatefulSetStatus | undefined,
  old: StatefulSetStatus | undefined,
): Findings {
  if (!status) return;
  for (const name of ['replicas', ...COUNTED, 'observedGeneration', 'collisionCount'] as const) {
    yield* nonNegative(status[name], `status.${name}`);
  }
  for (const name of COUNTED) {
    const count = status[name] ?? 0;
    if (count > (status.replicas ?? 0))
      yield invalid(`status.${name}`, count, 'cannot be greater than status.replicas');
  }
  if ((status.availableReplicas ?? 0) > (status.readyReplicas ?? 0)) {
    const detail = 'cannot be greater than status.readyReplicas';
    yield invalid('status.availableReplicas', status.availableReplicas, detail);
  }
  if (old?.collisionCount !== undefined && (status.collisionCount ?? -1) < old.collisionCount) {
    yield invalid('status.collisionCount', status.collisionCount ?? 0, 'cannot be decremented');
  }
}
