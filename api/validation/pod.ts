// A Pod as it is created, and what may change of it later: of the specification nearly nothing, of the status what nodes report.
import { deepClone, semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { rangeError } from '../names.ts';
import type { Container, NodeAffinity, NodeSelectorTerm, Pod, PodSpec, Toleration } from '../types/core-v1.ts';
import { type Findings, MAX_INT32 } from './checks.ts';
import { validateTrimmedImage } from './containers.ts';
import { describeChange } from './describe-change.ts';
import { validatePodAnnotationChanges, validatePodAnnotations, validateProfilesMatch } from './pod-annotations.ts';
import { validatePodSpec } from './pod-spec.ts';
import { validateTolerations } from './scheduling.ts';

const { forbidden, invalid, required } = fieldErrors;

const NO_SPEC: PodSpec = { containers: [] };

export function validatePod(pod: Pod): FieldError[] {
  const spec = pod.spec ?? NO_SPEC;
  const found = [...annotationsAndSpec(pod, spec)];
  if ((spec.ephemeralContainers ?? []).length > 0) {
    found.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'));
  }
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0) {
    found.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  }
  found.push(...validateProfilesMatch(pod.metadata.annotations, spec, 'spec'));
  return found;
}

/** What is wrong with a pod whatever was before it. */
export const validatePodMetadataAndSpec = (pod: Pod): Findings => annotationsAndSpec(pod, pod.spec ?? NO_SPEC);

function* annotationsAndSpec(pod: Pod, spec: PodSpec): Findings {
  yield* validatePodAnnotations(pod.metadata.annotations, spec, 'metadata.annotations');
  yield* validatePodSpec(spec, pod.metadata, 'spec');
  if (!spec.serviceAccountName) {
    for (const [i, { projected }] of (spec.volumes ?? []).entries()) {
      for (const [j, source] of (projected?.sources ?? []).entries()) {
        if (!source.serviceAccountToken) continue;
        yield forbidden(
          `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`,
          'must not be specified when serviceAccountName is not set',
        );
      }
    }
  }
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      yield* validateTrimmedImage(container, `spec.${list}[${i}]`);
    }
  }
}

export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const spec = pod.spec ?? NO_SPEC;
  const oldSpec = old.spec ?? NO_SPEC;
  const found = [
    ...annotationsAndSpec(pod, spec),
    ...validatePodAnnotationChanges(pod.metadata.annotations, old.metadata.annotations, spec, 'metadata.annotations'),
  ];
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = spec[list] ?? [];
    if (containers.length !== (oldSpec[list] ?? []).length) {
      found.push(forbidden(`spec.${list}`, 'pod updates may not add or remove containers'));
      return found;
    }
    found.push(...images(containers, `spec.${list}`));
  }
  const deadline = [...deadlineChange(spec.activeDeadlineSeconds, oldSpec.activeDeadlineSeconds)];
  found.push(...deadline);
  if (deadline.length > 0 && spec.activeDeadlineSeconds !== undefined) return found;
  found.push(...tolerationChange(spec.tolerations ?? [], oldSpec.tolerations ?? []));
  found.push(...gateChange(spec, oldSpec));
  if (!semanticEqual(spec, oldSpec)) found.push(...specChange(spec, oldSpec));
  return found;
}

function* images(containers: readonly Container[], field: string): Findings {
  for (const [i, container] of containers.entries()) {
    if (!container.image) yield required(`${field}[${i}].image`);
    yield* validateTrimmedImage(container, `${field}[${i}]`);
  }
}

function* deadlineChange(seconds: number | undefined, old: number | undefined): Findings {
  const field = 'spec.activeDeadlineSeconds';
  if (seconds === undefined) {
    if (old !== undefined) yield invalid(field, null, 'must not update from a positive integer to nil value');
  } else if (seconds < 0 || seconds > MAX_INT32) yield invalid(field, seconds, rangeError(0, MAX_INT32));
  else if (old !== undefined && old < seconds) {
    yield invalid(field, seconds, 'must be less than or equal to previous value');
  }
}

