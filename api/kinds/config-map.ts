// core/v1 ConfigMap: text and bytes for pods to read.
import { age } from '../duration.ts';
import type { ConfigMap } from '../types/core-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const configMap = defineKind<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  resource: 'configmaps',
  shortNames: ['cm'],
  namespaced: true,
  schema: 'core.v1.ConfigMap',
  columns: [NAME_COLUMN, 'Data', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    Object.keys(object.data ?? {}).length + Object.keys(object.binaryData ?? {}).length,
    age(object.metadata.creationTimestamp, nowMs),
  ],
});
