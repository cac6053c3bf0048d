// Data under keys, as ConfigMaps and Secrets hold it: good keys, a megabyte at most, nothing changed once immutable.
import { deepEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { isConfigMapKey } from '../names.ts';
import { type Findings, invalidEach } from './checks.ts';

const { forbidden } = fieldErrors;

export const MAX_DATA_BYTES = 1024 * 1024;

export function* validateKeys(data: Readonly<Record<string, string>> | undefined, field: string): Findings {
  for (const key of Object.keys(data ?? {})) yield* invalidEach(`${field}[${key}]`, key, isConfigMapKey(key));
}

/** The bytes that base64 text stands for. */
export function decodedLength(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return Math.floor((base64.length * 3) / 4) - padding;
}

/** `fields` are the parts that must stay once `immutable` is set; it cannot be taken back. */
export function* validateImmutable<T extends { immutable?: boolean }>(
  object: T,
  old: T,
  fields: readonly (keyof T & string)[],
): Findings {
  if (!old.immutable) return;
  const message = 'field is immutable when `immutable` is set';
  if (!object.immutable) yield forbidden('immutable', message);
  for (const field of fields) {
    if (!deepEqual(object[field] ?? {}, old[field] ?? {})) yield forbidden(field, message);
  }
}
