// apps/v1 ReplicaSet: keeps a number of equal pods.
import { age } from '../duration.ts';
import { formatLabelSelector, selectorFromObject } from '../selectors.ts';
import type { ReplicaSet } from '../types/apps-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { templateCells } from './parts/workload.ts';

export const replicaSet = defineKind<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  resource: 'replicasets',
  shortNames: ['rs'],
  categories: ['all'],
  namespaced: true,
  schema: 'apps.v1.ReplicaSet',
  columns: [
    NAME_COLUMN,
    'Desired:integer',
    'Current:integer',
    'Ready:integer',
    'Age',
    'Containers*',
    'Images*',
    'Selector*',
  ],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.replicas ?? 0,
    object.status?.replicas ?? 0,
    object.status?.readyReplicas ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
    ...templateCells(object.spec?.template),
    formatLabelSelector(object.spec?.selector),
  ],
  selectableFields: { 'status.replicas': (object) => String(object.status?.replicas ?? 0) },
  hasStatus: true,
  hasGeneration: true,
  scale: {
    specReplicas: (object) => object.spec?.replicas ?? 0,
    setSpecReplicas(object, replicas) {
      if (object.spec) object.spec.replicas = replicas;
    },
    statusReplicas: (object) => object.status?.replicas ?? 0,
    selector: (object) => selectorFromObject(object.spec?.selector).toString(),
  },

  setDefaults(object) {
    const spec = object.spec;
    if (!spec) return;
    spec.replicas ??= 1;
    setPodTemplateDefaults(spec.template);
  },
});
