// The smallest rules of devices and claims for them (k8s.io/kubernetes/pkg/apis/resource/validation): names, lists with a
// limit, what drivers pass along.
import { fieldErrors } from '../field-error.ts';
import { byteLength, isCIdentifier, isLabelValue } from '../names.ts';
import type { DeviceToleration, OpaqueDeviceConfiguration } from '../types/resource-v1.ts';
import { dnsSubdomain, type Findings, invalidEach, labelKey } from './checks.ts';
import { csiDriverName } from './csi.ts';

const { duplicate, invalid, notSupported, required, tooLong, tooMany } = fieldErrors;

const MAX_POOL_NAME = 253;
const MAX_ID = 32;
const MAX_PARAMETERS_BYTES = 10 * 1024;

export const TAINT_EFFECTS = ['NoExecute', 'NoSchedule', 'None'];

/** At most `max` items, each good; above the limit nothing else is looked at. */
export function* limitedList<T>(
  items: readonly T[] | undefined,
  max: number,
  check: (item: T, field: string) => Findings,
  field: string,
): Findings {
  const all = items ?? [];
  if (all.length > max) {
    yield tooMany(field, all.length, max);
    return;
  }
  for (const [i, item] of all.entries()) yield* check(item, `${field}[${i}]`);
}

/** The same without two items of one key. */
export function* limitedSet<T>(
  items: readonly T[] | undefined,
  max: number,
  check: (item: T, field: string) => Findings,
  keyOf: (item: T) => string,
  field: string,
): Findings {
  yield* limitedList(items, max, check, field);
  const all = items ?? [];
  if (all.length > max) return;
  const seen = new Set<string>();
  for (const [i, item] of all.entries()) {
    const key = keyOf(item);
    if (seen.has(key)) yield duplicate(`${field}[${i}]`, key);
    seen.add(key);
  }
}

export function* poolName(name: string, field: string): Findings {
  if (name === '') {
    yield required(field);
    return;
  }
  if (byteLength(name) > MAX_POOL_NAME) yield tooLong(field, MAX_POOL_NAME);
  for (const part of name.split('/')) yield* dnsSubdomain(part, field);
}

/** `name`, of the driver's own domain, or `domain/name`. */
export function* attributeName(name: string, field: string): Findings {
  const [first = '', second, ...rest] = name.split('/');
  if (rest.length > 0) {
    yield invalid(field, name, 'must not contain more than one slash');
    return;
  }
  if (second === undefined) yield* identifier(first, field);
  else {
    if (first === '') yield invalid(field, '', 'the domain must not be empty');
    else yield* csiDriverName(first, field);
    if (second === '') yield invalid(field, '', 'the name must not be empty');
    else yield* identifier(second, field);
  }
}

export function* fullyQualifiedAttributeName(name: string, field: string): Findings {
  yield* attributeName(name, field);
  if (!name.includes('/')) {
    yield invalid(field, name, 'a fully qualified name must be a domain and a name separated by a slash');
  }
}

function* identifier(id: string, field: string): Findings {
  if (byteLength(id) > MAX_ID) yield tooLong(field, MAX_ID);
  yield* invalidEach(field, id, isCIdentifier(id));
}

export function* deviceToleration(toleration: DeviceToleration, field: string): Findings {
  const { key, operator = '', value = '', effect } = toleration;
  if (key) yield* labelKey(key, `${field}.key`);
  if (operator === 'Exists') {
    if (value) yield invalid(`${field}.value`, value, 'must be empty for operator `Exists`');
  } else if (operator === 'Equal') yield* invalidEach(`${field}.value`, value, isLabelValue(value));
  else if (operator === '') yield required(`${field}.operator`);
  else yield notSupported(`${field}.operator`, operator, ['Equal', 'Exists']);
  if (effect && !TAINT_EFFECTS.includes(effect)) yield notSupported(`${field}.effect`, effect, TAINT_EFFECTS);
}

/** `isStored`: what is there already may be longer than what is new. */
export function* deviceConfiguration(
  opaque: OpaqueDeviceConfiguration | undefined,
  field: string,
  isStored = false,
): Findings {
  if (!opaque) {
    yield required(`${field}.opaque`);
    return;
  }
  yield* csiDriverName(opaque.driver ?? '', `${field}.opaque.driver`);
  const max = isStored ? Number.POSITIVE_INFINITY : MAX_PARAMETERS_BYTES;
  yield* rawObject(opaque.parameters, `${field}.opaque.parameters`, max);
}

/** A value that only a driver understands, but an object it must be. */
export function* rawObject(value: unknown, field: string, maxBytes: number): Findings {
  if (value === undefined || value === null) yield required(field);
  else if (byteLength(JSON.stringify(value)) > maxBytes) yield tooLong(field, maxBytes);
  else if (typeof value !== 'object' || Array.isArray(value)) {
    yield invalid(field, '<value omitted>', 'must be a valid JSON object');
  }
}

/** Conditions that a device must reach, or fail, before a pod is bound. */
export function* bindingConditions(
  device: { bindingConditions?: readonly string[]; bindingFailureConditions?: readonly string[] },
  field: string,
): Findings {
  const { bindingConditions: wanted = [], bindingFailureConditions: failures = [] } = device;
  yield* limitedList(wanted, 4, labelKey, `${field}.bindingConditions`);
  yield* limitedList(failures, 4, labelKey, `${field}.bindingFailureConditions`);
  for (const [i, each] of wanted.entries()) {
    if (wanted.indexOf(each) < i) yield duplicate(`${field}.bindingConditions[${i}]`, each);
  }
  for (const [i, each] of failures.entries()) {
    const path = `${field}.bindingFailureConditions[${i}]`;
    if (failures.indexOf(each) < i) yield duplicate(path, each);
    if (wanted.includes(each)) {
      yield invalid(path, each, 'bindingFailureConditions must not overlap with bindingConditions');
    }
  }
  if (wanted.length === 0 && failures.length > 0) {
    const text = 'bindingConditions are required to use bindingFailureConditions';
    yield invalid(`${field}.bindingConditions`, wanted, text);
  }
  if (failures.length === 0 && wanted.length > 0) {
    const text = 'bindingFailureConditions are required to use bindingConditions';
    yield invalid(`${field}.bindingFailureConditions`, failures, text);
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function* deviceUid(uid: string, field: string): Findings {
  if (UUID.test(uid)) return;
  if (UUID.test(uid.toLowerCase())) {
    const form = 'xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx';
    yield invalid(
      field,
      uid,
      `uid must be in RFC 4122 normalized form, \`${form}\` with lowercase hexadecimal characters`,
    );
  } else yield invalid(field, uid, `error validating uid: invalid UUID length: ${uid.length}`);
}
