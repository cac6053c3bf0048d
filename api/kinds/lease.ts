// coordination.k8s.io/v1 Lease: heartbeats and leader election.
import { age } from '../duration.ts';
import type { Lease } from '../types/coordination-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const lease = defineKind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  resource: 'leases',
  namespaced: true,
  schema: 'coordination.v1.Lease',
  columns: [NAME_COLUMN, 'Holder', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.holderIdentity ?? '',
    age(object.metadata.creationTimestamp, nowMs),
  ],
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
});
