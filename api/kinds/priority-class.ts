// scheduling.k8s.io/v1 PriorityClass: a name for a pod priority.
import { age } from '../duration.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { IMMUTABLE, oneOf } from '../validation/checks.ts';
import { PREEMPTION_POLICIES } from '../validation/pod-spec.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const priorityClass = defineKind<PriorityClass>({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  resource: 'priorityclasses',
  shortNames: ['pc'],
  namespaced: false,
  // It has no spec that could change: always the first.
  hasGeneration: true,
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

  validate,
  validateUpdate(object, old) {
    const found: FieldError[] = [];
    if (object.value !== old.value) {
      found.push(fieldErrors.forbidden('value', 'may not be changed in an update.'));
    }
    if (object.preemptionPolicy !== old.preemptionPolicy) {
      found.push(fieldErrors.invalid('preemptionPolicy', object.preemptionPolicy, IMMUTABLE));
    }
    return found;
  },
});

const HIGHEST_USER_PRIORITY = 1_000_000_000;
const SYSTEM_CLASSES: Record<string, number> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

function validate(object: PriorityClass): FieldError[] {
  const { value = 0, metadata, preemptionPolicy } = object;
  const name = metadata.name ?? '';
  const found: FieldError[] = [];
  if (name.startsWith('system-')) {
    const error = systemClassError(object, name);
    if (error) {
      const message = `priority class names with 'system-' prefix are reserved for system use only. error: ${error}`;
      found.push(fieldErrors.forbidden('metadata.name', message));
    }
  } else if (value > HIGHEST_USER_PRIORITY) {
    const message = `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`;
    found.push(fieldErrors.forbidden('value', message));
  }
  return [...found, ...oneOf(preemptionPolicy, PREEMPTION_POLICIES, 'preemptionPolicy')];
}

function systemClassError({ value, globalDefault }: PriorityClass, name: string): string | undefined {
  const expected = SYSTEM_CLASSES[name];
  if (expected === undefined) return `${name} is not a known system priority class`;
  if (value !== expected) return `value of ${name} PriorityClass must be ${expected}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}
