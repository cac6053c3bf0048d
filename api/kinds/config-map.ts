// core/v1 ConfigMap: text and bytes for pods to read.
import { age } from '../duration.ts';
import type { ConfigMap } from '../types/core-v1.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { byteLength } from '../names.ts';
import { decodedLength, MAX_DATA_BYTES, validateImmutable, validateKeys } from '../validation/keyed-data.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const configMap = defineKind<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  resource: 'configmaps',
  shortNames: ['cm'],
  namespaced: true,
  schema: 'core.v1.ConfigMap',
  columns: [NAME_COLUMN, 'Data', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    Object.keys(object.data ?? {}).length + Object.keys(object.binaryData ?? {}).length,
    age(object.metadata.creationTimestamp, nowMs),
  ],

  validate,
  validateUpdate: (object, old) => [...validateImmutable(object, old, ['data', 'binaryData']), ...validate(object)],
});

function validate({ data = {}, binaryData = {} }: ConfigMap): FieldError[] {
  const found = [...validateKeys(data, 'data'), ...validateKeys(binaryData, 'binaryData')];
  for (const key of Object.keys(data)) {
    if (Object.hasOwn(binaryData, key)) {
      found.push(fieldErrors.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
  }
  let size = 0;
  for (const value of Object.values(data)) size += byteLength(value);
  for (const value of Object.values(binaryData)) size += decodedLength(value);
  // The whole object, so without a field; upstream prints the empty path.
  if (size > MAX_DATA_BYTES) found.push(fieldErrors.tooLong('', MAX_DATA_BYTES));
  return found;
}
