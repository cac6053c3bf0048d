// core/v1 PersistentVolume: a piece of storage that a claim can have.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { timeFromMs } from '../time-format.ts';
import type { PersistentVolume, PersistentVolumeSpec } from '../types/core-v1.ts';
import { type Findings, IMMUTABLE } from '../validation/checks.ts';
import { describeChange } from '../validation/describe-change.ts';
import { sourceOf, validatePersistentVolume } from '../validation/persistent-volume.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { shortAccessModes, storageClassOf } from './parts/volume-cells.ts';
import { setBlockDefaults } from './parts/volume-defaults.ts';

const { forbidden, invalid } = fieldErrors;

export const persistentVolume = defineKind<PersistentVolume>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  resource: 'persistentvolumes',
  shortNames: ['pv'],
  namespaced: false,
  schema: 'core.v1.PersistentVolume',
  columns: [
    NAME_COLUMN,
    'Capacity',
    'Access Modes',
    'Reclaim Policy',
    'Status',
    'Claim',
    'StorageClass',
    'VolumeAttributesClass',
    'Reason',
    'Age',
    'VolumeMode*',
  ],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    String(spec?.capacity?.storage ?? '0'),
    shortAccessModes(spec?.accessModes),
    spec?.persistentVolumeReclaimPolicy ?? '',
    metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
    spec?.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '',
    storageClassOf(metadata, spec?.storageClassName),
    spec?.volumeAttributesClassName ?? '<unset>',
    status?.reason ?? '',
    age(metadata.creationTimestamp, nowMs),
    spec?.volumeMode ?? '<unset>',
  ],
  selectableFields: { name: nameOf },
  hasStatus: true,
  setDefaults(object) {
    const spec = (object.spec ??= {} as PersistentVolumeSpec);
    spec.persistentVolumeReclaimPolicy ||= 'Retain';
    spec.volumeMode ??= 'Filesystem';
    if (spec.hostPath) spec.hostPath.type ??= '';
    setBlockDefaults(spec);
    (object.status ??= {}).phase ||= 'Pending';
  },
  prepareForCreate(object, { nowMs }) {
    object.status = { phase: 'Pending', lastPhaseTransitionTime: timeFromMs(nowMs) };
  },
  prepareForStatusUpdate({ status }, { status: was }, { nowMs }) {
    if (!status || status.phase === was?.phase) return;
    const { lastPhaseTransitionTime: time } = status;
    if (!time || time === was?.lastPhaseTransitionTime) status.lastPhaseTransitionTime = timeFromMs(nowMs);
  },
  validate: (object) => [...validatePersistentVolume(object)],
  validateUpdate: (object, old) => [...validatePersistentVolume(object), ...change(object.spec ?? {}, old.spec ?? {})],
});

function* change(spec: PersistentVolumeSpec, was: PersistentVolumeSpec): Findings {
  const [source, oldSource] = [sourceOf(spec), sourceOf(was)];
  if (!semanticEqual(source, oldSource)) {
    const rule = 'spec.persistentvolumesource is immutable after creation';
    const detail = `${rule}\n${describeChange(oldSource, source, 'spec.persistentvolumesource')}`;
    yield forbidden('spec.persistentvolumesource', detail);
  }
  if (spec.volumeMode !== was.volumeMode) yield invalid('spec.volumeMode', spec.volumeMode ?? null, IMMUTABLE);
  if (was.nodeAffinity && !semanticEqual(spec.nodeAffinity, was.nodeAffinity)) {
    yield invalid('spec.nodeAffinity', spec.nodeAffinity ?? null, IMMUTABLE);
  }
}
