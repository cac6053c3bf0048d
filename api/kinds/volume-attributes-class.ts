// storage.k8s.io/v1 VolumeAttributesClass: parameters of volumes that may change while they live.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { VolumeAttributesClass } from '../types/storage-v1.ts';
import type { Findings } from '../validation/checks.ts';
import { provisionerName, storageParameters } from '../validation/storage-parameters.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { forbidden, required } = fieldErrors;

export const volumeAttributesClass = defineKind<VolumeAttributesClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttributesClass',
  resource: 'volumeattributesclasses',
  shortNames: ['vac'],
  namespaced: false,
  schema: 'storage.v1.VolumeAttributesClass',
  columns: [NAME_COLUMN, 'DriverName', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.driverName ?? '',
    age(object.metadata.creationTimestamp, nowMs),
  ],

  validate: (object) => [...findings(object)],
  validateUpdate(object, old) {
    const found = [];
    for (const name of ['driverName', 'parameters'] as const) {
      if (!semanticEqual(object[name], old[name])) found.push(forbidden(name, `updates to ${name} are forbidden.`));
    }
    return [...found, ...findings(object)];
  },
});

function* findings({ driverName = '', parameters = {} }: VolumeAttributesClass): Findings {
  yield* provisionerName(driverName, 'driverName');
  yield* storageParameters(parameters, 'parameters');
  if (Object.keys(parameters).length === 0) yield required('parameters', 'must contain at least one key/value pair');
}
