// Events about objects, for `kubectl describe`. Recording never blocks and never throws: it marks a record as unsent;
// one sender posts new records and patches the count of repeated ones.
//   repeated (same object, type, reason, message)       one Event, its count raised; repeats while unsent coalesce
//   more than 10 messages for one object and reason     combined into one, as upstream's correlator does
//   more than 25 at once about one object, then 1/300 s  dropped, with a log line: the spam limit
//   more than 1,000 unsent records                       the oldest dropped, with a log line
import { type KubeObject, keyOf } from '../api/object.ts';
import type { Event } from '../api/types/core-v1.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { type Client, ClientClosedError, type EventRecorder, NetworkError, type ResourceRef } from './port.ts';
import { isAlreadyExists, isNotFound } from './status.ts';

export const eventRef: ResourceRef = { group: '', version: 'v1', resource: 'events', kind: 'Event', namespaced: true };

const maxUnsent = 1_000;
const maxRemembered = 4_096;
const aggregateAbove = 10;
const aggregateWindowMs = 600_000;
const spamBurst = 25;
const spamRefillMs = 300_000;
const sendAttempts = 12;

export interface RecorderOptions {
  client: Client;
  /** `deployment-controller`; shown as the event's source. */
  component: string;
  host?: string;
  clock: Clock;
  random: Random;
  log: Logger;
}

interface Record {
  event: Event;
  namespace: string;
  /** True once the server has it. */
  posted: boolean;
  unsent: boolean;
}

interface Similar {
  messages: Set<string>;
  lastMs: number;
}

/** Timestamps of events have whole seconds. */
const seconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** A map that forgets what was least recently touched. */
class Recent<V> {
  #entries = new Map<string, V>();

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > maxRemembered) this.#entries.delete(this.#entries.keys().next().value as string);
  }
}

