// Jobs and the job templates of CronJobs (k8s.io/kubernetes/pkg/apis/batch/validation).
import { deepClone, semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { isDns1123Label } from '../names.ts';
import { selectorFromObject, validateLabelSelector } from '../selectors.ts';
import type { Job, JobSpec, JobTemplateSpec } from '../types/batch-v1.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';
import { domainPrefixedPath, type Findings, IMMUTABLE, nonNegative, optionalOneOf } from './checks.ts';
import { validatePodFailurePolicy, validateSuccessPolicy } from './job-policies.ts';
import { validatePodTemplate } from './pod-template.ts';
import { podWarnings } from './pod-warnings.ts';
import { valuesOfRule } from './ratcheting.ts';
import { SELECTOR_VALUES } from './scheduling.ts';

const { invalid, notSupported, required, tooLong } = fieldErrors;

const MAX_INDEXED = 100_000;
const MAX_WITH_MANY_COMPLETIONS = 10_000;
const MAX_MANAGED_BY = 63;
const COUNTS = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
] as const;

/** The labels that tie pods to their Job; the ones without a domain are older and kept for their users. */
export const JOB_LABELS = {
  uid: ['controller-uid', 'batch.kubernetes.io/controller-uid'],
  name: ['job-name', 'batch.kubernetes.io/job-name'],
  selected: 'batch.kubernetes.io/controller-uid',
} as const;

/** `old` is the stored Job of an update: what it was created without is not asked for now. */
export function* validateJob(job: Job, old?: Job): Findings {
  const spec = job.spec ?? ({} as JobSpec);
  yield* generatedSelector(job, spec, old);
  yield* validateSelectedJob(spec);
  if (spec.completionMode === 'Indexed' && (spec.completions ?? 0) > 0) {
    const { name = '' } = job.metadata;
    const host = `${name}-${(spec.completions as number) - 1}`;
    if (isDns1123Label(host).length > 0) {
      yield invalid('metadata.name', name, `will not able to create pod with invalid DNS label: ${host}`);
    }
  }
}

function* validateSelectedJob(spec: JobSpec): Findings {
  yield* validateJobSpec(spec, 'spec');
  if (!spec.selector) yield required('spec.selector');
  const found = validateLabelSelector(spec.selector, 'spec.selector');
  yield* valuesOfRule(SELECTOR_VALUES, found);
  const labels = spec.template?.metadata?.labels;
  if (found.length === 0 && !selectorFromObject(spec.selector).matches(labels ?? {})) {
    yield invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  }
}

function* generatedSelector({ metadata }: Job, spec: JobSpec, old: Job | undefined): Findings {
  if (spec.manualSelector || !spec.selector) return;
  const { uid = '', name = '' } = metadata;
  if (!uid) yield required('metadata.uid');
  const oldLabels = old?.spec?.template?.metadata?.labels;
  const isPrefixed = !old || [JOB_LABELS.uid[1], JOB_LABELS.name[1]].every((key) => oldLabels?.[key] !== undefined);
  const labels = spec.template?.metadata?.labels;
  const expected: Record<string, string> = {};
  for (const i of isPrefixed ? [0, 1] : [0]) {
    expected[JOB_LABELS.uid[i] as string] = uid;
    expected[JOB_LABELS.name[i] as string] = name;
  }
  for (const [key, value] of Object.entries(expected)) {
    const field = `spec.template.metadata.labels[${key}]`;
    const actual = labels?.[key];
    if (actual === undefined) yield required(field, `must be '${value}'`);
    else if (actual !== value) yield invalid(field, labels, `must be '${value}'`);
  }
  if (validateLabelSelector(spec.selector, '').length > 0) return;
  if (!selectorFromObject(spec.selector).matches(expected)) {
    yield invalid('spec.selector', spec.selector, '`selector` not auto-generated');
  }
}

export function* validateJobTemplate({ spec = {} as JobSpec }: JobTemplateSpec, field: string): Findings {
  yield* validateJobSpec(spec, `${field}.spec`);
  if (spec.selector) yield invalid(`${field}.spec.selector`, spec.selector, '`selector` will be auto-generated');
  if (spec.manualSelector) yield notSupported(`${field}.spec.manualSelector`, true, ['nil', 'false']);
}

