// rbac.authorization.k8s.io/v1 ClusterRole: permissions in the whole cluster, its own or aggregated from others.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { ClusterRole } from '../types/rbac-v1.ts';
import { nameIsPathSegment } from '../names.ts';
import { validateRules } from '../validation/rbac.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const clusterRole = defineKind<ClusterRole>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRole',
  resource: 'clusterroles',
  namespaced: false,
  schema: 'rbac.v1.ClusterRole',
  columns: [NAME_COLUMN, 'Created At:date'],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? null],
  allowCreateOnUpdate: true,
  validateName: nameIsPathSegment,
  validate: (object) => findings(object, {}),
  validateUpdate: (object, old) =>
    findings(object, {
      // Upstream asks the rule of all selectors whether one of the old ones has such a value.
      allowInvalidValues: (old.aggregationRule?.clusterRoleSelectors ?? []).some(
        (each) => validateLabelSelector(each, '').length > 0,
      ),
    }),
});

function findings({ rules, aggregationRule }: ClusterRole, options: { allowInvalidValues?: boolean }): FieldError[] {
  const found = [...validateRules(rules, false)];
  if (!aggregationRule) return found;
  const field = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) {
    found.push(fieldErrors.required(field, 'at least one clusterRoleSelector required if aggregationRule is non-nil'));
  }
  for (const [i, each] of selectors.entries()) {
    const wrong = validateLabelSelector(each, `${field}[${i}]`, options);
    found.push(...wrong);
    // An operator or a key that no selector can be made of is said twice.
    if (wrong.length > 0) found.push(fieldErrors.invalid(`${field}[${i}]`, null, 'invalid label selector.'));
  }
  return found;
}
