// rbac.authorization.k8s.io/v1 ClusterRoleBinding: gives a cluster role to subjects in the whole cluster.
import type { ClusterRoleBinding } from '../types/rbac-v1.ts';
import { nameIsPathSegment } from '../names.ts';
import { validateBinding, validateBindingUpdate } from '../validation/rbac.ts';
import { defineKind } from './define.ts';
import { BINDING_COLUMNS, bindingCells, setBindingDefaults } from './parts/rbac.ts';

export const clusterRoleBinding = defineKind<ClusterRoleBinding>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRoleBinding',
  resource: 'clusterrolebindings',
  namespaced: false,
  schema: 'rbac.v1.ClusterRoleBinding',
  columns: BINDING_COLUMNS,
  cells: (object, { nowMs }) => bindingCells(object, nowMs),
  allowCreateOnUpdate: true,
  setDefaults: setBindingDefaults,
  validateName: nameIsPathSegment,
  validate: (object) => validateBinding(object, false),
  validateUpdate: (object, old) => validateBindingUpdate(object, old, false),
});
