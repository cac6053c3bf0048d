// rbac.authorization.k8s.io/v1 RoleBinding: gives a role to subjects inside one namespace.
import type { RoleBinding } from '../types/rbac-v1.ts';
import { nameIsPathSegment } from '../names.ts';
import { validateBinding, validateBindingUpdate } from '../validation/rbac.ts';
import { defineKind } from './define.ts';
import { BINDING_COLUMNS, bindingCells, setBindingDefaults } from './parts/rbac.ts';

export const roleBinding = defineKind<RoleBinding>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'RoleBinding',
  resource: 'rolebindings',
  namespaced: true,
  schema: 'rbac.v1.RoleBinding',
  columns: BINDING_COLUMNS,
  cells: (object, { nowMs }) => bindingCells(object, nowMs),
  allowCreateOnUpdate: true,
  setDefaults: setBindingDefaults,
  validateName: nameIsPathSegment,
  validate: (object) => validateBinding(object, true),
  validateUpdate: (object, old) => validateBindingUpdate(object, old, true),
});
