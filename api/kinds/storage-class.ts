// storage.k8s.io/v1 StorageClass: how volumes of a sort are made.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { StorageClass } from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, labelKey, oneOf, optionalOneOf } from '../validation/checks.ts';
import { classWarnings } from '../validation/storage-warnings.ts';
import { provisionerName, storageParameters } from '../validation/storage-parameters.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { duplicate, forbidden, invalid, required } = fieldErrors;

const DEFAULT_MARKS = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
];

export const storageClass = defineKind<StorageClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  resource: 'storageclasses',
  shortNames: ['sc'],
  namespaced: false,
  schema: 'storage.v1.StorageClass',
  columns: [NAME_COLUMN, 'Provisioner', 'ReclaimPolicy', 'VolumeBindingMode', 'AllowVolumeExpansion', 'Age'],
  cells: (object, { nowMs }) => [
    DEFAULT_MARKS.some((mark) => object.metadata.annotations?.[mark] === 'true')
      ? `${nameOf(object)} (default)`
      : nameOf(object),
    object.provisioner ?? '',
    object.reclaimPolicy ?? 'Delete',
    object.volumeBindingMode ?? 'Immediate',
    object.allowVolumeExpansion ?? false,
    age(object.metadata.creationTimestamp, nowMs),
  ],
  setDefaults(object) {
    object.reclaimPolicy ??= 'Delete';
    object.volumeBindingMode ??= 'Immediate';
  },
  validate: (object) => [...findings(object)],
  warnings: classWarnings,
  validateUpdate(object, old) {
    const found: FieldError[] = [...findings(object)];
    for (const name of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
      if (!semanticEqual(object[name], old[name])) found.push(forbidden(name, `updates to ${name} are forbidden.`));
    }
    if (object.volumeBindingMode !== old.volumeBindingMode) {
      found.push(invalid('volumeBindingMode', object.volumeBindingMode, IMMUTABLE));
    }
    return found;
  },
});

function* findings(object: StorageClass): Findings {
  const { provisioner = '', parameters = {} } = object;
  yield* provisionerName(provisioner, 'provisioner');
  yield* storageParameters(parameters, 'parameters');
  if (object.reclaimPolicy) yield* optionalOneOf(object.reclaimPolicy, ['Delete', 'Retain'], 'reclaimPolicy');
  yield* oneOf(object.volumeBindingMode, ['Immediate', 'WaitForFirstConsumer'], 'volumeBindingMode');
  for (const [i, { matchLabelExpressions = [] }] of (object.allowedTopologies ?? []).entries()) {
    const seen = new Set<string>();
    for (const [j, { key = '', values = [] }] of matchLabelExpressions.entries()) {
      const field = `allowedTopologies[${i}].matchLabelExpressions[${j}]`;
      if (seen.has(key)) yield duplicate(`${field}.key`, key);
      seen.add(key);
      if (values.length === 0) yield required(`${field}.values`);
      for (const [k, value] of values.entries()) {
        if (values.indexOf(value) < k) yield duplicate(`${field}.values[${k}]`, value);
      }
      yield* labelKey(key, `${field}.key`);
    }
  }
}
