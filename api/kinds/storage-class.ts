// storage.k8s.io/v1 StorageClass: how volumes of a sort are made.
import { isDeepStrictEqual } from 'node:util';
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { TopologySelectorTerm } from '../types/core-v1.ts';
import type { StorageClass } from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, labelKey, optionalOneOf } from '../validation/checks.ts';
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
  const { volumeBindingMode: mode } = object;
  if (mode === undefined) yield required('volumeBindingMode');
  yield* optionalOneOf(mode, ['Immediate', 'WaitForFirstConsumer'], 'volumeBindingMode');
  yield* topologies(object.allowedTopologies ?? []);
}

function* topologies(terms: readonly TopologySelectorTerm[]): Findings {
  // Upstream compares each term with as many empty ones as there are terms, and then with those before it.
  const known = terms.map((): ReadonlyMap<string, ReadonlySet<string>> => new Map());
  for (const [i, term] of terms.entries()) {
    yield* topologyTerm(term, `allowedTopologies[${i}]`);
    const sets = new Map((term.matchLabelExpressions ?? []).map(({ key, values }) => [key, new Set(values)]));
    for (const each of known) {
      if (isDeepStrictEqual(each, sets)) yield duplicate(`allowedTopologies[${i}].matchLabelExpressions`, '');
    }
    known.push(sets);
  }
}

function* topologyTerm({ matchLabelExpressions = [] }: TopologySelectorTerm, at: string): Findings {
  const seen = new Set<string>();
  for (const [i, { key = '', values = [] }] of matchLabelExpressions.entries()) {
    const field = `${at}.matchLabelExpressions[${i}]`;
    if (values.length === 0) yield required(`${field}.values`);
    for (const [j, value] of values.entries()) {
      if (values.indexOf(value) < j) yield duplicate(`${field}.values[${j}]`, value);
    }
    yield* labelKey(key, `${field}.key`);
    if (seen.has(key)) yield duplicate(`${field}.key`, key);
    seen.add(key);
  }
}
