// apps/v1 DaemonSet: one pod on every node that fits.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { formatLabels, formatLabelSelector, selectorFromObject, validateLabelSelector } from '../selectors.ts';
import type { DaemonSet, DaemonSetSpec, DaemonSetStatus, DaemonSetUpdateStrategy } from '../types/apps-v1.ts';
import { type Findings, IMMUTABLE, nonNegative } from '../validation/checks.ts';
import { isEmptySelector, validatePodTemplate } from '../validation/pod-template.ts';
import { workloadWarnings } from '../validation/pod-warnings.ts';
import { valuesOfRule } from '../validation/ratcheting.ts';
import { intOrPercent, isZero, notMoreThan100Percent } from '../validation/replicas.ts';
import { SELECTOR_VALUES } from '../validation/scheduling.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { templateCells } from './parts/workload.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

/** Counts changes of the template; the field it stood for is gone, old clients still read it. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';
const COUNTS = 'Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer'.split(' ');

export const daemonSet = defineKind<DaemonSet>({
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  resource: 'daemonsets',
  shortNames: ['ds'],
  categories: ['all'],
  namespaced: true,
  schema: 'apps.v1.DaemonSet',
  columns: [NAME_COLUMN, ...COUNTS, 'Node Selector', 'Age', 'Containers*', 'Images*', 'Selector*'],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    status?.desiredNumberScheduled ?? 0,
    status?.currentNumberScheduled ?? 0,
    status?.numberReady ?? 0,
    status?.updatedNumberScheduled ?? 0,
    status?.numberAvailable ?? 0,
    formatLabels(spec?.template?.spec?.nodeSelector),
    age(metadata.creationTimestamp, nowMs),
    ...templateCells(spec?.template),
    formatLabelSelector(spec?.selector),
  ],
  hasStatus: true,
  hasGeneration: true,

  setDefaults(object) {
    const spec = (object.spec ??= {} as DaemonSetSpec);
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = (strategy.rollingUpdate ??= {});
      rolling.maxUnavailable ??= 1;
      rolling.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    setPodTemplateDefaults(spec);
  },
  prepareForCreate(object) {
    dropDisabledTemplateFields(object.spec?.template);
    object.status = {
      currentNumberScheduled: 0,
      numberMisscheduled: 0,
      desiredNumberScheduled: 0,
      numberReady: 0,
    };
    setTemplateGeneration(object, Math.max(1, templateGeneration(object)));
  },
  prepareForUpdate(object, old) {
    dropDisabledTemplateFields(object.spec?.template, old.spec?.template);
    const isSame = semanticEqual(object.spec?.template, old.spec?.template);
    setTemplateGeneration(object, templateGeneration(old) + (isSame ? 0 : 1));
  },

  validate: (object) => [...findings(object)],
  validateUpdate(object, old) {
    const selector = object.spec?.selector;
    const isSame = semanticEqual(selector, old.spec?.selector);
    return [...(isSame ? [] : [invalid('spec.selector', selector, IMMUTABLE)]), ...findings(object)];
  },
  validateStatusUpdate: (object, old) => [...statusFindings(object.status, old.status)],
  warnings: (object, old) => workloadWarnings(object, old, object.spec?.template),
});

const templateGeneration = ({ metadata }: DaemonSet): number =>
  Number(/^[0-9]{1,15}$/.exec(metadata.annotations?.[TEMPLATE_GENERATION] ?? '')?.[0] ?? 0);

function setTemplateGeneration({ metadata }: DaemonSet, generation: number): void {
  if (generation > 0) (metadata.annotations ??= {})[TEMPLATE_GENERATION] = String(generation);
}

function* findings({ spec = {} as DaemonSetSpec }: DaemonSet): Findings {
  const { selector, template = {} } = spec;
  const found = validateLabelSelector(selector, 'spec.selector');
  yield* valuesOfRule(SELECTOR_VALUES, found);
  const labels = template.metadata?.labels;
  if (found.length === 0 && !selectorFromObject(selector).matches(labels ?? {})) {
    yield invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  }
  if (selector && isEmptySelector(selector)) {
    yield invalid('spec.selector', selector, 'empty selector is invalid for daemonset');
  }
  yield* validatePodTemplate(template, 'spec.template');
  if (template.spec?.restartPolicy !== 'Always') {
    yield notSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const detail = 'activeDeadlineSeconds in DaemonSet is not Supported';
    yield forbidden('spec.template.spec.activeDeadlineSeconds', detail);
  }
  yield* nonNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  yield* updateStrategy(spec.updateStrategy ?? {}, 'spec.updateStrategy');
  yield* nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit');
}

function* updateStrategy(strategy: DaemonSetUpdateStrategy, field: string): Findings {
  const { type, rollingUpdate } = strategy;
  if (type === 'OnDelete') return;
  if (type !== 'RollingUpdate') {
    yield notSupported(field, strategy, ['RollingUpdate', 'OnDelete']);
    return;
  }
  const at = `${field}.rollingUpdate`;
  if (!rollingUpdate) {
    yield required(at);
    return;
  }
  const { maxUnavailable, maxSurge } = rollingUpdate;
  yield* intOrPercent(maxUnavailable, `${at}.maxUnavailable`);
  yield* intOrPercent(maxSurge, `${at}.maxSurge`);
  yield* notMoreThan100Percent(maxUnavailable, `${at}.maxUnavailable`);
  yield* notMoreThan100Percent(maxSurge, `${at}.maxSurge`);
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) {
    yield invalid(`${at}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero');
  } else if (isZero(maxUnavailable) && isZero(maxSurge)) {
    yield required(`${at}.maxUnavailable`, 'cannot be 0 when maxSurge is 0');
  }
}

const STATUS_COUNTS = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
] as const;

function* statusFindings(status: DaemonSetStatus | undefined, old: DaemonSetStatus | undefined): Findings {
  for (const name of STATUS_COUNTS) yield* nonNegative(status?.[name], `status.${name}`);
  if (old?.collisionCount !== undefined && (status?.collisionCount ?? -1) < old.collisionCount) {
    yield invalid('status.collisionCount', status?.collisionCount ?? 0, 'cannot be decremented');
  }
}
