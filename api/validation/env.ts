// Environment variables of a container, and the fields of pod and container that they and downward API volumes may name.
import { fieldErrors } from '../field-error.ts';
import { isConfigMapKey, isRelaxedEnvVarName, nameIsDnsSubdomain } from '../names.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import type {
  EnvFromSource,
  EnvVar,
  FileKeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from '../types/core-v1.ts';
import { dnsLabel, type Findings, invalidEach, pathWithoutBacksteps, qualifiedName } from './checks.ts';

const { invalid, notSupported, required } = fieldErrors;

const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];

const CONTAINER_RESOURCES = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];

/** Field paths that exist at all; others cannot be converted, which upstream reports before asking what is allowed here. */
const KNOWN_FIELDS = new Set([
  ...ENV_FIELDS,
  'metadata.labels',
  'metadata.annotations',
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);

export function* validateEnv(env: readonly EnvVar[] | undefined, field: string): Findings {
  for (const [i, each] of (env ?? []).entries()) {
    const at = `${field}[${i}]`;
    if (!each.name) yield required(`${at}.name`);
    else yield* invalidEach(`${at}.name`, each.name, isRelaxedEnvVarName(each.name));
    yield* valueFrom(each, `${at}.valueFrom`);
  }
}

function* valueFrom({ value, valueFrom: from }: EnvVar, field: string): Findings {
  if (!from) return;
  let sources = 0;
  if (from.fieldRef) {
    sources++;
    yield* validateFieldRef(from.fieldRef, ENV_FIELDS, `${field}.fieldRef`);
  }
  if (from.resourceFieldRef) {
    sources++;
    yield* validateResourceFieldRef(from.resourceFieldRef, `${field}.resourceFieldRef`, false);
  }
  if (from.configMapKeyRef) {
    sources++;
    yield* keyRef(from.configMapKeyRef, `${field}.configMapKeyRef`);
  }
  if (from.secretKeyRef) {
    sources++;
    yield* keyRef(from.secretKeyRef, `${field}.secretKeyRef`);
  }
  if (from.fileKeyRef) {
    sources++;
    yield* fileKeyRef(from.fileKeyRef, `${field}.fileKeyRef`);
  }
  if (sources === 0) {
    yield invalid(
      field,
      '',
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
    );
  } else if (value) yield invalid(field, '', 'may not be specified when `value` is not empty');
  else if (sources > 1) yield invalid(field, '', 'may not have more than one field specified at a time');
}

function* keyRef(ref: { name?: string; key: string }, field: string): Findings {
  yield* invalidEach(`${field}.name`, ref.name ?? '', nameIsDnsSubdomain(ref.name ?? '', false));
  if (!ref.key) yield required(`${field}.key`);
  else yield* invalidEach(`${field}.key`, ref.key, isConfigMapKey(ref.key));
}

function* fileKeyRef(ref: FileKeySelector, field: string): Findings {
  if (!ref.key) yield required(`${field}.key`);
  else yield* invalidEach(`${field}.key`, ref.key, isRelaxedEnvVarName(ref.key));
  if (!ref.volumeName) yield required(`${field}.volumeName`);
  else yield* dnsLabel(ref.volumeName, `${field}.volumeName`);
  if (!ref.path) yield required(`${field}.path`);
  else yield* pathWithoutBacksteps(ref.path, `${field}.path`);
}

const SUBSCRIPT = /^(.+?)\['(.*)'\]$/s;

/** `allowed` must be sorted: the message lists it. */
export function* validateFieldRef(ref: ObjectFieldSelector, allowed: readonly string[], field: string): Findings {
  if (!ref.apiVersion) {
    yield required(`${field}.apiVersion`);
    return;
  }
  if (!ref.fieldPath) {
    yield required(`${field}.fieldPath`);
    return;
  }
  // Clients of long ago know the node by another name.
  const known = ref.fieldPath === 'spec.host' ? 'spec.nodeName' : ref.fieldPath;
  const [, path = known, subscript] = SUBSCRIPT.exec(known) ?? [];
  if (ref.apiVersion !== 'v1') {
    yield invalid(
      `${field}.fieldPath`,
      ref.fieldPath,
      `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`,
    );
  } else if (subscript !== undefined && path !== 'metadata.annotations' && path !== 'metadata.labels') {
    yield invalid(
      `${field}.fieldPath`,
      ref.fieldPath,
      `error converting fieldPath: field label does not support subscript: ${ref.fieldPath}`,
    );
  } else if (subscript !== undefined) {
    yield* qualifiedName(path === 'metadata.annotations' ? subscript.toLowerCase() : subscript, field);
  } else if (!KNOWN_FIELDS.has(path)) {
    yield invalid(
      `${field}.fieldPath`,
      ref.fieldPath,
      `error converting fieldPath: field label not supported: ${ref.fieldPath}`,
    );
  } else if (!allowed.includes(path)) yield notSupported(`${field}.fieldPath`, path, allowed);
}

export function* validateResourceFieldRef(ref: ResourceFieldSelector, field: string, inVolume: boolean): Findings {
  if (inVolume && !ref.containerName) yield required(`${field}.containerName`);
  else if (!ref.resource) yield required(`${field}.resource`);
  else if (!CONTAINER_RESOURCES.includes(ref.resource) && !/^(requests|limits)\.hugepages-/.test(ref.resource)) {
    yield notSupported(`${field}.resource`, ref.resource, CONTAINER_RESOURCES);
  }
  yield* divisor(ref, `${field}.divisor`);
}

const SIZES = '1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei';

function* divisor({ resource = '', divisor: value }: ResourceFieldSelector, field: string): Findings {
  const quantity = quantityOf(value);
  if (quantity.nanos === 0n) return;
  const text = formatQuantity(quantity);
  const [, name = ''] = /^(?:requests|limits)\.(.*)$/s.exec(resource) ?? [];
  if (name === 'cpu') {
    if (text !== '1' && text !== '1m') {
      yield invalid(field, resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  const called =
    name === 'memory'
      ? 'memory'
      : name === 'ephemeral-storage'
        ? 'local ephemeral storage'
        : name.startsWith('hugepages-')
          ? 'hugepages'
          : undefined;
  if (called && !SIZES.split(', ').includes(text)) {
    yield invalid(field, resource, `only divisor's values ${SIZES} are supported with the ${called} resource`);
  }
}

export function* validateEnvFrom(sources: readonly EnvFromSource[] | undefined, field: string): Findings {
  for (const [i, { prefix, configMapRef, secretRef }] of (sources ?? []).entries()) {
    const at = `${field}[${i}]`;
    if (prefix) yield* invalidEach(`${at}.prefix`, prefix, isRelaxedEnvVarName(prefix));
    if (configMapRef) yield* sourceName(configMapRef.name, `${at}.configMapRef.name`);
    if (secretRef) yield* sourceName(secretRef.name, `${at}.secretRef.name`);
    // Upstream names the list, not the entry.
    if (!configMapRef && !secretRef) yield invalid(field, '', 'must specify one of: `configMapRef` or `secretRef`');
    else if (configMapRef && secretRef) {
      yield invalid(field, '', 'may not have more than one field specified at a time');
    }
  }
}

function* sourceName(name: string | undefined, field: string): Findings {
  if (!name) yield required(field);
  else yield* invalidEach(field, name, nameIsDnsSubdomain(name, true));
}
