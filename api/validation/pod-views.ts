// What may change of a running pod through a subresource of its own: containers for debugging may be added (ephemeralcontainers),
// CPU and memory may change (resize). k8s.io/kubernetes/pkg/apis/core/validation: ValidatePodEphemeralContainersUpdate,
// ValidatePodResize.
import { deepClone, semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isSidecar, podQosClass } from '../pod-resources.ts';
import type { Container, Pod, PodSpec, ResourceRequirements } from '../types/core-v1.ts';
import type { Findings } from './checks.ts';
import { describeChange } from './describe-change.ts';
import { validatePodMetadataAndSpec } from './pod.ts';
import { validatePodAnnotationChanges } from './pod-annotations.ts';

const { forbidden, invalid } = fieldErrors;

const MIRROR = 'kubernetes.io/config.mirror';
const NO_SPEC: PodSpec = { containers: [] };
const LISTS = ['containers', 'initContainers'] as const;

const isMirror = (pod: Pod) => Object.hasOwn(pod.metadata.annotations ?? {}, MIRROR);

export function validateEphemeralContainers(pod: Pod, old: Pod): FieldError[] {
  if (isMirror(old)) return [forbidden('', 'static pods do not support ephemeral containers')];
  return [
    ...validatePodMetadataAndSpec(pod),
    ...validatePodAnnotationChanges(
      pod.metadata.annotations,
      old.metadata.annotations,
      pod.spec ?? NO_SPEC,
      'metadata.annotations',
    ),
    ...additions(pod, old),
  ];
}

/** Patches do not keep the order: each is looked for by its name. */
function* additions({ spec }: Pod, old: Pod): Findings {
  const field = 'spec.ephemeralContainers';
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const now = spec?.ephemeralContainers?.find((each) => each.name === before.name);
    const name = JSON.stringify(before.name);
    if (!now) yield forbidden(field, `existing ephemeral containers ${name} may not be removed\n`);
    else if (!semanticEqual(now, before)) {
      const change = describeChange(before, now, field);
      yield forbidden(field, `existing ephemeral containers ${name} may not be changed\n${change}`);
    }
  }
}

export function validateResize(pod: Pod, old: Pod): FieldError[] {
  const found = [...validatePodMetadataAndSpec(pod)];
  if (isMirror(old)) return [forbidden('', 'static pods cannot be resized')];
  if (old.spec?.os?.name === 'windows') return [forbidden('', 'windows pods cannot be resized')];
  const was = old.status?.qosClass ?? podQosClass(old);
  if (was !== podQosClass(pod)) {
    found.push(invalid('spec', pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'));
  }
  if (!runsWhereResizable(old)) found.push(forbidden('spec', 'Pod running on node without support for resize'));
  const spec = pod.spec ?? NO_SPEC;
  const oldSpec = old.spec ?? NO_SPEC;
  const rest = deepClone(spec);
  if (hasSizes(spec) || hasSizes(oldSpec)) found.push(...podSizes(rest, spec, oldSpec));
  const order = [...sameContainers(spec, oldSpec)];
  if (order.length > 0) return [...found, ...order];
  found.push(...containerSizes(rest, spec, oldSpec));
  if (found.length === 0 && !semanticEqual(rest, oldSpec)) {
    found.push(forbidden('spec', 'only cpu and memory resources are mutable'));
  }
  return found;
}

const hasSizes = ({ resources }: PodSpec): boolean =>
  Object.keys(resources?.requests ?? {}).length + Object.keys(resources?.limits ?? {}).length > 0;

/** The first running container tells: a node that can resize reports what it gave. */
function runsWhereResizable({ status }: Pod): boolean {
  const running = status?.containerStatuses?.find((each) => each.state?.running);
  return !running || running.resources !== undefined;
}

function* sameContainers(spec: PodSpec, old: PodSpec): Findings {
  for (const list of LISTS) {
    const containers = spec[list] ?? [];
    const before = old[list] ?? [];
    if (containers.length !== before.length) {
      yield forbidden(`spec.${list}`, `${list} may not be added or removed on resize`);
      continue;
    }
    for (const [i, { name }] of containers.entries()) {
      if (name === before[i]?.name) continue;
      yield forbidden(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`);
    }
  }
}

/** Of the pod as a whole. Gives back to `rest` what may change. */
function* podSizes(rest: PodSpec, spec: PodSpec, old: PodSpec): Findings {
  if (old.resources && !spec.resources) {
    yield forbidden('spec.resources', 'pod-level resources cannot be removed');
    return;
  }
  if (old.resources) yield* nothingRemoved(spec.resources ?? {}, old.resources, 'spec.resources', 'pod-level resource');
  rest.resources = withSizesOf(rest.resources, old.resources);
  if (!rest.resources) delete rest.resources;
  if (!semanticEqual(rest.resources ?? {}, old.resources ?? {})) {
    yield forbidden('spec', 'only cpu and memory resources are mutable at pod-level');
  }
}

/** Of the containers, which are the same ones in the same order. Gives back to `rest` what may change. */
function* containerSizes(rest: PodSpec, spec: PodSpec, old: PodSpec): Findings {
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [i, before] of (old[list] ?? []).entries()) {
      const now = spec[list]?.[i]?.resources ?? {};
      yield* nothingRemoved(now, before.resources ?? {}, `spec.${list}[${i}].resources`, 'resource');
    }
  }
  for (const list of LISTS) {
    for (const [i, container] of (rest[list] ?? []).entries()) {
      const before = old[list]?.[i] as Container;
      container.resources = withSizesOf(container.resources ?? {}, before.resources);
      if (semanticEqual(container, before)) continue;
      if (list === 'containers') yield forbidden('spec', 'only cpu and memory resources are mutable');
      else if (isSidecar(container)) {
        yield forbidden('spec', 'only cpu and memory resources for sidecar containers are mutable');
      } else yield forbidden('spec', 'only cpu and memory resources for init containers are mutable');
    }
  }
}

function* nothingRemoved(
  now: ResourceRequirements,
  before: ResourceRequirements,
  field: string,
  what: string,
): Findings {
  for (const list of ['requests', 'limits'] as const) {
    const removed = Object.keys(before[list] ?? {}).some((name) => now[list]?.[name] === undefined);
    if (removed) yield forbidden(`${field}.${list}`, `${what} ${list} cannot be removed`);
  }
}

function withSizesOf<T extends ResourceRequirements | undefined>(now: T, old: ResourceRequirements | undefined): T {
  if (!now) return now;
  const resources = { ...now };
  for (const list of ['requests', 'limits'] as const) {
    const was = old?.[list];
    const sizes = { ...resources[list] };
    for (const name of ['cpu', 'memory']) {
      const value = was?.[name];
      if (value === undefined) delete sizes[name];
      else sizes[name] = value;
    }
    if (Object.keys(sizes).length === 0 && !was) delete resources[list];
    else resources[list] = sizes;
  }
  // Sizes of the pod as a whole may be its first.
  return (old ? resources : Object.keys(resources).length > 0 ? resources : undefined) as T;
}
