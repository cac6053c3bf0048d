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
  /** What was stored before objects were asked for may stay. */
  validateUpdate: (object, old) => [
    ...nonNegative(object.revision, 'revision'),
    ...(semanticEqual(object.data, old.data) ? [] : [fieldErrors.invalid('data', object.data, IMMUTABLE)]),
  ],
});

function validate({ data, revision }: ControllerRevision): FieldError[] {
  const found = [...nonNegative(revision, 'revision')];
  if (data === undefined || data === null) found.push(fieldErrors.required('data', 'data is mandatory'));
  else if (typeof data !== 'object' || Array.isArray(data)) {
    found.push(fieldErrors.required('data', 'data must be a valid JSON object'));
  }
  return found;
}

/** `statefulset.apps/web`. */
function controllerOf({ metadata }: ControllerRevision): string {
  const owner = metadata.ownerReferences?.find((each) => each.controller);
  if (!owner) return '<none>';
  const slash = owner.apiVersion?.indexOf('/') ?? -1;
  const group = slash < 0 ? '' : `.${owner.apiVersion.slice(0, slash)}`;
  return `${`${owner.kind}${group}`.toLowerCase()}/${owner.name}`;
}
