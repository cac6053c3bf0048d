// node.k8s.io/v1 RuntimeClass: a name for a way to run containers.
import { age } from '../duration.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { validateLabels } from '../selectors.ts';
import type { RuntimeClass } from '../types/node-v1.ts';
import { dnsLabel, IMMUTABLE } from '../validation/checks.ts';
import { validateOverhead } from '../validation/resources.ts';
import { validateTolerations } from '../validation/scheduling.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const runtimeClass = defineKind<RuntimeClass>({
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  resource: 'runtimeclasses',
  namespaced: false,
  schema: 'node.v1.RuntimeClass',
  columns: [NAME_COLUMN, 'Handler', 'Age'],
  cells: (object, { nowMs }) => [nameOf(object), object.handler ?? '', age(object.metadata.creationTimestamp, nowMs)],
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate,
  validateUpdate: (object, old) =>
    object.handler === old.handler
      ? validate(object)
      : [...validate(object), fieldErrors.invalid('handler', object.handler, IMMUTABLE)],
});

function validate({ handler, overhead, scheduling }: RuntimeClass): FieldError[] {
  return [
    ...dnsLabel(handler ?? '', 'handler'),
    ...validateOverhead(overhead?.podFixed ?? {}, 'overhead'),
    ...validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector'),
    ...validateTolerations(scheduling?.tolerations, 'scheduling.tolerations'),
  ];
}
