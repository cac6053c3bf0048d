// Events, in the form of core/v1 whatever version they come in (k8s.io/kubernetes/pkg/apis/core/validation/events.go):
// lenient to those of the old API, strict to those of events.k8s.io/v1.
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { isQualifiedName } from '../names.ts';
import type { Event } from '../types/core-v1.ts';
import { dnsSubdomain, type Findings, IMMUTABLE, invalidEach } from './checks.ts';

const { invalid, required } = fieldErrors;

const MAX_TEXT = 128;
const MAX_NOTE = 1024;

/** Events with an eventTime are of the new form and must say who reports what; the old form only must be where its object is. */
export function* validateEvent(object: Event): Findings {
  const namespace = object.metadata.namespace ?? '';
  const own = object.involvedObject?.namespace ?? '';
  const elsewhere = object.eventTime
    ? own === '' && namespace !== 'default' && namespace !== 'kube-system'
    : own === ''
      ? namespace !== '' && namespace !== 'default'
      : namespace !== own;
  if (elsewhere) yield invalid('involvedObject.namespace', own, 'does not match event.namespace');
  if (object.eventTime) yield* report(object);
  yield* dnsSubdomain(namespace, 'namespace');
}

function* report(object: Event): Findings {
  const { reportingComponent: reporter = '', reportingInstance = '', action = '', reason = '', message = '' } = object;
  if (reporter === '') yield required('reportingController');
  yield* invalidEach('reportingController', reporter, isQualifiedName(reporter));
  for (const [field, value] of Object.entries({ reportingInstance, action, reason })) {
    if (value === '') yield required(field);
    if (Buffer.byteLength(value) > MAX_TEXT) yield invalid(field, '', `can have at most ${MAX_TEXT} characters`);
  }
  if (Buffer.byteLength(message) > MAX_NOTE) yield invalid('message', '', `can have at most ${MAX_NOTE} characters`);
}

/** What events.k8s.io/v1 asks of a new event. */
export function* validateNewEvent(object: Event): Findings {
  yield* validateEvent(object);
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

const LASTING = [
  ['involvedObject'],
  ['reason'],
  ['message'],
  ['source'],
  ['firstTimestamp'],
  ['lastTimestamp'],
  ['count'],
  ['type'],
  ['eventTime'],
  ['action'],
  ['related'],
  ['reportingComponent', 'reportingController'],
  ['reportingInstance'],
] as const;

/** Only the series of an event changes. */
export function* validateEventChange(object: Event, old: Event): Findings {
  yield* validateEvent(object);
  if (!semanticEqual(object.series, old.series)) yield* series(object);
  for (const [name, field = name] of LASTING) {
    if (!semanticEqual(object[name], old[name])) yield invalid(field, object[name], IMMUTABLE);
  }
}

function* series({ series: each }: Event): Findings {
  if (!each) return;
  if ((each.count ?? 0) < 2) yield invalid('series.count', '', 'should be at least 2');
  if (!each.lastObservedTime) yield required('series.lastObservedTime');
}
