// One etcd watch over the store's whole prefix, shared by all watches of the store.
//
// Because it sees every key, an event at revision R says that everything before R has been seen, for quiet resources too:
// that is what makes `progress` true on every etcd version (3.4 before .31 and 3.5 before .13 answer progress requests
// ahead of events).
//
//   etcd ──stream──▶ position ──▶ ring (recent events) ──▶ each open watch: events under its prefix after its own `upTo`
//
// A watch that starts before the ring rewinds the stream to its revision; the others skip what they have. A lost stream
// is reopened at position + 1. A compacted position fails the watches that needed it with CompactedError.
import type { IWatchRequest, IWatchResponse } from 'etcd3';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { endOf } from './etcd-client.ts';
import { CompactedError, type StoreEvent, type WatchBatch } from './port.ts';
import { WatchBuffer } from './watch-buffer.ts';

/** The part of the gRPC stream that is used. */
export interface WatchStream {
  write(request: IWatchRequest): unknown;
  on(event: 'data', listener: (response: IWatchResponse) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  cancel(): void;
}

export interface EtcdWatchOptions {
  prefix: string;
  /** A key under the prefix whose events are not passed on. */
  markerKey: string;
  watchLimit: number;
  /** Events kept for watches that start a little late. */
  ringLimit: number;
  open(): Promise<WatchStream>;
  /** Makes etcd show how far the stream is: by a progress request where that is truthful, else by writing the marker. */
  nudge(stream: WatchStream): void;
  /** The newest revision that etcd has told of. */
  seen(): number;
  clock: Clock;
  random: Random;
  log: Logger;
}

interface Subscriber {
  prefix: string;
  /** Everything up to here has been delivered. */
  upTo: number;
  buffer: WatchBuffer;
}

const RETRY = { initialMs: 20, maxMs: 1_000, jitter: 0.5 };
/** How long an asked-for revision may take to show up by itself. */
const NUDGE_MS = 50;

export class EtcdWatch {
  #options: EtcdWatchOptions;
  #subscribers = new Set<Subscriber>();
  #asks = new Map<Subscriber, number>();
  #ring: StoreEvent[] = [];
  /** The ring holds every event after this revision. */
  #ringSince = 0;
  #position = 0;
  /** The newest compaction known of. */
  #compactRevision = 0;
  #stream: WatchStream | undefined;
  #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Ends the current stream, so that it is reopened at `#position`. */
  #restart: (() => void) | undefined;
  #nudgeTimer: Timer | undefined;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
  }

