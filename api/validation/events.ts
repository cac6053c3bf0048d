// Events, in the form of core/v1 whatever version they come in (k8s.io/kubernetes/pkg/apis/core/validation/events.go):
// lenient to those of the old API, strict to those of events.k8s.io/v1.
import { semanticEqual } from '../equality.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import { isQualifiedName } from '../names.ts';
import type { Event } from '../types/core-v1.ts';
import { dnsSubdomain, type Findings, IMMUTABLE, invalidEach } from './checks.ts';

const { invalid, required } = fieldErrors;

const MAX_TEXT = 128;
const MAX_NOTE = 1024;

/** Events with an eventTime are of the new form and must say who reports what; the old form only must be where its object is. */
export function* validateEvent(object: Event, reporterField = 'reportingComponent'): Findings {
  const namespace = object.metadata.namespace ?? '';
  const own = object.involvedObject?.namespace ?? '';
  const elsewhere = object.eventTime
    ? own === '' && namespace !== 'default' && namespace !== 'kube-system'
    : own === ''
      ? namespace !== '' && namespace !== 'default'
      : namespace !== own;
  if (elsewhere) yield invalid('involvedObject.namespace', own, 'does not match event.namespace');
  if (object.eventTime) yield* report(object, reporterField);
  yield* dnsSubdomain(namespace, 'namespace');
}

function* report(object: Event, reporterField: string): Findings {
  const { reportingComponent: reporter = '', reportingInstance = '', action = '', reason = '', message = '' } = object;
  if (reporter === '') yield required(reporterField);
  yield* invalidEach(reporterField, reporter, isQualifiedName(reporter));
  for (const [field, value] of Object.entries({ reportingInstance, action, reason })) {
    if (value === '') yield required(field);
    if (Buffer.byteLength(value) > MAX_TEXT) yield invalid(field, '', `can have at most ${MAX_TEXT} characters`);
  }
  if (Buffer.byteLength(message) > MAX_NOTE) yield invalid('message', '', `can have at most ${MAX_NOTE} characters`);
}

/** What events.k8s.io/v1 asks of a new event. */
export function* validateNewEvent(object: Event): Findings {
  yield* validateEvent(object, 'reportingController');
  yield* series(object);
  if (!object.eventTime) yield required('eventTime');
  const type = object.type ?? '';
  if (type !== 'Normal' && type !== 'Warning') yield invalid('type', '', `has invalid value: ${type}`);
  const unset = {
    firstTimestamp: object.firstTimestamp,
    lastTimestamp: object.lastTimestamp,
    count: object.count,
    source: object.source?.component || object.source?.host,
  };
  for (const [field, value] of Object.entries(unset)) if (value) yield invalid(field, '', 'needs to be unset');
}

const REFERENCE = { Kind: '', Namespace: '', Name: '', UID: '', APIVersion: '', ResourceVersion: '', FieldPath: '' };

/** What stays: its name in findings where that is another, and how its value is shown. */
const LASTING: { name: keyof Event; field?: string; show?: (value: never) => unknown }[] = [
  { name: 'involvedObject', show: (value: object) => goStruct(value, REFERENCE) },
  { name: 'reason', show: orEmpty },
  { name: 'message', show: orEmpty },
  { name: 'source', show: (value: object) => goStruct(value, { Component: '', Host: '' }) },
  { name: 'firstTimestamp' },
  { name: 'lastTimestamp' },
  { name: 'count', show: (value?: number) => value ?? 0 },
  { name: 'type', show: orEmpty },
  { name: 'eventTime' },
  { name: 'action', show: orEmpty },
  { name: 'related', show: (value?: object) => value && goStruct(value, REFERENCE) },
  { name: 'reportingComponent', field: 'reportingController', show: orEmpty },
  { name: 'reportingInstance', show: orEmpty },
];

function orEmpty(value?: string): string {
  return value ?? '';
}

/** Only the series of an event changes. */
export function* validateEventChange(object: Event, old: Event): Findings {
  yield* validateEvent(object, 'reportingController');
  if (!semanticEqual(object.series, old.series)) yield* series(object);
  for (const { name, field = name, show } of LASTING) {
    const value = object[name];
    if (!semanticEqual(value, old[name])) yield invalid(field, show ? show(value as never) : value, IMMUTABLE);
  }
}

function* series({ series: each }: Event): Findings {
  if (!each) return;
  if ((each.count ?? 0) < 2) yield invalid('series.count', '', 'should be at least 2');
  if (!each.lastObservedTime) yield required('series.lastObservedTime');
}
