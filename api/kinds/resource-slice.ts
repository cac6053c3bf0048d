// resource.k8s.io/v1 ResourceSlice: devices that a driver offers, on a node or on several.
import { age } from '../duration.ts';
import { formatTime } from '../time-format.ts';
import type { ResourceSlice } from '../types/resource-v1.ts';
import { validateResourceSlice } from '../validation/resource-slices.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const resourceSlice = defineKind<ResourceSlice>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceSlice',
  resource: 'resourceslices',
  namespaced: false,
  schema: 'resource.v1.ResourceSlice',
  columns: [NAME_COLUMN, 'Node', 'Driver', 'Pool', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.nodeName ?? '',
    object.spec?.driver ?? '',
    object.spec?.pool?.name ?? '',
    age(object.metadata.creationTimestamp, nowMs),
  ],
  selectableFields: {
    'spec.nodeName': (object) => object.spec?.nodeName ?? '',
    'spec.driver': (object) => object.spec?.driver ?? '',
  },
  hasGeneration: true,
  prepareForCreate: (object, { nowMs }) => stampTaints(object, nowMs),
  prepareForUpdate: (object, _old, { nowMs }) => stampTaints(object, nowMs),
  validate: ({ spec }) => [...validateResourceSlice(spec)],
  validateUpdate: ({ spec }, old) => [...validateResourceSlice(spec, old.spec)],
});

/** A taint dates from when the server first saw it. */
function stampTaints({ spec }: ResourceSlice, nowMs: number): void {
  for (const device of spec?.devices ?? []) {
    for (const taint of device.taints ?? []) taint.timeAdded ??= formatTime(nowMs);
  }
}
