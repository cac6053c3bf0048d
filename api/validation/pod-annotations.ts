// Annotations of a pod or template that Kubernetes itself reads.
import { fieldErrors } from '../field-error.ts';
import type { Container, PodSpec, Toleration } from '../types/core-v1.ts';
import { descendingPath, type Findings } from './checks.ts';
import { ofRule } from './ratcheting.ts';
import { validateTolerations } from './scheduling.ts';

const { forbidden, invalid } = fieldErrors;

type Annotations = Readonly<Record<string, string>> | undefined;

export const MIRROR_POD = 'kubernetes.io/config.mirror';
const TOLERATIONS = 'scheduler.alpha.kubernetes.io/tolerations';
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
export const APP_ARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/';
export const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod';
export const SECCOMP_PREFIX = 'container.seccomp.security.alpha.kubernetes.io/';
const LOCALHOST = 'localhost/';

export function* validatePodAnnotations(annotations: Annotations, spec: PodSpec, field: string): Findings {
  if (!annotations) return;
  const mirror = annotations[MIRROR_POD];
  if (mirror !== undefined && !spec.nodeName) {
    yield invalid(`${field}[${MIRROR_POD}]`, mirror, 'must set spec.nodeName if mirror pod annotation is set');
  }
  if (annotations[TOLERATIONS]) yield* tolerations(annotations[TOLERATIONS], field);
  const cost = annotations[DELETION_COST];
  if (cost !== undefined && !isInt32(cost)) {
    const found = invalid(`${field}[${DELETION_COST}]`, cost, 'must be a 32bit integer');
    yield* ofRule('pod deletion cost', [found]);
  }
  if (annotations[SECCOMP_POD] !== undefined) yield* seccompName(annotations[SECCOMP_POD], `${field}.${SECCOMP_POD}`);
  for (const [key, value] of Object.entries(annotations)) {
    if (key.startsWith(SECCOMP_PREFIX)) yield* seccompName(value, `${field}.${key}`);
  }
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith(APP_ARMOR_PREFIX)) continue;
    yield* appArmor(key.slice(APP_ARMOR_PREFIX.length), value, spec, `${field}[${key}]`);
  }
}

/** A whole number of 32 bits without plus sign or leading zeros. */
const isInt32 = (text: string): boolean =>
  /^(0|-[0-9]{1,12}|[1-9][0-9]{0,9})$/.test(text) && Number(text) === (Number(text) | 0);

/** Tolerations as they were before they had a field. */
function* tolerations(text: string, field: string): Findings {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    yield invalid(field, TOLERATIONS, 'invalid JSON');
    return;
  }
  const isList = Array.isArray(parsed) && parsed.every((each) => typeof each === 'object' && !Array.isArray(each));
  if (!isList && parsed !== null) yield invalid(field, TOLERATIONS, 'invalid JSON');
  else
    yield* validateTolerations(
      ((parsed ?? []) as Toleration[]).map((each) => each ?? {}),
      `${field}.${TOLERATIONS}`,
    );
}

function* seccompName(value: string, field: string): Findings {
  if (value === 'runtime/default' || value === 'docker/default' || value === 'unconfined') return;
  if (value.startsWith('localhost/')) yield* descendingPath(value.slice('localhost/'.length), field);
  else yield invalid(field, value, 'must be a valid seccomp profile');
}

function* appArmor(containerName: string, value: string, spec: PodSpec, field: string): Findings {
  const all = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
  if (!all.some((each) => each.name === containerName)) yield invalid(field, containerName, 'container not found');
  const isKnown = value === '' || value === 'runtime/default' || value === 'unconfined';
  if (!isKnown && !value.startsWith('localhost/')) {
    yield invalid(field, value, `invalid AppArmor profile name: ${JSON.stringify(value)}`);
  }
}

/** A running pod keeps its mirror and AppArmor annotations as they are; upstream checks them all once more here. */
export function* validatePodAnnotationChanges(
  annotations: Annotations,
  old: Annotations,
  spec: PodSpec,
  field: string,
): Findings {
  for (const [key, value] of Object.entries(old ?? {})) {
    if (annotations?.[key] === value) continue;
    if (key.startsWith(APP_ARMOR_PREFIX)) {
      yield forbidden(`${field}[${key}]`, 'may not remove or update AppArmor annotations');
    }
    if (key === MIRROR_POD) yield forbidden(`${field}[${key}]`, 'may not remove or update mirror pod annotation');
  }
  for (const key of Object.keys(annotations ?? {})) {
    if (old?.[key] !== undefined) continue;
    if (key.startsWith(APP_ARMOR_PREFIX)) yield forbidden(`${field}[${key}]`, 'may not add AppArmor annotations');
    if (key === MIRROR_POD) yield forbidden(`${field}[${key}]`, 'may not add mirror pod annotation');
  }
  yield* validatePodAnnotations(annotations, spec, field);
}

type Profile = { type: string; localhostProfile?: string } | undefined;

/** On create: an annotation and the field that took its place say the same. */
export function* validateProfilesMatch(annotations: Annotations, spec: PodSpec, field: string): Findings {
  if (!annotations) return;
  const ofPod = spec.securityContext?.seccompProfile;
  const podAnnotation = annotations[SECCOMP_POD];
  if (ofPod && podAnnotation !== undefined) {
    yield* seccompMatches(podAnnotation, ofPod, `${field}.securityContext.seccompProfile`);
  }
  for (const [{ name, securityContext }, at] of withFields(spec, field)) {
    const annotation = annotations[SECCOMP_PREFIX + name];
    if (annotation === undefined || !securityContext?.seccompProfile) continue;
    yield* seccompMatches(annotation, securityContext.seccompProfile, `${at}.securityContext.seccompProfile`);
  }
  if (spec.os?.name === 'windows') return;
  for (const [{ name, securityContext }, at] of withFields(spec, field)) {
    const annotation = annotations[APP_ARMOR_PREFIX + name];
    const profile = securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile;
    if (annotation === undefined || !profile) continue;
    yield* matches(annotation, profile, 'apparmor', ['runtime/default'], `${at}.securityContext.appArmorProfile`);
  }
}

const seccompMatches = (annotation: string, profile: Profile, field: string) =>
  matches(annotation, profile, 'seccomp', ['runtime/default', 'docker/default'], field);

function* matches(
  annotation: string,
  profile: Profile,
  what: 'seccomp' | 'apparmor',
  defaults: readonly string[],
  field: string,
): Findings {
  const isLocal = annotation.startsWith(LOCALHOST);
  const sameType =
    profile?.type === 'Unconfined'
      ? annotation === 'unconfined'
      : profile?.type === 'RuntimeDefault'
        ? defaults.includes(annotation)
        : profile?.type !== 'Localhost' || isLocal;
  if (!sameType) yield forbidden(`${field}.type`, `${what} type in annotation and field must match`);
  else if (profile?.type === 'Localhost' && annotation.slice(LOCALHOST.length) !== profile.localhostProfile) {
    yield forbidden(`${field}.localhostProfile`, `${what} profile in annotation and field must match`);
  }
}

function* withFields(spec: PodSpec, field: string): Generator<[Container, string], void, undefined> {
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) yield [container, `${field}.${list}[${i}]`];
  }
}
