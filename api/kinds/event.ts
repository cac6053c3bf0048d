// core/v1 Event: what happened to an object; kept for an hour.
import { age } from '../duration.ts';
import type { Event } from '../types/core-v1.ts';
import { validateEvent } from '../validation/events.ts';
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
  validate: (object) => [...validateEvent(object)],
});
