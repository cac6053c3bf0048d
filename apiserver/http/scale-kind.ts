// autoscaling/v1 Scale as a kind, for decoding, patches and tables; it is never stored.
import { age } from '../../api/duration.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scale } from '../../api/types/autoscaling-v1.ts';

export const scaleKind: Kind = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  listKind: 'ScaleList',
  resource: 'scales',
  singular: 'scale',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: ['get', 'patch', 'update'],
  schema: 'autoscaling.v1.Scale',
  columns: [
    { name: 'Name', type: 'string', format: 'name', priority: 0 },
    { name: 'Desired', type: 'integer', priority: 0 },
    { name: 'Available', type: 'integer', priority: 0 },
    { name: 'Age', type: 'string', priority: 0 },
  ],
  cells(object: KubeObject, { nowMs }) {
    const { spec, status, metadata } = object as Scale & KubeObject;
    return [metadata.name ?? '', spec?.replicas ?? 0, status?.replicas ?? 0, age(metadata.creationTimestamp, nowMs)];
  },
  hasStatus: false,
  hasGeneration: false,
  validate: () => [],
  validateUpdate: () => [],
};
