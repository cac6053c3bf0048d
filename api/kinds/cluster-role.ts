// rbac.authorization.k8s.io/v1 ClusterRole: permissions in the whole cluster, its own or aggregated from others.
import type { ClusterRole } from '../types/rbac-v1.ts';
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
});
