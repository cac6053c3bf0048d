// core/v1 Secret: bytes for pods to read; `stringData` is the write-only way to state them as text.
import { age } from '../duration.ts';
import type { Secret } from '../types/core-v1.ts';
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
});

/** `stringData` wins over `data` and is never stored. */
function foldStringData(object: Secret): void {
  if (object.stringData === undefined) return;
  for (const [key, text] of Object.entries(object.stringData)) {
    object.data ??= {};
    object.data[key] = Buffer.from(text, 'utf8').toString('base64');
  }
  delete object.stringData;
}