  open(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    const subscriber = { prefix, upTo: fromRevision } as Subscriber;
    const onAbort = () => buffer.end();
    const buffer = new WatchBuffer(this.#options.watchLimit, () => {
      this.#subscribers.delete(subscriber);
      this.#asks.delete(subscriber);
      signal.removeEventListener('abort', onAbort);
    });
    subscriber.buffer = buffer;
    if (signal.aborted || this.#stop.signal.aborted) {
      buffer.end();
      return buffer;
    }
    if (fromRevision < this.#compactRevision) {
      buffer.fail(new CompactedError(this.#compactRevision));
      return buffer;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    this.#subscribers.add(subscriber);
    if (!this.#running) {
      this.#rewind(fromRevision);
      this.#running = this.#run();
    } else if (fromRevision < this.#ringSince) {
      this.#rewind(fromRevision);
      this.#restart?.();
    } else {
      const missed = this.#ring.filter((event) => event.modRevision > fromRevision && event.key.startsWith(prefix));
      if (missed.length > 0) buffer.preload(missed);
      subscriber.upTo = Math.max(fromRevision, this.#position);
    }
    return buffer;
  }

  /** History before `revision` is gone, by our own doing or another's. */
  compacted(revision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, revision);
    if (revision <= this.#ringSince || revision > this.#position) return;
    this.#ring = this.#ring.filter((event) => event.modRevision > revision);
    this.#ringSince = revision;
  }

  requestProgress(prefix: string): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.prefix === prefix) this.#asks.set(subscriber, this.#options.seen());
    }
    this.#answerAsks();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#nudgeTimer?.cancel();
    for (const subscriber of this.#subscribers) subscriber.buffer.end();
    this.#restart?.();
    await this.#running;
  }

  #rewind(revision: number): void {
    this.#position = revision;
    this.#ringSince = revision;
    this.#ring = [];
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      const before = this.#position;
      const error = await this.#stayConnected();
      if (signal.aborted) return;
      if (!error) {
        failures = 0;
        continue;
      }
      failures = this.#position > before ? 1 : failures + 1;
      log.debug({ err: error, revision: this.#position }, 'watch stream of etcd lost; opening another');
      if (failures === 5) log.warn({ err: error }, 'etcd cannot be watched; trying on');
      await sleep(clock, backoffMs(RETRY, failures, random), signal);
    }
  }

  /** Until the stream fails (returns why) or is to be reopened elsewhere (returns undefined). */
  async #stayConnected(): Promise<Error | undefined> {
    let stream: WatchStream;
    try {
      stream = await this.#options.open();
    } catch (error) {
      return error as Error;
    }
    const ended = Promise.withResolvers<Error | undefined>();
    let isOver = false;
    const finish = (error?: Error) => {
      if (isOver) return;
      isOver = true;
      this.#stream = undefined;
      this.#restart = undefined;
      stream.cancel();
      ended.resolve(error);
    };
    let fragments: IWatchResponse['events'] = [];
    stream.on('error', (error) => finish(error));
    stream.on('end', () => finish(new Error('etcd ended the watch stream')));
    stream.on('data', (response) => {
      if (isOver) return;
      try {
        if (response.canceled) {
          const compacted = Number(response.compact_revision);
          if (compacted === 0)
            return finish(new Error(`etcd cancelled the watch: ${response.cancel_reason || 'no reason given'}`));
          this.#onCompacted(compacted);
          return finish();
        }
        if (response.created) return;
        if (response.events.length > 0 || fragments.length > 0) {
          fragments = fragments.length === 0 ? response.events : fragments.concat(response.events);
          if (response.fragment) return;
          const events = fragments;
          fragments = [];
          this.#onEvents(events);
        } else this.#onProgress(Number(response.header.revision));
      } catch (error) {
        finish(error as Error);
      }
    });
    if (this.#stop.signal.aborted) finish();
    else {
      this.#stream = stream;
      this.#restart = finish;
      const { prefix } = this.#options;
      stream.write({
        create_request: {
          key: Buffer.from(prefix),
          range_end: endOf(prefix),
          start_revision: this.#position + 1,
          progress_notify: true,
          fragment: true,
        },
      });
      this.#answerAsks();
    }
    return ended.promise;
  }

  #onEvents(received: IWatchResponse['events']): void {
    const events: StoreEvent[] = [];
    let position = this.#position;
    for (const { type, kv } of received) {
      const modRevision = Number(kv.mod_revision);
      if (modRevision <= this.#position) continue;
      position = modRevision;
      const key = kv.key.toString();
      if (key === this.#options.markerKey) continue;
      // The enum arrives by name, whatever its declared type says.
      if (String(type) === 'Delete') events.push({ type: 'delete', key, modRevision });
      else events.push({ type: 'put', key, value: kv.value, modRevision, createRevision: Number(kv.create_revision) });
    }
    this.#position = position;
    for (const event of events) this.#ring.push(event);
    this.#trimRing();
    for (const subscriber of this.#subscribers) {
      const { prefix, upTo, buffer } = subscriber;
      const matching = events.filter((event) => event.modRevision > upTo && event.key.startsWith(prefix));
      subscriber.upTo = Math.max(upTo, position);
      if (matching.length > 0) buffer.push(matching);
    }
    this.#answerAsks();
  }

  #onProgress(revision: number): void {
    if (revision <= this.#position) return;
    this.#position = revision;
    for (const subscriber of this.#subscribers) subscriber.upTo = Math.max(subscriber.upTo, revision);
    this.#answerAsks();
  }

  #onCompacted(compactRevision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, compactRevision);
    let resume = Number.POSITIVE_INFINITY;
    for (const subscriber of this.#subscribers) {
      if (subscriber.upTo + 1 < compactRevision) subscriber.buffer.fail(new CompactedError(compactRevision));
      else resume = Math.min(resume, subscriber.upTo);
    }
    this.#rewind(Number.isFinite(resume) ? resume : compactRevision);
  }

  #answerAsks(): void {
    for (const [subscriber, revision] of this.#asks) {
      const upTo = Math.min(subscriber.upTo, this.#position);
      if (revision > upTo) continue;
      this.#asks.delete(subscriber);
      subscriber.buffer.progress(upTo);
    }
    if (this.#asks.size > 0 && !this.#nudgeTimer) this.#armNudge(NUDGE_MS);
  }

  #armNudge(delayMs: number): void {
    this.#nudgeTimer = this.#options.clock.after(delayMs, () => {
      this.#nudgeTimer = undefined;
      if (this.#asks.size === 0 || this.#stop.signal.aborted) return;
      if (this.#stream) this.#options.nudge(this.#stream);
      this.#armNudge(Math.min(1_000, delayMs * 2));
    });
  }

  #trimRing(): void {
    const excess = this.#ring.length - this.#options.ringLimit;
    if (excess <= 0) return;
    // Whole revisions, and a good many at once.
    let cut = Math.min(this.#ring.length, excess + (this.#options.ringLimit >> 2));
    const since = (this.#ring[cut - 1] as StoreEvent).modRevision;
    while (this.#ring[cut]?.modRevision === since) cut++;
    this.#ring = this.#ring.slice(cut);
    this.#ringSince = since;
  }
}
