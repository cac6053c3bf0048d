// The specification of a persistent volume claim, as a claim has it and as an ephemeral volume's template has it.
import { fieldErrors } from '../field-error.ts';
import { formatQuantity, intValue, type Quantity, quantityOf } from '../quantity.ts';
import { isQualifiedName, nameIsDnsLabel } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  TypedLocalObjectReference,
  TypedObjectReference,
} from '../types/core-v1.ts';
import { dnsSubdomain, type Findings, invalidEach, optionalOneOf, POSITIVE } from './checks.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];

/** What a stored claim may go on to have, because it has it (or, of a group, one at all). */
export interface ClaimTolerance {
  anySourceGroup?: boolean;
  invalidSelectorValues?: boolean;
}

export const claimTolerance = (old: PersistentVolumeClaimSpec): ClaimTolerance => ({
  anySourceGroup: old.dataSource?.apiGroup !== undefined || old.dataSourceRef?.apiGroup !== undefined,
  invalidSelectorValues: validateLabelSelector(old.selector, '').length > 0,
});

export function* validateClaimSpec(
  spec: PersistentVolumeClaimSpec,
  field: string,
  { anySourceGroup = false, invalidSelectorValues = false }: ClaimTolerance = {},
): Findings {
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) yield required(`${field}.accessModes`, 'at least 1 access mode is required');
  yield* validateLabelSelector(spec.selector, `${field}.selector`, { allowInvalidValues: invalidSelectorValues });
  yield* knownModes(modes, `${field}.accessModes`);
  const storage = spec.resources?.requests?.storage;
  if (storage === undefined) yield required(`${field}.resources[storage]`);
  else if (quantityOf(storage).nanos <= 0n) {
    yield invalid(`${field}.resources[storage]`, formatQuantity(quantityOf(storage)), POSITIVE);
  }
  if (spec.storageClassName) yield* dnsSubdomain(spec.storageClassName, `${field}.storageClassName`);
  yield* optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], `${field}.volumeMode`);
  yield* dataSources(spec, field, anySourceGroup);
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

function* dataSources(
  { dataSource, dataSourceRef }: PersistentVolumeClaimSpec,
  field: string,
  anyGroup: boolean,
): Findings {
  if (dataSource) yield* reference(dataSource, `${field}.dataSource`, anyGroup);
  if (!dataSourceRef) return;
  yield* reference(dataSourceRef, `${field}.dataSourceRef`, anyGroup);
  const { namespace } = dataSourceRef;
  if (namespace) {
    yield* invalidEach(`${field}.dataSourceRef.namespace`, namespace, nameIsDnsLabel(namespace, false));
    if (dataSource) yield invalid(field, {}, 'may not be specified when dataSourceRef.namespace is specified');
    return;
  }
  const isSame =
    dataSource?.apiGroup === dataSourceRef.apiGroup &&
    dataSource?.kind === dataSourceRef.kind &&
    dataSource?.name === dataSourceRef.name;
  // Upstream shows a path as the value, of which nothing is left.
  if (dataSource && !isSame) yield invalid(field, {}, 'must match dataSourceRef');
}

function* reference(
  source: TypedLocalObjectReference | TypedObjectReference,
  field: string,
  anyGroup: boolean,
): Findings {
  if (!source.name) yield required(`${field}.name`);
  if (!source.kind) yield required(`${field}.kind`);
  if (!source.apiGroup && source.kind !== 'PersistentVolumeClaim') {
    yield invalid(field, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (source.apiGroup && !anyGroup) yield* dnsSubdomain(source.apiGroup, `${field}.apiGroup`);
}

/** Sorted as upstream lists them. */
const RESIZE_STATES = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
];

/** What nodes and controllers report of a claim. */
export function* validateClaimStatus({ spec = {}, status = {} }: PersistentVolumeClaim): Findings {
  // The path is upstream's.
  if ((spec.accessModes ?? []).length === 0) yield required('Spec.accessModes');
  for (const [name, value] of Object.entries(status.capacity ?? {})) {
    yield* basicResource(quantityOf(value), `status.capacity[${name}]`);
  }
  for (const [name, state] of Object.entries(status.allocatedResourceStatuses ?? {})) {
    const field = 'status.allocatedResourceStatus';
    yield* storageName(name, field);
    // Upstream shows the name of the resource.
    if (!RESIZE_STATES.includes(state)) yield notSupported(field, name, RESIZE_STATES);
  }
  for (const [name, value] of Object.entries(status.allocatedResources ?? {})) {
    const wrong = [...storageName(name, 'status.allocatedResources')];
    yield* wrong;
    if (wrong.length === 0) yield* basicResource(quantityOf(value), `status.allocatedResources[${name}]`);
  }
}

/** The value is shown in whole units. */
export function* basicResource(quantity: Quantity, field: string): Findings {
  const value = intValue(quantity);
  if (value < 0) yield invalid(field, value, 'must be a valid resource quantity');
}

/** Of Kubernetes' own resources only storage; others are the driver's. */
function* storageName(name: string, field: string): Findings {
  const messages = isQualifiedName(name);
  yield* invalidEach(field, name, messages);
  const isNative = !name.includes('/') || name.includes('kubernetes.io/');
  if (messages.length === 0 && isNative && name !== 'storage') yield notSupported(field, name, ['storage']);
}
