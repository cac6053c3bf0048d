// apps/v1 Deployment: replaces a ReplicaSet by the next, step by step.
import { age } from '../duration.ts';
import { formatLabelSelector, selectorFromObject } from '../selectors.ts';
import type { Deployment, DeploymentSpec, DeploymentStrategy } from '../types/apps-v1.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { type Findings, IMMUTABLE, nonNegative } from '../validation/checks.ts';
import { workloadWarnings } from '../validation/pod-warnings.ts';
import { validateSelectedTemplate } from '../validation/pod-template.ts';
import { intOrPercent, isZero, notMoreThan100Percent, validateReplicaCounts } from '../validation/replicas.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { replicasScale, templateCells } from './parts/workload.ts';

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
    formatLabelSelector(object.spec?.selector),
  ],
  hasStatus: true,
  hasGeneration: true,
  scale: replicasScale((object) => selectorFromObject(object.spec?.selector).toString()),

  setDefaults(object) {
    const spec = (object.spec ??= {} as DeploymentSpec);
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
    setPodTemplateDefaults(spec);
  },
  prepareForCreate(object) {
    object.status = {};
    dropDisabledTemplateFields(object.spec?.template);
  },
  /** Annotations count here too: the deployment's own are copied to its ReplicaSets. */
  prepareForUpdate({ metadata, spec }, { metadata: was, spec: old }) {
    dropDisabledTemplateFields(spec?.template, old?.template);
    if (!semanticEqual(metadata.annotations, was.annotations)) metadata.generation = (was.generation ?? 0) + 1;
  },
  prepareForStatusUpdate({ metadata }, { metadata: was }) {
    metadata.labels = was.labels;
  },

  validate,
  validateUpdate(object, old) {
    const found = validate(object);
    const selector = object.spec?.selector;
    if (!semanticEqual(selector, old.spec?.selector))
      found.push(fieldErrors.invalid('spec.selector', selector, IMMUTABLE));
    return found;
  },
  validateStatusUpdate: (object, old) => [...validateReplicaCounts('deployment', object.status, old.status)],
  warnings: (object, old) => workloadWarnings(object, old, object.spec?.template),
});

function validate(object: Deployment): FieldError[] {
  return [...findings(object)];
}

const TEMPLATE_WORDS = { empty: 'deployment', deadline: 'ReplicaSet' };

function* findings({ spec = { selector: {}, template: {} } }: Deployment): Findings {
  yield* nonNegative(spec.replicas, 'spec.replicas');
  yield* validateSelectedTemplate(spec, 'spec', TEMPLATE_WORDS);
  yield* strategy(spec.strategy ?? {}, 'spec.strategy');
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  yield* nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit');
  const deadline = spec.progressDeadlineSeconds;
  yield* nonNegative(deadline, 'spec.progressDeadlineSeconds');
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    yield fieldErrors.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds');
  }
}

function* strategy(each: DeploymentStrategy, field: string): Findings {
  const rolling = each.rollingUpdate;
  if (each.type === 'Recreate') {
    if (rolling) {
      yield fieldErrors.forbidden(`${field}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'");
    }
  } else if (each.type !== 'RollingUpdate') {
    const found = fieldErrors.notSupported(field, '', ['Recreate', 'RollingUpdate']);
    yield { ...found, body: found.body.replace('""', JSON.stringify(each)) };
  } else if (!rolling) {
    yield fieldErrors.required(`${field}.rollingUpdate`, 'this should be defaulted and never be nil');
  } else {
    const { maxUnavailable, maxSurge } = rolling;
    yield* intOrPercent(maxUnavailable, `${field}.rollingUpdate.maxUnavailable`);
    yield* intOrPercent(maxSurge, `${field}.rollingUpdate.maxSurge`);
    if (isZero(maxUnavailable) && isZero(maxSurge)) {
      yield fieldErrors.invalid(
        `${field}.rollingUpdate.maxUnavailable`,
        maxUnavailable,
        'may not be 0 when `maxSurge` is 0',
      );
    }
    yield* notMoreThan100Percent(maxUnavailable, `${field}.rollingUpdate.maxUnavailable`);
  }
}
