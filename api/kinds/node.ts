// core/v1 Node: a machine and what its agent reports of it.
import { age } from '../duration.ts';
import type { Node } from '../types/core-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';

export const node = defineKind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  resource: 'nodes',
  shortNames: ['no'],
  namespaced: false,
  schema: 'core.v1.Node',
  columns: [
    NAME_COLUMN,
    'Status',
    'Roles',
    'Age',
    'Version',
    'Internal-IP*',
    'External-IP*',
    'OS-Image*',
    'Kernel-Version*',
    'Container-Runtime*',
  ],
  cells: (object, { nowMs }) => [
    nameOf(object),
    statusOf(object),
    rolesOf(object).join(',') || '<none>',
    age(object.metadata.creationTimestamp, nowMs),
    object.status?.nodeInfo?.kubeletVersion ?? '',
    addressOf(object, 'InternalIP'),
    addressOf(object, 'ExternalIP'),
    object.status?.nodeInfo?.osImage || '<unknown>',
    object.status?.nodeInfo?.kernelVersion || '<unknown>',
    object.status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
  ],
  selectableFields: { 'spec.unschedulable': (object) => String(object.spec?.unschedulable ?? false) },
  hasStatus: true,

  setDefaults(object) {
    const status = (object.status ??= {});
    if (status.capacity && !status.allocatable) status.allocatable = { ...status.capacity };
  },
});

function statusOf(object: Node): string {
  const ready = object.status?.conditions?.find((each) => each.type === 'Ready');
  const words = [ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'];
  if (object.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

function rolesOf(object: Node): string[] {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(object.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) roles.add(key.slice(ROLE_PREFIX.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return [...roles].sort();
}

const addressOf = (object: Node, type: string): string =>
  object.status?.addresses?.find((each) => each.type === type)?.address ?? '<none>';
