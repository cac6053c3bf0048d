// A step of one object in the cache, as each kind of reader sees it; every view is made once and shared.
import type { ChangeType, Codec, Entry } from './entry.ts';
import type { CacheEvent } from './port.ts';

export class Change {
  readonly type: ChangeType;
  readonly revision: number;
  /** The object after the change; for DELETED the last state at the deletion's revision. */
  readonly entry: Entry;
  readonly previous: Entry | undefined;
  readonly timeMs: number;
  #codec: Codec;
  #views: Partial<Record<ChangeType, CacheEvent>> = {};

  constructor(
    type: ChangeType,
    entry: Entry,
    revision: number,
    previous: Entry | undefined,
    timeMs: number,
    codec: Codec,
  ) {
    this.type = type;
    this.entry = entry;
    this.revision = revision;
    this.previous = previous;
    this.timeMs = timeMs;
    this.#codec = codec;
  }

  /** For a reader who wants every object. */
  get event(): CacheEvent {
    return this.#view(this.type);
  }

  /** For a reader who wants what `accepts` says: an object that starts or stops matching is ADDED or DELETED for them. */
  eventFor(accepts: (entry: Entry) => boolean): CacheEvent | undefined {
    const before = this.previous !== undefined && accepts(this.previous);
    const after = this.type !== 'DELETED' && accepts(this.entry);
    if (after) return this.#view(before ? 'MODIFIED' : 'ADDED');
    return before ? this.#view('DELETED') : undefined;
  }

  #view(type: ChangeType): CacheEvent {
    const known = this.#views[type];
    if (known) return known;
    const entry =
      type === 'DELETED' && this.type !== 'DELETED'
        ? this.#codec.at(this.previous as Entry, this.revision, 'DELETED')
        : this.entry;
    const view = { type, entry, line: entry.line(type) };
    this.#views[type] = view;
    return view;
  }
}
