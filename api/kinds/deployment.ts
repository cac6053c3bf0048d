// apps/v1 Deployment: replaces a ReplicaSet by the next, step by step.
import { age } from '../duration.ts';
import { selectorFromObject } from '../selectors.ts';
import type { Deployment } from '../types/apps-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { templateCells } from './parts/workload.ts';

export const deployment = defineKind<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  resource: 'deployments',
  shortNames: ['deploy'],
  categories: ['all'],
  namespaced: true,
  schema: 'apps.v1.Deployment',
  columns: [NAME_COLUMN, 'Ready', 'Up-to-date', 'Available', 'Age', 'Containers*', 'Images*', 'Selector*'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    `${object.status?.readyReplicas ?? 0}/${object.spec?.replicas ?? 0}`,
    object.status?.updatedReplicas ?? 0,
    object.status?.availableReplicas ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
    ...templateCells(object.spec?.template),
    selectorFromObject(object.spec?.selector).toString(),
  ],
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
    const strategy = (spec.strategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = (strategy.rollingUpdate ??= {});
      rolling.maxUnavailable ??= '25%';
      rolling.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    setPodTemplateDefaults(spec.template);
  },
});
