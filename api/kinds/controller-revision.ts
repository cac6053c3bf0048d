// apps/v1 ControllerRevision: what a StatefulSet or DaemonSet was told at one time; never changed.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { ControllerRevision } from '../types/apps-v1.ts';
import { IMMUTABLE, nonNegative } from '../validation/checks.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const controllerRevision = defineKind<ControllerRevision>({
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  resource: 'controllerrevisions',
  namespaced: true,
  schema: 'apps.v1.ControllerRevision',
  columns: [NAME_COLUMN, 'Controller', 'Revision', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    controllerOf(object),
    String(object.revision ?? 0),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  validate,
  validateUpdate(object, old) {
    // What was stored before objects were asked for may stay.
    const found = semanticEqual(object.data, old.data)
      ? [...nonNegative(object.revision, 'revision')]
      : validate(object);
    if (!semanticEqual(object.data, old.data)) found.push(fieldErrors.invalid('data', object.data, IMMUTABLE));
    return found;
  },
});

function validate({ data, revision }: ControllerRevision): FieldError[] {
  const found: FieldError[] = [];
  if (data === undefined || data === null) found.push(fieldErrors.required('data', 'data is mandatory'));
  else if (typeof data !== 'object' || Array.isArray(data)) {
    found.push(fieldErrors.invalid('data', '<value omitted>', 'must be a valid JSON object'));
  }
  return [...found, ...nonNegative(revision, 'revision')];
}

/** `statefulset.apps/web`. */
function controllerOf({ metadata }: ControllerRevision): string {
  const owner = metadata.ownerReferences?.find((each) => each.controller);
  if (!owner) return '<none>';
  const slash = owner.apiVersion?.indexOf('/') ?? -1;
  const group = slash < 0 ? '' : `.${owner.apiVersion.slice(0, slash)}`;
  return `${`${owner.kind}${group}`.toLowerCase()}/${owner.name}`;
}
