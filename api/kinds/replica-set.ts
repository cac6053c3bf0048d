// apps/v1 ReplicaSet: keeps a number of equal pods.
import { age } from '../duration.ts';
import { formatLabelSelector, selectorFromObject } from '../selectors.ts';
import type { ReplicaSet, ReplicaSetSpec } from '../types/apps-v1.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { type Findings, IMMUTABLE, nonNegative } from '../validation/checks.ts';
import { workloadWarnings } from '../validation/pod-warnings.ts';
import { validateSelectedTemplate } from '../validation/pod-template.ts';
import { validateReplicaCounts } from '../validation/replicas.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { replicasScale, templateCells } from './parts/workload.ts';

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
  scale: replicasScale((object) => selectorFromObject(object.spec?.selector).toString()),

  setDefaults(object) {
    const spec = (object.spec ??= {} as ReplicaSetSpec);
    spec.replicas ??= 1;
    setPodTemplateDefaults(spec);
  },
  prepareForCreate(object) {
    object.status = { replicas: 0 };
    dropDisabledTemplateFields(object.spec?.template);
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.template, old.spec?.template);
  },

  validate,
  validateUpdate(object, old) {
    const found = validate(object);
    const selector = object.spec?.selector;
    if (!semanticEqual(selector, old.spec?.selector))
      found.push(fieldErrors.invalid('spec.selector', selector, IMMUTABLE));
    return found;
  },
  validateStatusUpdate: (object, old) => [...validateReplicaCounts('replicaSet', object.status, old.status)],
  warnings: (object, old) => workloadWarnings(object, old, object.spec?.template),
});

function validate(object: ReplicaSet): FieldError[] {
  return [...findings(object)];
}

const TEMPLATE_WORDS = { empty: 'deployment', deadline: 'ReplicaSet' };

function* findings({ spec = { selector: {} } }: ReplicaSet): Findings {
  yield* nonNegative(spec.replicas, 'spec.replicas');
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  yield* validateSelectedTemplate(spec, 'spec', TEMPLATE_WORDS);
}
