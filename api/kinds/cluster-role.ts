// rbac.authorization.k8s.io/v1 ClusterRole: permissions in the whole cluster, its own or aggregated from others.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { AggregationRule, ClusterRole } from '../types/rbac-v1.ts';
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
  validate: (object) => [
    ...validateRules(object.rules, false),
    ...(object.aggregationRule ? aggregationErrors(object.aggregationRule) : []),
  ],
});

function aggregationErrors({ clusterRoleSelectors: selectors = [] }: AggregationRule): FieldError[] {
  const field = 'aggregationRule.clusterRoleSelectors';
  if (selectors.length === 0) return [fieldErrors.required(field, 'at least one clusterRoleSelector required')];
  return selectors.flatMap((each, i) => validateLabelSelector(each, `${field}[${i}]`));
}
