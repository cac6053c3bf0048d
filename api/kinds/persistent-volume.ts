// core/v1 PersistentVolume: a piece of storage that a claim can have.
import { age } from '../duration.ts';
import { deepClone, semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { timeFromMs } from '../time-format.ts';
import type { PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity } from '../types/core-v1.ts';
import { type Findings, IMMUTABLE } from '../validation/checks.ts';
import { describeChange } from '../validation/describe-change.ts';
import { STABLE_LABELS } from '../validation/node-labels.ts';
import { sourceOf, validatePersistentVolume } from '../validation/persistent-volume.ts';
import { volumeWarnings } from '../validation/storage-warnings.ts';
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
  warnings: volumeWarnings,
  validateUpdate: (object, old) => [...validatePersistentVolume(object), ...change(object.spec ?? {}, old.spec ?? {})],
});

/** The secret for growing a volume may come later. */
function withoutNewExpandSecret(spec: PersistentVolumeSpec, was: PersistentVolumeSpec): PersistentVolumeSpec {
  if (!spec.csi || !was.csi || was.csi.controllerExpandSecretRef) return spec;
  const { controllerExpandSecretRef: _, ...csi } = spec.csi;
  return { ...spec, csi };
}

/** `old` with the labels of today in place of their beta names, where `now` has them there. */
function withNewLabels(old: VolumeNodeAffinity, now: VolumeNodeAffinity | undefined): VolumeNodeAffinity {
  const copy = deepClone(old);
  for (const [i, term] of (copy.required?.nodeSelectorTerms ?? []).entries()) {
    for (const list of ['matchExpressions', 'matchFields'] as const) {
      for (const [j, each] of (term[list] ?? []).entries()) {
        const key = now?.required?.nodeSelectorTerms?.[i]?.[list]?.[j]?.key;
        if (key !== undefined && STABLE_LABELS[each.key] === key) each.key = key;
      }
    }
  }
  return copy;
}

function* change(spec: PersistentVolumeSpec, was: PersistentVolumeSpec): Findings {
  const [source, oldSource] = [sourceOf(withoutNewExpandSecret(spec, was)), sourceOf(was)];
  if (!semanticEqual(source, oldSource)) {
    const rule = 'spec.persistentvolumesource is immutable after creation';
    const detail = `${rule}\n${describeChange(oldSource, source, 'spec.persistentvolumesource')}`;
    yield forbidden('spec.persistentvolumesource', detail);
  }
  if (spec.volumeMode !== was.volumeMode) yield invalid('volumeMode', spec.volumeMode ?? null, IMMUTABLE);
  if (was.nodeAffinity && !semanticEqual(spec.nodeAffinity, withNewLabels(was.nodeAffinity, spec.nodeAffinity))) {
    const detail = `${IMMUTABLE}, except for updating from beta label to GA`;
    yield invalid('nodeAffinity', spec.nodeAffinity ?? null, detail);
  }
  if (was.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    yield forbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden');
  }
}