function* tolerationChange(tolerations: readonly Toleration[], old: readonly Toleration[]): Findings {
  for (const each of old) {
    const seconds = each.tolerationSeconds;
    if (tolerations.some((other) => semanticEqual({ ...other, tolerationSeconds: seconds }, each))) continue;
    yield forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds');
    return;
  }
  yield* validateTolerations(tolerations, 'spec.tolerations');
}

function* gateChange(spec: PodSpec, old: PodSpec): Findings {
  const known = new Set((old.schedulingGates ?? []).map((each) => each.name));
  // Of two with one name, which is reported elsewhere, the last is told.
  const added = new Map((spec.schedulingGates ?? []).map(({ name }, i) => [name, i]));
  for (const [name, i] of added) {
    if (known.has(name)) continue;
    yield forbidden(
      `spec.schedulingGates[${i}].name`,
      `only deletion is allowed, but found new scheduling gate '${name}'`,
    );
  }
}

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/** What may change is put back to the old value; whatever still differs may not. */
function* specChange(spec: PodSpec, old: PodSpec): Findings {
  const rest = deepClone(spec);
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (rest[list] ?? []).entries()) container.image = old[list]?.[i]?.image;
  }
  rest.activeDeadlineSeconds = old.activeDeadlineSeconds;
  rest.schedulingGates = old.schedulingGates;
  rest.tolerations = old.tolerations;
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && rest.terminationGracePeriodSeconds === 1) {
    rest.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds;
  }
  if ((old.schedulingGates ?? []).length > 0) {
    yield* narrowing(spec, old);
    rest.nodeSelector = old.nodeSelector;
    takeBackNodeAffinity(rest, old);
  }
  if (semanticEqual(rest, old)) return;
  yield forbidden(
    'spec',
    `pod updates may not change fields other than ${UPDATABLE}\n${describeChange(old, rest, 'spec')}`,
  );
}

function takeBackNodeAffinity(rest: PodSpec, old: PodSpec): void {
  const nodeAffinity = old.affinity?.nodeAffinity;
  if (semanticEqual(rest.affinity?.nodeAffinity, nodeAffinity)) return;
  const { podAffinity, podAntiAffinity } = rest.affinity ?? {};
  if (!old.affinity && !podAffinity && !podAntiAffinity) delete rest.affinity;
  else rest.affinity = { ...rest.affinity, nodeAffinity };
}

/** A pod that still waits at a gate may be bound to fewer nodes, never to others. */
function* narrowing(spec: PodSpec, old: PodSpec): Findings {
  for (const [key, value] of Object.entries(old.nodeSelector ?? {})) {
    if (spec.nodeSelector?.[key] === value) continue;
    yield invalid(
      'spec.nodeSelector',
      spec.nodeSelector,
      'only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    );
    break;
  }
  const terms = (affinity: NodeAffinity | undefined): NodeSelectorTerm[] =>
    affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const oldTerms = terms(old.affinity?.nodeAffinity);
  const newTerms = terms(spec.affinity?.nodeAffinity);
  const field = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
  if (oldTerms.length > 0 && oldTerms.length !== newTerms.length) {
    yield invalid(field, newTerms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed');
    return;
  }
  for (const [i, oldTerm] of oldTerms.entries()) {
    if (!onlyAdds(newTerms[i] ?? {}, oldTerm)) {
      yield invalid(`${field}[${i}]`, newTerms[i], 'only additions are allowed (no mutations or deletions)');
    }
  }
}

function onlyAdds(term: NodeSelectorTerm, old: NodeSelectorTerm): boolean {
  const lists = ['matchExpressions', 'matchFields'] as const;
  const sizeOf = (each: NodeSelectorTerm) => lists.reduce((sum, name) => sum + (each[name]?.length ?? 0), 0);
  // An empty term selects nothing: adding to it would widen.
  if (sizeOf(old) === 0) return sizeOf(term) === 0;
  return lists.every((name) => {
    const before = old[name] ?? [];
    return semanticEqual((term[name] ?? []).slice(0, before.length), before);
  });
}
