// core/v1 ComponentStatus: how the parts of the control plane do. Never stored: the server asks them when it is asked.
import type { ComponentStatus } from '../types/core-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const componentStatus = defineKind<ComponentStatus>({
  group: '',
  version: 'v1',
  kind: 'ComponentStatus',
  resource: 'componentstatuses',
  shortNames: ['cs'],
  namespaced: false,
  verbs: ['get', 'list'],
  schema: 'core.v1.ComponentStatus',
  deprecation: 'v1 ComponentStatus is deprecated in v1.19+',
  columns: [NAME_COLUMN, 'Status', 'Message', 'Error'],
  cells(object) {
    const healthy = object.conditions?.find((each) => each.type === 'Healthy');
    const status = healthy?.status === 'True' ? 'Healthy' : healthy?.status === 'False' ? 'Unhealthy' : 'Unknown';
    return [nameOf(object), status, healthy?.message ?? '', healthy?.error ?? ''];
  },
});
