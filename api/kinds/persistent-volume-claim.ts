// core/v1 PersistentVolumeClaim: a request for storage.
import { age } from '../duration.ts';
import { deepClone, semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { compareQuantities, quantityOf } from '../quantity.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../types/core-v1.ts';
import { type Findings, IMMUTABLE } from '../validation/checks.ts';
import { describeChange } from '../validation/describe-change.ts';
import { claimWarnings } from '../validation/storage-warnings.ts';
import { claimTolerance, validateClaimSpec, validateClaimStatus } from '../validation/persistent-volume-claims.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { shortAccessModes, storageClassOf } from './parts/volume-cells.ts';

const { forbidden, invalid } = fieldErrors;

const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';

export const persistentVolumeClaim = defineKind<PersistentVolumeClaim>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  resource: 'persistentvolumeclaims',
  shortNames: ['pvc'],
  namespaced: true,
  schema: 'core.v1.PersistentVolumeClaim',
  columns: [
    NAME_COLUMN,
    'Status',
    'Volume',
    'Capacity',
    'Access Modes',
    'StorageClass',
    'VolumeAttributesClass',
    'Age',
    'VolumeMode*',
  ],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
    spec?.volumeName ?? '',
    spec?.volumeName ? String(status?.capacity?.storage ?? '0') : '',
    spec?.volumeName ? shortAccessModes(status?.accessModes) : '',
    storageClassOf(metadata, spec?.storageClassName),
    spec?.volumeAttributesClassName ?? '<unset>',
    age(metadata.creationTimestamp, nowMs),
    spec?.volumeMode ?? '<unset>',
  ],
  selectableFields: { name: nameOf },
  hasStatus: true,
  setDefaults(object) {
    object.spec ??= {};
    object.spec.volumeMode ??= 'Filesystem';
    (object.status ??= {}).phase ||= 'Pending';
  },
  prepareForCreate(object) {
    object.status = { phase: 'Pending' };
    if (object.spec) settleSources(object.spec, undefined);
  },
  prepareForUpdate(object, old) {
    if (object.spec) settleSources(object.spec, old.spec);
  },
  validate: ({ spec }) => [...validateClaimSpec(spec ?? {}, 'spec')],
  validateUpdate: (object, old) => [
    ...validateClaimSpec(object.spec ?? {}, 'spec', claimTolerance(old.spec ?? {})),
    ...change(object, old),
  ],
  validateStatusUpdate: (object) => [...validateClaimStatus(object)],
  warnings: claimWarnings,
});

/**
 * What cannot be a source is dropped, unless the claim has one already: a source in another namespace
 * (CrossNamespaceVolumeDataSource is off), and, in the older field, what is neither a claim nor a snapshot.
 */
function settleSources(spec: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec | undefined): void {
  if (spec.dataSourceRef?.namespace && !old?.dataSourceRef) delete spec.dataSourceRef;
  if (!old?.dataSource && !old?.dataSourceRef && !spec.dataSourceRef && !isClaimOrSnapshot(spec.dataSource)) {
    delete spec.dataSource;
  }
  alignSources(spec);
}

function isClaimOrSnapshot(source: PersistentVolumeClaimSpec['dataSource']): boolean {
  const group = source?.apiGroup ?? '';
  return (
    (source?.kind === 'PersistentVolumeClaim' && group === '') ||
    (source?.kind === 'VolumeSnapshot' && group === 'snapshot.storage.k8s.io')
  );
}

/** The older field says the same as the newer one, where it can. */
function alignSources(spec: PersistentVolumeClaimSpec): void {
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = deepClone(spec.dataSource);
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace) {
    spec.dataSource = deepClone(spec.dataSourceRef);
  }
}

function* change({ metadata, spec = {} }: PersistentVolumeClaim, stored: PersistentVolumeClaim): Findings {
  const was = stored.spec ?? {};
  const isBound = stored.status?.phase === 'Bound';
  const same: PersistentVolumeClaimSpec = deepClone(spec);
  if (!was.volumeName) same.volumeName = was.volumeName;
  const annotation = metadata.annotations?.[CLASS_ANNOTATION];
  const oldAnnotation = stored.metadata.annotations?.[CLASS_ANNOTATION];
  const isNamedFirst = was.storageClassName === undefined && spec.storageClassName !== undefined;
  if (isNamedFirst && (oldAnnotation === undefined || spec.storageClassName === oldAnnotation)) {
    same.storageClassName = was.storageClassName;
  }
  // The annotation may go where the field takes over what it says.
  const isMoved = isNamedFirst && spec.storageClassName === oldAnnotation && annotation === undefined;
  if ((annotation ?? '') !== (oldAnnotation ?? '') && !isMoved) {
    yield invalid(`metadata.annotations.${CLASS_ANNOTATION}`, annotation ?? '', IMMUTABLE);
  }
  if (isBound) {
    if (same.volumeAttributesClassName !== undefined) same.volumeAttributesClassName = was.volumeAttributesClassName;
    if (same.resources?.requests && was.resources?.requests?.storage !== undefined) {
      same.resources.requests.storage = was.resources.requests.storage;
    }
  }
  if (!semanticEqual(same, was)) {
    const rule =
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';
    yield forbidden('spec', `${rule}\n${describeChange(was, same, 'spec')}`);
  }
  const [size, oldSize] = [spec.resources?.requests?.storage, was.resources?.requests?.storage];
  if (size !== undefined && oldSize !== undefined && compareQuantities(quantityOf(size), quantityOf(oldSize)) < 0) {
    const capacity = quantityOf(stored.status?.capacity?.storage);
    if (compareQuantities(quantityOf(size), capacity) <= 0) {
      yield forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity');
    }
  }
  if (spec.volumeMode !== was.volumeMode) yield invalid('volumeMode', spec.volumeMode ?? null, IMMUTABLE);
  const attributes = spec.volumeAttributesClassName;
  if (was.volumeAttributesClassName === undefined || attributes === was.volumeAttributesClassName) return;
  const field = 'spec.volumeAttributesClassName';
  if (attributes === undefined) yield forbidden(field, 'update from non-nil value to nil is forbidden');
  else if (attributes === '') yield forbidden(field, 'update from non-nil value to an empty string is forbidden');
}
