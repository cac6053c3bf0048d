// storage.k8s.io/v1 CSIStorageCapacity: what a driver still has, for a class and a part of the cluster.
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { nameIsDnsSubdomain } from '../names.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { CSIStorageCapacity } from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, invalidEach, NOT_NEGATIVE } from '../validation/checks.ts';
import { capacityWarnings } from '../validation/storage-warnings.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { invalid } = fieldErrors;

export const csiStorageCapacity = defineKind<CSIStorageCapacity>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIStorageCapacity',
  resource: 'csistoragecapacities',
  namespaced: true,
  schema: 'storage.v1.CSIStorageCapacity',
  columns: [NAME_COLUMN, 'Created At:date'],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? null],

  allowUnconditionalUpdate: false,
  validate: (object) => [...findings(object, {})],
  warnings: capacityWarnings,
  validateUpdate(object, old) {
    const allowInvalidValues = validateLabelSelector(old.nodeTopology, '').length > 0;
    const found = [...findings(object, { allowInvalidValues })];
    for (const name of ['nodeTopology', 'storageClassName'] as const) {
      if (!semanticEqual(object[name], old[name])) found.push(invalid(name, object[name], IMMUTABLE));
    }
    return found;
  },
});

function* findings(object: CSIStorageCapacity, options: { allowInvalidValues?: boolean }): Findings {
  yield* validateLabelSelector(object.nodeTopology, 'nodeTopology', options);
  const className = object.storageClassName ?? '';
  yield* invalidEach('storageClassName', className, nameIsDnsSubdomain(className, false));
  const quantity = quantityOf(object.capacity ?? 0);
  if (quantity.nanos < 0n) yield invalid('capacity', formatQuantity(quantity), NOT_NEGATIVE);
}
