// core/v1 Event: what happened to an object; kept for an hour.
import { age } from '../duration.ts';
import type { Event } from '../types/core-v1.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isQualifiedName } from '../names.ts';
import { defineKind } from './define.ts';

export const event = defineKind<Event>({
  group: '',
  version: 'v1',
  kind: 'Event',
  resource: 'events',
  shortNames: ['ev'],
  namespaced: true,
  schema: 'core.v1.Event',
  columns: [
    'Last Seen',
    'Type',
    'Reason',
    'Object',
    'Subobject*',
    'Source*',
    'Message',
    'First Seen*',
    'Count*',
    'Name:string:name*',
  ],
  cells(object, { nowMs }) {
    const firstSeen = age(object.firstTimestamp ?? object.eventTime, nowMs);
    const lastSeen = object.series
      ? age(object.series.lastObservedTime, nowMs)
      : object.lastTimestamp
        ? age(object.lastTimestamp, nowMs)
        : firstSeen;
    const { involvedObject, source } = object;
    const kind = (involvedObject.kind ?? '').toLowerCase();
    return [
      lastSeen,
      object.type ?? '',
      object.reason ?? '',
      involvedObject.name ? `${kind}/${involvedObject.name}` : kind,
      involvedObject.fieldPath ?? '',
      [source?.component || object.reportingComponent || '', source?.host || object.reportingInstance || '']
        .filter((each, index) => index === 0 || each !== '')
        .join(', '),
      (object.message ?? '').trim(),
      firstSeen,
      object.series ? (object.series.count ?? 0) : object.count || 1,
      object.metadata.name ?? '',
    ];
  },
  selectableFields: {
    'involvedObject.kind': (object) => object.involvedObject.kind ?? '',
    'involvedObject.namespace': (object) => object.involvedObject.namespace ?? '',
    'involvedObject.name': (object) => object.involvedObject.name ?? '',
    'involvedObject.uid': (object) => object.involvedObject.uid ?? '',
    'involvedObject.apiVersion': (object) => object.involvedObject.apiVersion ?? '',
    'involvedObject.resourceVersion': (object) => object.involvedObject.resourceVersion ?? '',
    'involvedObject.fieldPath': (object) => object.involvedObject.fieldPath ?? '',
    reason: (object) => object.reason ?? '',
    reportingComponent: (object) => object.reportingComponent ?? '',
    source: (object) => object.source?.component || object.reportingComponent || '',
    type: (object) => object.type ?? '',
  },
  allowCreateOnUpdate: true,
  ttlSeconds: 3600,

  setDefaults(object) {
    object.involvedObject ??= {};
    object.source ??= {};
    object.reportingComponent ??= '';
    object.reportingInstance ??= '';
  },
  validate,
});

const MAX_TEXT = 128;
const MAX_NOTE = 1024;

/** Events with an eventTime are of the new form and must say who reports what; the old form only must be where its object is. */
function validate(object: Event): FieldError[] {
  const namespace = object.metadata.namespace ?? '';
  const own = object.involvedObject.namespace ?? '';
  const found: FieldError[] = [];
  const elsewhere = object.eventTime
    ? own === '' && namespace !== 'default' && namespace !== 'kube-system'
    : own === ''
      ? namespace !== '' && namespace !== 'default'
      : namespace !== own;
  if (elsewhere) {
    found.push(fieldErrors.invalid('involvedObject.namespace', own, 'does not match event.namespace'));
  }
  if (!object.eventTime) return found;
  const { reportingComponent: reporter = '', reportingInstance = '', action = '', reason = '', message = '' } = object;
  if (reporter === '') found.push(fieldErrors.required('reportingController'));
  for (const text of isQualifiedName(reporter)) found.push(fieldErrors.invalid('reportingController', reporter, text));
  for (const [field, value] of Object.entries({ reportingInstance, action, reason })) {
    if (value === '') found.push(fieldErrors.required(field));
    if (value.length > MAX_TEXT) {
      found.push(fieldErrors.invalid(field, '', `can have at most ${MAX_TEXT} characters`));
    }
  }
  if (message.length > MAX_NOTE) {
    found.push(fieldErrors.invalid('message', '', `can have at most ${MAX_NOTE} characters`));
  }
  return found;
}
