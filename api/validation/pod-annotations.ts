// Annotations of a pod or template that Kubernetes itself reads.
import { fieldErrors } from '../field-error.ts';
import type { PodSpec } from '../types/core-v1.ts';
import { descendingPath, type Findings } from './checks.ts';

const { forbidden, invalid } = fieldErrors;

type Annotations = Readonly<Record<string, string>> | undefined;

export const MIRROR_POD = 'kubernetes.io/config.mirror';
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const APP_ARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/';
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod';
const SECCOMP_PREFIX = 'container.seccomp.security.alpha.kubernetes.io/';

export function* validatePodAnnotations(annotations: Annotations, spec: PodSpec, field: string): Findings {
  for (const [key, value] of Object.entries(annotations ?? {})) {
    if (key === MIRROR_POD && !spec.nodeName) {
      yield invalid(`${field}[${key}]`, value, 'must set spec.nodeName if mirror pod annotation is set');
    } else if (key === DELETION_COST && !isInt32(value)) {
      yield invalid(`${field}[${key}]`, value, 'must be a 32bit integer');
    } else if (key === SECCOMP_POD || key.startsWith(SECCOMP_PREFIX)) {
      yield* seccompName(value, `${field}.${key}`);
    } else if (key.startsWith(APP_ARMOR_PREFIX)) {
      yield* appArmor(key.slice(APP_ARMOR_PREFIX.length), value, spec, `${field}[${key}]`);
    }
  }
}

/** A whole number of 32 bits without blanks, plus sign or leading zeros. */
const isInt32 = (text: string): boolean => /^(0|-?[1-9][0-9]{0,9})$/.test(text) && Number(text) === (Number(text) | 0);

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

/** A running pod keeps its mirror and AppArmor annotations as they are. */
export function* validatePodAnnotationChanges(annotations: Annotations, old: Annotations, field: string): Findings {
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
}
