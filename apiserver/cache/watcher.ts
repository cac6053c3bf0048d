// One open watch: first its backlog (the initial state, or the changes since its revision), then what is published.
// Everything that arrives while the reader is busy is one batch. More than `limit` events waiting fails the watch with
// StreamOverflowError, so that its reader relists; writers and other watches never wait for it.
import { StreamOverflowError } from '../../lib/stream.ts';
import type { Change } from './change.ts';
import type { Entry } from './entry.ts';
import type { CacheEvent } from './port.ts';

type Result = IteratorResult<CacheEvent[]>;

/** Events per batch of a backlog. */
const CHUNK = 500;

export interface WatcherOptions {
  /** Key of the group it is in. */
  group: string;
  /** Undefined: wants everything of its group. */
  accepts: ((entry: Entry) => boolean) | undefined;
  /** Only events after this revision. */
  after: number;
  bookmarks: boolean;
  limit: number;
  /** Delivered first, in batches made when they are read. */
  backlog: Iterator<CacheEvent>;
  /** Its reader fell behind. */
  onOverflow?: () => void;
  onClose: () => void;
}

export class Watcher implements AsyncIterableIterator<CacheEvent[]> {
  readonly options: WatcherOptions;
  #backlog: Iterator<CacheEvent> | undefined;
  #pending: CacheEvent[] | undefined;
  /** False while `#pending` is a batch shared with other watchers. */
  #owned = false;
  #state: { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown } = { kind: 'open' };
  #waiting: { resolve: (result: Result) => void; reject: (error: unknown) => void } | undefined;

  constructor(options: WatcherOptions) {
    this.options = options;
    this.#backlog = options.backlog;
  }

  /** `shared` is the changes' own events: one array for all watchers that want everything. */
  publish(changes: readonly Change[], shared: CacheEvent[]): void {
    const { accepts, after } = this.options;
    const last = changes.at(-1);
    if (!last || last.revision <= after) return;
    if (!accepts && (changes[0] as Change).revision > after) return this.#push(shared, false);
    const events: CacheEvent[] = [];
    for (const change of changes) {
      if (change.revision <= after) continue;
      const event = accepts ? change.eventFor(accepts) : change.event;
      if (event) events.push(event);
    }
    if (events.length > 0) this.#push(events, true);
  }

  bookmark(event: CacheEvent): void {
    if (this.options.bookmarks && event.entry.revision >= this.options.after) this.#push([event], true);
  }

  /** Ends the watch; what waits is still delivered. */
  end(): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'ended' };
    if (!this.#backlog && !this.#pending) {
      this.#waiting?.resolve({ value: undefined, done: true });
      this.#waiting = undefined;
    }
    this.options.onClose();
  }

  fail(error: unknown): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'failed', error };
    this.#discard();
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.options.onClose();
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
    this.#discard();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #push(events: CacheEvent[], owned: boolean): void {
    if (this.#state.kind !== 'open') return;
    const waiting = this.#waiting;
    if (waiting) {
      this.#waiting = undefined;
      waiting.resolve({ value: events, done: false });
      return;
    }
    const pending = this.#pending;
    if (!pending) {
      this.#pending = events;
      this.#owned = owned;
    } else if (pending.length + events.length > this.options.limit) {
      this.options.onOverflow?.();
      this.fail(new StreamOverflowError(this.options.limit));
    } else if (this.#owned) {
      for (const event of events) pending.push(event);
    } else {
      this.#pending = pending.concat(events);
      this.#owned = true;
    }
  }

  #take(): CacheEvent[] | undefined {
    if (this.#backlog) {
      const chunk: CacheEvent[] = [];
      while (chunk.length < CHUNK) {
        const next = this.#backlog.next();
        if (next.done) {
          this.#backlog = undefined;
          break;
        }
        chunk.push(next.value);
      }
      if (chunk.length > 0) return chunk;
    }
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  #discard(): void {
    this.#backlog = undefined;
    this.#pending = undefined;
  }
}
