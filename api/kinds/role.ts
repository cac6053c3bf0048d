// rbac.authorization.k8s.io/v1 Role: permissions inside one namespace.
import type { Role } from '../types/rbac-v1.ts';
import { nameIsPathSegment } from '../names.ts';
import { validateRules } from '../validation/rbac.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const role = defineKind<Role>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'Role',
  resource: 'roles',
  namespaced: true,
  schema: 'rbac.v1.Role',
  columns: [NAME_COLUMN, 'Created At:date'],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? null],
  allowCreateOnUpdate: true,
  validateName: nameIsPathSegment,
  validate: (object) => [...validateRules(object.rules, true)],
});