function* validateJobSpec(spec: JobSpec, field: string): Findings {
  for (const name of COUNTS) yield* nonNegative(spec[name], `${field}.${name}`);
  yield* nonNegative(spec.backoffLimitPerIndex, `${field}.backoffLimitPerIndex`);
  yield* nonNegative(spec.maxFailedIndexes, `${field}.maxFailedIndexes`);
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    yield required(`${field}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified');
  }
  if (spec.managedBy !== undefined) yield* managedBy(spec.managedBy, `${field}.managedBy`);
  yield* optionalOneOf(spec.completionMode, ['NonIndexed', 'Indexed'], `${field}.completionMode`);
  if (spec.completionMode === 'Indexed') yield* indexed(spec, field);
  if ((spec.completionMode ?? 'NonIndexed') === 'NonIndexed') {
    for (const name of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[name] !== undefined) yield invalid(`${field}.${name}`, spec[name], 'requires indexed completion mode');
    }
  }
  if (spec.podFailurePolicy) yield* validatePodFailurePolicy(spec, `${field}.podFailurePolicy`);
  if (spec.successPolicy) {
    if (spec.completionMode === 'Indexed') yield* validateSuccessPolicy(spec, `${field}.successPolicy`);
    else yield invalid(`${field}.successPolicy`, spec.successPolicy, 'requires indexed completion mode');
  }
  const replacements = spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'];
  yield* optionalOneOf(spec.podReplacementPolicy, replacements, `${field}.podReplacementPolicy`);
  yield* template(spec, `${field}.template`);
}

function* template(spec: JobSpec, field: string): Findings {
  yield* validatePodTemplate(spec.template ?? {}, field);
  const policy = spec.template?.spec?.restartPolicy ?? '';
  if (policy === '' || policy === 'Always') {
    yield required(`${field}.spec.restartPolicy`, 'valid values: "OnFailure", "Never"');
  } else if (policy !== 'OnFailure' && policy !== 'Never') {
    yield notSupported(`${field}.spec.restartPolicy`, policy, ['OnFailure', 'Never']);
  } else if (spec.podFailurePolicy && policy !== 'Never') {
    yield invalid(
      `${field}.spec.restartPolicy`,
      policy,
      'only "Never" is supported when podFailurePolicy is specified',
    );
  }
}

function* managedBy(value: string, field: string): Findings {
  yield* domainPrefixedPath(value, field);
  if (value.length > MAX_MANAGED_BY) yield tooLong(field, MAX_MANAGED_BY);
}

function* indexed({ completions, parallelism = 0, maxFailedIndexes, backoffLimitPerIndex }: JobSpec, field: string) {
  if (completions === undefined) yield required(`${field}.completions`, 'when completion mode is Indexed');
  if (parallelism > MAX_INDEXED) {
    const detail = `must be less than or equal to ${MAX_INDEXED} when completion mode is Indexed`;
    yield invalid(`${field}.parallelism`, parallelism, detail);
  }
  const failed = `${field}.maxFailedIndexes`;
  if (completions !== undefined && (maxFailedIndexes ?? 0) > completions) {
    yield invalid(failed, maxFailedIndexes, 'must be less than or equal to completions');
  }
  if ((maxFailedIndexes ?? 0) > MAX_INDEXED) {
    yield invalid(failed, maxFailedIndexes, `must be less than or equal to ${MAX_INDEXED}`);
  }
  if ((completions ?? 0) <= MAX_INDEXED || backoffLimitPerIndex === undefined) return;
  if (maxFailedIndexes === undefined) {
    yield required(failed, `must be specified when completions is above ${MAX_INDEXED}`);
  }
  const limit = `must be less than or equal to ${MAX_WITH_MANY_COMPLETIONS} when completions are above ${MAX_INDEXED} and used with backoff limit per index`;
  if (parallelism > MAX_WITH_MANY_COMPLETIONS) yield invalid(`${field}.parallelism`, parallelism, limit);
  if ((maxFailedIndexes ?? 0) > MAX_WITH_MANY_COMPLETIONS) yield invalid(failed, maxFailedIndexes, limit);
}

/** Upstream checks the specification twice. */
export function* validateJobUpdate(job: Job, old: Job): Findings {
  yield* validateJob(job, old);
  const [spec, was] = [job.spec ?? ({} as JobSpec), old.spec ?? ({} as JobSpec)];
  yield* validateSelectedJob(spec);
  yield* completionsChange(spec, was);
  yield* unchanged(spec, was, 'selector');
  yield* templateChange(spec, was, rests(old));
  for (const name of [
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const) {
    yield* unchanged(spec, was, name);
  }
}

/** Suspended, and its controller has seen to it. */
const rests = ({ spec, status }: Job): boolean =>
  (spec?.suspend ?? false) &&
  (status?.active ?? 0) === 0 &&
  (status?.conditions ?? []).some(({ type, status: is }) => type === 'Suspended' && is === 'True');

/** The next pods of a Job that rests may go elsewhere and get other resources; of its template's metadata upstream says nothing then. */
function* templateChange(spec: JobSpec, was: JobSpec, mayChange: boolean): Findings {
  if (!mayChange) {
    yield* unchanged(spec, was, 'template');
    return;
  }
  const before = withResourcesOf(withSchedulingOf(was.template, spec.template), spec.template);
  if (!semanticEqual(spec.template?.spec, before.spec)) {
    yield invalid('spec.template.spec', spec.template?.spec, IMMUTABLE);
  }
}

function* unchanged(spec: JobSpec, was: JobSpec, name: keyof JobSpec): Findings {
  if (!semanticEqual(spec[name], was[name])) yield invalid(`spec.${name}`, spec[name] ?? null, IMMUTABLE);
}

/** Completions of an indexed Job may follow its parallelism. */
function* completionsChange(spec: JobSpec, was: JobSpec): Findings {
  const { completions } = spec;
  if (spec.completionMode !== 'Indexed') yield* unchanged(spec, was, 'completions');
  else if (completions !== undefined && completions !== was.completions && completions !== spec.parallelism) {
    yield invalid('spec.completions', completions, 'can only be modified in tandem with spec.parallelism');
  }
}

/** A suspended Job may give its next pods other resources (MutablePodResourcesForSuspendedJobs, on since 1.36). */
function withResourcesOf(was: PodTemplateSpec | undefined, now: PodTemplateSpec | undefined): PodTemplateSpec {
  const copy: PodTemplateSpec = deepClone(was ?? {});
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = now?.spec?.[list] ?? [];
    const before = copy.spec?.[list] ?? [];
    // Containers that come, go or change places are no change of resources.
    if (containers.length !== before.length) continue;
    for (const [i, container] of before.entries()) {
      if (container.name === containers[i]?.name) container.resources = containers[i].resources;
    }
  }
  return copy;
}

/** A suspended Job may be told where its next pods go, also after it has run. */
function withSchedulingOf(was: PodTemplateSpec | undefined, now: PodTemplateSpec | undefined): PodTemplateSpec {
  const copy: PodTemplateSpec = deepClone(was ?? {});
  const meta = (copy.metadata ??= {});
  meta.labels = now?.metadata?.labels;
  meta.annotations = now?.metadata?.annotations;
  if (!copy.spec || !now?.spec) return copy;
  copy.spec.nodeSelector = now.spec.nodeSelector;
  copy.spec.tolerations = now.spec.tolerations;
  copy.spec.schedulingGates = now.spec.schedulingGates;
  const nodeAffinity = now.spec.affinity?.nodeAffinity;
  if (nodeAffinity) copy.spec.affinity = { ...copy.spec.affinity, nodeAffinity };
  else if (copy.spec.affinity) {
    delete copy.spec.affinity.nodeAffinity;
    if (!now.spec.affinity) delete copy.spec.affinity;
  }
  return copy;
}

const MANY_INDEXES =
  'In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail';

export function jobWarnings(spec: JobSpec | undefined, field: string): string[] {
  if (!spec) return [];
  const isLarge =
    spec.completionMode === 'Indexed' &&
    (spec.completions ?? 0) > MAX_INDEXED &&
    (spec.parallelism ?? 0) > MAX_WITH_MANY_COMPLETIONS;
  return [...(isLarge ? [`${field}: ${MANY_INDEXES}`] : []), ...podWarnings(spec.template ?? {}, `${field}.template`)];
}
