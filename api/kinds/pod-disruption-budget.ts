// policy/v1 PodDisruptionBudget: how many of some pods may be away at a time.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { PodDisruptionBudget } from '../types/policy-v1.ts';
import { type Findings, nonNegative, optionalOneOf } from '../validation/checks.ts';
import { validateConditions } from '../validation/conditions.ts';
import { valuesOfRule } from '../validation/ratcheting.ts';
import { intOrPercent, notMoreThan100Percent } from '../validation/replicas.ts';
import { SELECTOR_VALUES } from '../validation/scheduling.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const podDisruptionBudget = defineKind<PodDisruptionBudget>({
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  resource: 'poddisruptionbudgets',
  shortNames: ['pdb'],
  namespaced: true,
  schema: 'policy.v1.PodDisruptionBudget',
  columns: [NAME_COLUMN, 'Min Available', 'Max Unavailable', 'Allowed Disruptions:integer', 'Age'],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    String(spec?.minAvailable ?? 'N/A'),
    String(spec?.maxUnavailable ?? 'N/A'),
    status?.disruptionsAllowed ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,
  hasGeneration: true,
  prepareForCreate(object) {
    object.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  },
  validate: (object) => [...findings(object)],
  validateStatusUpdate: ({ status }) => [...statusFindings(status)],
});

function* statusFindings(status: PodDisruptionBudget['status']): Findings {
  yield* validateConditions(status?.conditions, 'status.conditions');
  for (const name of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const) {
    yield* nonNegative(status?.[name], `status.${name}`);
  }
}

function* findings({ spec = {} }: PodDisruptionBudget): Findings {
  const { minAvailable, maxUnavailable } = spec;
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    yield fieldErrors.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set');
  }
  for (const name of ['minAvailable', 'maxUnavailable'] as const) {
    yield* intOrPercent(spec[name], `spec.${name}`);
    yield* notMoreThan100Percent(spec[name], `spec.${name}`);
  }
  yield* valuesOfRule(SELECTOR_VALUES, validateLabelSelector(spec.selector, 'spec.selector'));
  const policy = spec.unhealthyPodEvictionPolicy;
  yield* optionalOneOf(policy, ['AlwaysAllow', 'IfHealthyBudget'], 'spec.unhealthyPodEvictionPolicy');
}
