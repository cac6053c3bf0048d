// What waits between the store and one reader of a watch. Everything that arrives while the reader is busy becomes one batch,
// so a busy reader is woken once. More than `limit` events waiting fails the watch with StreamOverflowError.
import { StreamOverflowError } from '../../lib/stream.ts';
import type { StoreEvent, WatchBatch } from './port.ts';

type Result = IteratorResult<WatchBatch>;

export class WatchBuffer implements AsyncIterableIterator<WatchBatch> {
  #events: StoreEvent[] = [];
  /** The newest revision known to be complete; delivered as progress once it is beyond the events. */
  #progress = 0;
  #state: { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown } = { kind: 'open' };
  #waiting: { resolve: (result: Result) => void; reject: (error: unknown) => void } | undefined;
  #limit: number;
  #onClose: () => void;
  #backlog = 0;

  constructor(limit: number, onClose: () => void) {
    this.#limit = limit;
    this.#onClose = onClose;
  }

  /** History asked for by the reader itself: does not count against the limit. */
  preload(events: StoreEvent[]): void {
    this.#events = events;
    this.#backlog = events.length;
  }

  /** Whole revisions, in order. */
  push(events: readonly StoreEvent[]): void {
    if (this.#state.kind !== 'open') return;
    if (this.#events.length + events.length > this.#limit + this.#backlog) {
      this.fail(new StreamOverflowError(this.#limit));
      return;
    }
    if (this.#events.length === 0) this.#events = events.slice();
    else for (const event of events) this.#events.push(event);
    this.#wake();
  }

  /** Everything up to and including `revision` has been pushed. */
  progress(revision: number): void {
    if (this.#state.kind !== 'open') return;
    this.#progress = Math.max(revision, this.#progress);
    this.#wake();
  }

  /** Ends the watch; what was not read is discarded. */
  end(): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'ended' };
    this.#events = [];
    this.#waiting?.resolve({ value: undefined, done: true });
    this.#waiting = undefined;
    this.#onClose();
  }

  fail(error: unknown): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'failed', error };
    this.#events = [];
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#onClose();
  }

  next(): Promise<Result> {
    const batch = this.#take();
    if (batch) return Promise.resolve({ value: batch, done: false });
    if (this.#state.kind === 'failed') return Promise.reject(this.#state.error);
    if (this.#state.kind === 'ended') return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<Result> {
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    const batch = this.#take();
    if (!batch) return;
    this.#waiting = undefined;
    waiting.resolve({ value: batch, done: false });
  }

  #take(): WatchBatch | undefined {
    const last = this.#events.at(-1);
    if (last) {
      const batch: WatchBatch = { kind: 'events', events: this.#events, revision: last.modRevision };
      this.#events = [];
      this.#backlog = 0;
      if (this.#progress <= last.modRevision) this.#progress = 0;
      return batch;
    }
    if (this.#progress === 0) return undefined;
    const batch: WatchBatch = { kind: 'progress', revision: this.#progress };
    this.#progress = 0;
    return batch;
  }
}
