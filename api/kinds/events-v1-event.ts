// events.k8s.io/v1 Event: the same events as core/v1's, under other names; stored as those.
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type * as core from '../types/core-v1.ts';
import type { Event } from '../types/events-v1.ts';
import { validateEventChange, validateNewEvent } from '../validation/events.ts';
import { defineKind } from './define.ts';
import { event } from './event.ts';

/** Names here, names there; everything else is called alike. */
const NAMES = [
  ['note', 'message'],
  ['regarding', 'involvedObject'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
] as const;
const TO_CORE: ReadonlyMap<string, string> = new Map(NAMES);
const FROM_CORE: ReadonlyMap<string, string> = new Map(NAMES.map(([ours, theirs]) => [theirs, ours]));

export const eventsV1Event = defineKind<Event>({
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  resource: 'events',
  shortNames: ['ev'],
  namespaced: true,
  schema: 'events.v1.Event',
  columns: event.columns.map(
    ({ name, type, format, priority }) => `${name}:${type}${format ? `:${format}` : ''}${priority > 0 ? '*' : ''}`,
  ),
  cells: (object, context) => event.cells(toCore(object), context),
  selectableFields: {
    'regarding.kind': (object) => object.regarding?.kind ?? '',
    'regarding.namespace': (object) => object.regarding?.namespace ?? '',
    'regarding.name': (object) => object.regarding?.name ?? '',
    'regarding.uid': (object) => object.regarding?.uid ?? '',
    'regarding.apiVersion': (object) => object.regarding?.apiVersion ?? '',
    'regarding.resourceVersion': (object) => object.regarding?.resourceVersion ?? '',
    'regarding.fieldPath': (object) => object.regarding?.fieldPath ?? '',
    reason: (object) => object.reason ?? '',
    reportingController: (object) => object.reportingController ?? '',
    type: (object) => object.type ?? '',
  },
  allowCreateOnUpdate: true,
  ttlSeconds: event.ttlSeconds,
  conversion: {
    storage: () => event as unknown as Kind,
    toStored: (objects) => objects.map((each) => toCore(each as Event) as KubeObject),
    fromStored: (objects) =>
      objects.map((each) => (each.apiVersion === 'v1' ? renamed(each, FROM_CORE, 'events.k8s.io/v1') : each)),
  },

  setDefaults(object) {
    object.regarding ??= {};
    object.deprecatedSource ??= {};
  },
  validate: (object) => [...validateNewEvent(toCore(object))],
  validateUpdate: (object, old) => [...validateEventChange(toCore(object), toCore(old))],
});

function toCore(object: Event): core.Event {
  const found = renamed(object as KubeObject, TO_CORE, 'v1') as core.Event;
  // In the old version these are always there.
  found.involvedObject ??= {};
  found.source ??= {};
  found.reportingComponent ??= '';
  found.reportingInstance ??= '';
  return found;
}

function renamed(object: KubeObject, names: ReadonlyMap<string, string>, apiVersion: string): KubeObject {
  const entries = Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value]);
  return { ...Object.fromEntries(entries), apiVersion } as KubeObject;
}
