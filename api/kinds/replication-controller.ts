// core/v1 ReplicationController: what a ReplicaSet was before it had selectors with expressions.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { formatLabels, selectorFromMap } from '../selectors.ts';
import type { ReplicationController, ReplicationControllerSpec } from '../types/core-v1.ts';
import { type Findings, nonNegative } from '../validation/checks.ts';
import { validatePodTemplate } from '../validation/pod-template.ts';
import { workloadWarnings } from '../validation/pod-warnings.ts';
import { validateReplicaCounts } from '../validation/replicas.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { replicasScale, templateCells } from './parts/workload.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;
const COUNTS = ['Desired:integer', 'Current:integer', 'Ready:integer'];

export const replicationController = defineKind<ReplicationController>({
  group: '',
  version: 'v1',
  kind: 'ReplicationController',
  resource: 'replicationcontrollers',
  shortNames: ['rc'],
  categories: ['all'],
  namespaced: true,
  schema: 'core.v1.ReplicationController',
  columns: [NAME_COLUMN, ...COUNTS, 'Age', 'Containers*', 'Images*', 'Selector*'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.replicas ?? 0,
    object.status?.replicas ?? 0,
    object.status?.readyReplicas ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
    ...templateCells(object.spec?.template),
    formatLabels(object.spec?.selector),
  ],
  selectableFields: { 'status.replicas': (object) => String(object.status?.replicas ?? 0) },
  hasStatus: true,
  hasGeneration: true,
  orphansByDefault: {},
  scale: replicasScale((object) => selectorFromMap(object.spec?.selector).toString()),
  setDefaults(object) {
    const spec = (object.spec ??= {} as ReplicationControllerSpec);
    const labels = spec.template?.metadata?.labels;
    if (labels) {
      if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
      if (Object.keys(object.metadata.labels ?? {}).length === 0) object.metadata.labels = { ...labels };
    }
    spec.replicas ??= 1;
    if (spec.template) setPodTemplateDefaults(spec);
  },
  prepareForCreate(object) {
    object.status = { replicas: 0 };
    dropDisabledTemplateFields(object.spec?.template);
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.template, old.spec?.template);
  },
  validate: (object) => [...findings(object)],
  validateStatusUpdate: (object, old) => [...validateReplicaCounts('replicaSet', object.status, old.status)],
  warnings: (object, old) => workloadWarnings(object, old, object.spec?.template),
});

function* findings({ spec = {} as ReplicationControllerSpec }: ReplicationController): Findings {
  const { selector = {}, template } = spec;
  const isEmpty = Object.keys(selector).length === 0;
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  if (isEmpty) yield required('spec.selector');
  yield* nonNegative(spec.replicas, 'spec.replicas');
  if (!template) {
    yield required('spec.template');
    return;
  }
  const labels = template.metadata?.labels;
  if (!isEmpty && !selectorFromMap(selector).matches(labels ?? {})) {
    yield invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  }
  yield* validatePodTemplate(template, 'spec.template');
  if (template.spec?.restartPolicy !== 'Always') {
    yield notSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const detail = 'activeDeadlineSeconds in ReplicationController is not Supported';
    yield forbidden('spec.template.spec.activeDeadlineSeconds', detail);
  }
}
