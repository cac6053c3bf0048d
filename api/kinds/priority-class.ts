// scheduling.k8s.io/v1 PriorityClass: a name for a pod priority.
import { age } from '../duration.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const priorityClass = defineKind<PriorityClass>({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  resource: 'priorityclasses',
  shortNames: ['pc'],
  namespaced: false,
  schema: 'scheduling.v1.PriorityClass',
  columns: [NAME_COLUMN, 'Value:integer', 'Global-Default:boolean', 'Age', 'PreemptionPolicy'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.value ?? 0,
    object.globalDefault ?? false,
    age(object.metadata.creationTimestamp, nowMs),
    object.preemptionPolicy ?? '',
  ],
  setDefaults(object) {
    object.preemptionPolicy ||= 'PreemptLowerPriority';
    object.value ??= 0;
  },
});
