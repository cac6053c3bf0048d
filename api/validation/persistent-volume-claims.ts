// The specification of a persistent volume claim, as a claim has it and as an ephemeral volume's template has it.
import { fieldErrors } from '../field-error.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { PersistentVolumeClaimSpec, TypedLocalObjectReference, TypedObjectReference } from '../types/core-v1.ts';
import { dnsSubdomain, type Findings, optionalOneOf, POSITIVE } from './checks.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];

export function* validateClaimSpec(spec: PersistentVolumeClaimSpec, field: string): Findings {
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) yield required(`${field}.accessModes`, 'at least 1 access mode is required');
  yield* validateLabelSelector(spec.selector, `${field}.selector`);
  yield* knownModes(modes, `${field}.accessModes`);
  const storage = spec.resources?.requests?.storage;
  if (storage === undefined) yield required(`${field}.resources[storage]`);
  else if (quantityOf(storage).nanos <= 0n) {
    yield invalid(`${field}.resources[storage]`, formatQuantity(quantityOf(storage)), POSITIVE);
  }
  if (spec.storageClassName) yield* dnsSubdomain(spec.storageClassName, `${field}.storageClassName`);
  yield* optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], `${field}.volumeMode`);
  if (spec.dataSource) yield* reference(spec.dataSource, `${field}.dataSource`);
  if (spec.dataSourceRef) yield* reference(spec.dataSourceRef, `${field}.dataSourceRef`);
  if (spec.volumeAttributesClassName) {
    yield* dnsSubdomain(spec.volumeAttributesClassName, `${field}.volumeAttributesClassName`);
  }
}

/** The modes of a volume. */
export function* accessModes(modes: readonly string[], field: string): Findings {
  if (modes.length === 0) yield required(field);
  yield* knownModes(modes, field);
}

function* knownModes(modes: readonly string[], field: string): Findings {
  for (const mode of modes) {
    if (!ACCESS_MODES.includes(mode)) yield notSupported(field, mode, ACCESS_MODES);
  }
  const known = modes.filter((mode) => ACCESS_MODES.includes(mode));
  if (known.includes('ReadWriteOncePod') && known.some((mode) => mode !== 'ReadWriteOncePod')) {
    yield forbidden(field, 'may not use ReadWriteOncePod with other access modes');
  }
}

function* reference(source: TypedLocalObjectReference | TypedObjectReference, field: string): Findings {
  if (!source.name) yield required(`${field}.name`);
  if (!source.kind) yield required(`${field}.kind`);
  if (!source.apiGroup && source.kind !== 'PersistentVolumeClaim') {
    yield invalid(field, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (source.apiGroup) yield* dnsSubdomain(source.apiGroup, `${field}.apiGroup`);
}
