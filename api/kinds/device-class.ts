// resource.k8s.io/v1 DeviceClass: which devices a claim means by a name, and how they are set up.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import type { DeviceClass } from '../types/resource-v1.ts';
import { validateDeviceClass } from '../validation/device-claims.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const deviceClass = defineKind<DeviceClass>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'DeviceClass',
  resource: 'deviceclasses',
  namespaced: false,
  schema: 'resource.v1.DeviceClass',
  columns: [NAME_COLUMN, 'Age'],
  cells: (object, { nowMs }) => [nameOf(object), age(object.metadata.creationTimestamp, nowMs)],
  hasGeneration: true,
  validate: ({ spec }) => [...validateDeviceClass(spec ?? {})],
  validateUpdate: ({ spec }, old) => [
    ...validateDeviceClass(spec ?? {}, semanticEqual(spec?.config, old.spec?.config)),
  ],
});
