// StatefulSets (k8s.io/kubernetes/pkg/apis/apps/validation). The template is checked as its pods will be: with the volumes of
// the set's claims, and without the names that the controller gives them.
import { deepClone, semanticEqual } from '../equality.ts';
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
import type { PodTemplateSpec, Volume } from '../types/core-v1.ts';
import { dnsLabel, type Findings, nonNegative } from './checks.ts';
import { validateClaimSpec } from './persistent-volume-claims.ts';
import { validatePodAnnotations } from './pod-annotations.ts';
import { isEmptySelector, validatePodTemplate } from './pod-template.ts';
import { intOrPercent, isZero, notMoreThan100Percent } from './replicas.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const NO_SPEC = {} as StatefulSetSpec;

export const validateStatefulSet = ({ spec = NO_SPEC }: StatefulSet): Findings => specFindings(spec, true);

const MUTABLE = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
] as const;
const ONLY_MUTABLE =
  "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/** A set that breaks a rule already may keep a template that does. */
export function* validateStatefulSetUpdate(
  { spec = NO_SPEC }: StatefulSet,
  { spec: was = NO_SPEC }: StatefulSet,
): Findings {
  yield* specFindings(spec, false, () => [...specFindings(was, false)].every((each) => each.rule));
  const frozen = deepClone(spec) as unknown as Record<string, unknown>;
  for (const name of MUTABLE) frozen[name] = was[name];
  if (!semanticEqual(frozen, was)) yield forbidden('spec', ONLY_MUTABLE);
}

/** What cannot change after a creation is asked for then alone. */
function* specFindings(spec: StatefulSetSpec, isNew: boolean, checksTemplate = () => true): Findings {
  const policy = spec.podManagementPolicy;
  if (!policy) yield required('spec.podManagementPolicy');
  else if (policy !== 'OrderedReady' && policy !== 'Parallel') {
    yield invalid('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'");
  }
  yield* updateStrategy(spec.updateStrategy ?? {}, 'spec.updateStrategy');
  yield* retention(spec.persistentVolumeClaimRetentionPolicy, 'spec.persistentVolumeClaimRetentionPolicy');
  for (const [i, claim] of (isNew ? (spec.volumeClaimTemplates ?? []) : []).entries()) {
    yield* validateClaimSpec(claim.spec ?? {}, `spec.volumeClaimTemplates[${i}].spec`);
  }
  yield* nonNegative(spec.replicas, 'spec.replicas');
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  yield* nonNegative(spec.ordinals?.start, 'spec.ordinals.start');
  if (isNew && spec.serviceName) yield* dnsLabel(spec.serviceName, 'spec.serviceName');
  yield* selectorAndTemplate(spec, checksTemplate);
}

function* selectorAndTemplate(spec: StatefulSetSpec, checksTemplate: () => boolean): Findings {
  const { selector, template = {} } = spec;
  const found = validateLabelSelector(selector, 'spec.selector');
  if (!selector) yield required('spec.selector');
  else {
    yield* found;
    if (isEmptySelector(selector)) {
      yield invalid('spec.selector', selector, 'empty selector is invalid for statefulset');
    }
  }
  if (found.length > 0) yield invalid('spec.selector', selector, '');
  else {
    const { labels, annotations } = template.metadata ?? {};
    const parsed = selectorFromObject(selector);
    if (!parsed.everything && !parsed.matches(labels ?? {})) {
      yield invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
    }
    const asPod = templateOfPods(spec);
    const wrong = [...validatePodTemplate(asPod, 'spec.template')];
    if (wrong.length > 0 && checksTemplate()) yield* wrong;
    // Upstream checks these once more.
    yield* validateLabels(labels, 'spec.template.labels');
    yield* validateAnnotations(annotations, 'spec.template.annotations');
    yield* validatePodAnnotations(annotations, asPod.spec ?? { containers: [] }, 'spec.template.annotations');
  }
  if (template.spec?.restartPolicy !== 'Always') {
    yield notSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const detail = 'activeDeadlineSeconds in StatefulSet is not Supported';
    yield forbidden('spec.template.spec.activeDeadlineSeconds', detail);
  }
}

/** Volumes of claims come first and take the place of others of their name, so the others' paths count from there. */
function templateOfPods({ template = {}, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec {
  if (!template.spec) return template;
  const { hostname: _h, subdomain: _s, volumes = [], ...spec } = template.spec;
  const names = [...new Set(volumeClaimTemplates.map(({ metadata }) => metadata?.name ?? ''))];
  const claimed = names.map((name): Volume => ({ name, persistentVolumeClaim: { claimName: name } }));
  const others = volumes.filter(({ name }) => !names.includes(name));
  return { ...template, spec: { ...spec, volumes: [...claimed, ...others] } };
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
