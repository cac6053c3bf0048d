// apps/v1 StatefulSet: pods with names, an order and volumes of their own.
import { age } from '../duration.ts';
import { isDns1123Label } from '../names.ts';
import { selectorFromObject } from '../selectors.ts';
import type { StatefulSet, StatefulSetSpec } from '../types/apps-v1.ts';
import { workloadWarnings } from '../validation/pod-warnings.ts';
import { claimSpecWarnings } from '../validation/storage-warnings.ts';
import {
  validateStatefulSet,
  validateStatefulSetStatus,
  validateStatefulSetUpdate,
} from '../validation/stateful-set.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { replicasScale, templateCells } from './parts/workload.ts';

const KEEPS_ALL =
  'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended';

export const statefulSet = defineKind<StatefulSet>({
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  resource: 'statefulsets',
  shortNames: ['sts'],
  categories: ['all'],
  namespaced: true,
  schema: 'apps.v1.StatefulSet',
  columns: [NAME_COLUMN, 'Ready', 'Age', 'Containers*', 'Images*'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    `${object.status?.readyReplicas ?? 0}/${object.spec?.replicas ?? 0}`,
    age(object.metadata.creationTimestamp, nowMs),
    ...templateCells(object.spec?.template),
  ],
  hasStatus: true,
  hasGeneration: true,
  validateName: (name) => isDns1123Label(name),
  scale: replicasScale((object) => selectorFromObject(object.spec?.selector).toString()),

  setDefaults(object) {
    const spec = (object.spec ??= {} as StatefulSetSpec);
    spec.podManagementPolicy ||= 'OrderedReady';
    const strategy = (spec.updateStrategy ??= {});
    if (!strategy.type) {
      strategy.type = 'RollingUpdate';
      strategy.rollingUpdate ??= {};
    }
    if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate) strategy.rollingUpdate.partition ??= 0;
    const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
    retention.whenDeleted ||= 'Retain';
    retention.whenScaled ||= 'Retain';
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    setPodTemplateDefaults(spec);
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.apiVersion = 'v1';
      claim.kind = 'PersistentVolumeClaim';
      claim.metadata ??= {};
      (claim.spec ??= {}).volumeMode ??= 'Filesystem';
      (claim.status ??= {}).phase ||= 'Pending';
    }
  },
  prepareForCreate(object) {
    object.status = { replicas: 0, availableReplicas: 0 };
    dropDisabledTemplateFields(object.spec?.template);
    dropMaxUnavailable(object);
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.template, old.spec?.template);
    dropMaxUnavailable(object, old);
  },

  validate: (object) => [...validateStatefulSet(object)],
  validateUpdate: (object, old) => [...validateStatefulSetUpdate(object, old)],
  validateStatusUpdate: (object, old) => [...validateStatefulSetStatus(object.status, old.status)],
  warnings: (object, old) => [
    ...workloadWarnings(object, old, object.spec?.template),
    ...(object.spec?.volumeClaimTemplates ?? []).flatMap(({ spec }, i) =>
      // The slip in the path of updates is upstream's.
      claimSpecWarnings(spec ?? {}, `spec.volumeClaimTemplates[${i}]${old ? '.Spec' : ''}`),
    ),
    ...((object.spec?.revisionHistoryLimit ?? 0) < 0 ? [KEEPS_ALL] : []),
  ],
});

/** MaxUnavailableStatefulSet is off by default in 1.36: what was not there before is dropped. */
function dropMaxUnavailable({ spec }: StatefulSet, old?: StatefulSet): void {
  if (old?.spec?.updateStrategy?.rollingUpdate?.maxUnavailable !== undefined) return;
  delete spec?.updateStrategy?.rollingUpdate?.maxUnavailable;
}
