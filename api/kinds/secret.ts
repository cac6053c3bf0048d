// core/v1 Secret: bytes for pods to read; `stringData` is the write-only way to state them as text.
import { age } from '../duration.ts';
import type { Secret } from '../types/core-v1.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { IMMUTABLE } from '../validation/checks.ts';
import { decodedLength, MAX_DATA_BYTES, validateImmutable, validateKeys } from '../validation/keyed-data.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const secret = defineKind<Secret>({
  group: '',
  version: 'v1',
  kind: 'Secret',
  resource: 'secrets',
  namespaced: true,
  schema: 'core.v1.Secret',
  columns: [NAME_COLUMN, 'Type', 'Data', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.type ?? '',
    Object.keys(object.data ?? {}).length,
    age(object.metadata.creationTimestamp, nowMs),
  ],
  selectableFields: { type: (object) => object.type ?? '' },

  setDefaults(object) {
    object.type ||= 'Opaque';
    foldStringData(object);
  },

  validate,
  validateUpdate(object, old) {
    const found = [...validateImmutable(object, old, ['data']), ...validate(object)];
    if (object.type !== old.type) found.unshift(fieldErrors.invalid('type', object.type, IMMUTABLE));
    return found;
  },
});

const DOCKER_KEYS: Record<string, string> = {
  'kubernetes.io/dockercfg': '.dockercfg',
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
};

const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';

function validate(object: Secret): FieldError[] {
  const { data = {}, type = '' } = object;
  const found = [...validateKeys(data, 'data')];
  let size = 0;
  for (const value of Object.values(data)) size += decodedLength(value);
  if (size > MAX_DATA_BYTES) found.push(fieldErrors.tooLong('data', MAX_DATA_BYTES));
  const need = (key: string) => found.push(fieldErrors.required(`data[${key}]`));
  const dockerKey = DOCKER_KEYS[type];
  if (type === 'kubernetes.io/service-account-token') {
    if (!object.metadata.annotations?.[SERVICE_ACCOUNT_NAME]) {
      found.push(fieldErrors.required(`metadata.annotations[${SERVICE_ACCOUNT_NAME}]`));
    }
  } else if (dockerKey !== undefined) {
    const value = data[dockerKey];
    if (value === undefined) need(dockerKey);
    else found.push(...dockerConfig(value, `data[${dockerKey}]`));
  } else if (type === 'kubernetes.io/basic-auth') {
    if (data.username === undefined && data.password === undefined) ['username', 'password'].forEach(need);
  } else if (type === 'kubernetes.io/ssh-auth') {
    if (!data['ssh-privatekey']) need('ssh-privatekey');
  } else if (type === 'kubernetes.io/tls') {
    for (const key of ['tls.crt', 'tls.key']) if (data[key] === undefined) need(key);
  }
  return found;
}

/** A JSON object; its text is a secret, so it is not shown. */
function dockerConfig(base64: string, field: string): FieldError[] {
  const redacted = '<secret contents redacted>';
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
    if (value === null || (typeof value === 'object' && !Array.isArray(value))) return [];
    return [fieldErrors.invalid(field, redacted, 'json: cannot unmarshal into a map')];
  } catch {
    return [fieldErrors.invalid(field, redacted, base64 === '' ? 'unexpected end of JSON input' : 'invalid JSON')];
  }
}

/** `stringData` wins over `data` and is never stored. */
function foldStringData(object: Secret): void {
  if (object.stringData === undefined) return;
  for (const [key, text] of Object.entries(object.stringData)) {
    object.data ??= {};
    object.data[key] = Buffer.from(text, 'utf8').toString('base64');
  }
  delete object.stringData;
}