export function createEventRecorder({
  client,
  component: defaultComponent,
  host,
  clock,
  random,
  log,
}: RecorderOptions): EventRecorder {
  const records = new Recent<Record>();
  const similar = new Recent<Similar>();
  const tokens = new Recent<{ left: number; atMs: number }>();
  let unsent: Record[] = [];
  let sending: Promise<void> | undefined;

  function allowed(object: string): boolean {
    const nowMs = clock.monotonic();
    const bucket = tokens.get(object) ?? { left: spamBurst, atMs: nowMs };
    const left = Math.min(spamBurst, bucket.left + (nowMs - bucket.atMs) / spamRefillMs);
    tokens.set(object, { left: left >= 1 ? left - 1 : left, atMs: nowMs });
    return left >= 1;
  }

  /** The message to record: the given one, or the combined one when there were too many different ones. */
  function aggregate(kindOfEvent: string, message: string): { message: string; combined: boolean } {
    const nowMs = clock.monotonic();
    let seen = similar.get(kindOfEvent);
    if (!seen || nowMs - seen.lastMs > aggregateWindowMs) seen = { messages: new Set(), lastMs: nowMs };
    seen.lastMs = nowMs;
    if (seen.messages.size <= aggregateAbove) seen.messages.add(message);
    similar.set(kindOfEvent, seen);
    return seen.messages.size > aggregateAbove
      ? { message: `(combined from similar events): ${message}`, combined: true }
      : { message, combined: false };
  }

  let lastNanos = 0n;

  /** As upstream's, by the time in nanoseconds; events of one millisecond keep their order, by which clients list them. */
  function eventName(about: KubeObject): string {
    const now = BigInt(clock.now()) * 1_000_000n + BigInt(Math.floor(random() * 100_000));
    const nanos = now > lastNanos ? now : lastNanos + 1n + BigInt(Math.floor(random() * 1_000));
    lastNanos = nanos;
    return `${about.metadata.name ?? ''}.${nanos.toString(16)}`;
  }

  function record(
    component: string,
    about: KubeObject & { fieldPath?: string },
    type: string,
    reason: string,
    plainMessage: string,
  ): void {
    const object = `${component}/${about.kind}/${keyOf(about)}/${about.metadata.uid ?? ''}/${about.fieldPath ?? ''}`;
    if (!allowed(object)) return log.debug({ object, reason }, 'event dropped: too many about this object');
    const kindOfEvent = `${object}/${type}/${reason}`;
    const { message, combined } = aggregate(kindOfEvent, plainMessage.slice(0, 1024));
    const id = `${kindOfEvent}/${combined ? '' : message}`;
    const nowText = seconds(clock.now());
    let found = records.get(id);
    if (found) {
      found.event = { ...found.event, message, count: (found.event.count ?? 1) + 1, lastTimestamp: nowText };
    } else {
      const namespace = about.metadata.namespace || 'default';
      const event: Event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: eventName(about), namespace },
        involvedObject: {
          kind: about.kind,
          namespace: about.metadata.namespace,
          name: about.metadata.name,
          uid: about.metadata.uid,
          apiVersion: about.apiVersion,
          resourceVersion: about.metadata.resourceVersion,
          ...(about.fieldPath && { fieldPath: about.fieldPath }),
        },
        reason,
        message,
        type,
        count: 1,
        firstTimestamp: nowText,
        lastTimestamp: nowText,
        source: { component, ...(host && { host }) },
        reportingComponent: component,
        reportingInstance: host ?? '',
      };
      found = { event, namespace, posted: false, unsent: false };
      records.set(id, found);
    }
    markUnsent(found);
  }

  function markUnsent(found: Record): void {
    if (found.unsent) return;
    found.unsent = true;
    unsent.push(found);
    if (unsent.length > maxUnsent) {
      const dropped = unsent.shift() as Record;
      dropped.unsent = false;
      log.warn(
        { event: dropped.event.metadata.name, reason: dropped.event.reason },
        'event dropped: too many are waiting',
      );
    }
    sending ??= sendAll().finally(() => {
      sending = undefined;
    });
  }

  async function sendAll(): Promise<void> {
    await Promise.resolve(); // never within the recording call
    for (let next = unsent.shift(); next; next = unsent.shift()) {
      next.unsent = false;
      await send(next);
    }
    unsent = [];
  }

  async function send(next: Record): Promise<void> {
    for (let attempt = 1; attempt <= sendAttempts; attempt++) {
      try {
        return await (next.posted ? patch(next) : post(next));
      } catch (error) {
        // Nothing will be sent any more: what waits must not keep a process that ends.
        if (error instanceof ClientClosedError) return void (unsent = []);
        if (!(error instanceof NetworkError) || attempt === sendAttempts) {
          // Refused (namespace terminating, forbidden): an event is not worth more.
          return log.debug({ err: error, event: next.event.metadata.name }, 'event not recorded');
        }
        const delayMs = Math.min(10_000, 100 * 2 ** attempt) * (0.5 + random());
        await new Promise<void>((resolve) => clock.after(delayMs, resolve, { background: true }));
      }
    }
  }

  async function post(next: Record): Promise<void> {
    try {
      await client.resource<Event>(eventRef, next.namespace).create(next.event);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const about: KubeObject = { metadata: { name: next.event.involvedObject.name } };
      next.event = { ...next.event, metadata: { ...next.event.metadata, name: eventName(about) } };
      await client.resource<Event>(eventRef, next.namespace).create(next.event);
    }
    next.posted = true;
  }

  async function patch(next: Record): Promise<void> {
    const { count, lastTimestamp, message } = next.event;
    try {
      await client
        .resource<Event>(eventRef, next.namespace)
        .patch(next.event.metadata.name as string, 'merge', { count, lastTimestamp, message });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      next.posted = false; // it expired
      next.event = {
        ...next.event,
        metadata: { ...next.event.metadata, name: eventName({ metadata: { name: next.event.involvedObject.name } }) },
      };
      await post(next);
    }
  }

  const flush = async () => {
    for (let pending = sending; pending; pending = sending) await pending;
  };
  const recorderOf = (component: string): EventRecorder => ({
    event(about, type, reason, message) {
      try {
        record(component, about, type, reason, message);
      } catch (err) {
        log.error({ err, reason }, 'event could not be recorded');
      }
    },
    withSource: recorderOf,
    flush,
  });
  return recorderOf(defaultComponent);
}
