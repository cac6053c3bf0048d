// What a cache knows at one revision: the objects in key order, its field indexes, and how a store event or a fresh list
// changes them. Synchronous and without IO.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { LogFields } from '../../lib/log.ts';
import { SortedMap } from '../../lib/sorted-map.ts';
import type { KeyValue, StoreEvent } from '../storage/port.ts';
import { Change } from './change.ts';
import type { Codec, Entry } from './entry.ts';
import type { Query } from './port.ts';

/** What conversion made of stored objects, by key and revision; an Error where it could not. */
export type Converted = ReadonlyMap<string, KubeObject | Error>;

export const convertedKey = (kv: { key: string; modRevision: number }) => `${kv.modRevision} ${kv.key}`;

interface Announcement {
  key: string;
  value: Uint8Array;
  object: KubeObject;
}

export type Report = (fields: LogFields, message: string) => void;

export class CacheState {
  readonly entries = new SortedMap<Entry>();
  /** Of all entries. */
  sizeBytes = 0;
  #indexes = new Map<string, Map<string, SortedMap<Entry>>>();
  #extractors: [field: string, extract: (object: KubeObject) => string][] = [];
  /** Entries of writes committed here whose events have not come yet. */
  #committed = new Map<string, Entry>();
  /** What writers are waiting for the store to commit; a later writer of the same key takes the place of an earlier. */
  #announced = new Map<string, Announcement>();
  #codec: Codec;
  #report: Report;

  constructor(kind: Kind, indexed: readonly string[], codec: Codec, report: Report) {
    this.#codec = codec;
    this.#report = report;
    for (const field of indexed) {
      const extract = kind.selectableFields?.[field];
      if (!extract) continue;
      this.#extractors.push([field, extract]);
      this.#indexes.set(field, new Map());
    }
  }

  isIndexed(field: string): boolean {
    return this.#indexes.has(field);
  }

  indexValue(field: string, entry: Entry): string | undefined {
    const extract = this.#extractors.find(([name]) => name === field)?.[1];
    return extract?.(entry.object);
  }

  /** `field=value` of every index the entry is in. */
  indexKeys(entry: Entry): string[] {
    return this.#extractors.map(([field, extract]) => `${field}=${extract(entry.object)}`);
  }

  scan(prefix: string, index: Query['index'], visit: (entry: Entry) => void): void {
    const entries =
      index && this.isIndexed(index.field) ? this.#indexes.get(index.field)?.get(index.value) : this.entries;
    entries?.scan(prefix, (entry) => {
      visit(entry);
      return undefined;
    });
  }

  /** Keeps an entry until its event arrives; ignored when the event has been applied. */
  remember(entry: Entry): void {
    this.#committed.set(entry.key, entry);
  }

  announce(write: Announcement): { withdraw(): void } {
    this.#announced.set(write.key, write);
    return {
      withdraw: () => {
        if (this.#announced.get(write.key) === write) this.#announced.delete(write.key);
      },
    };
  }

  /** Forgets remembered entries at or below a revision that is complete. */
  settle(revision: number): void {
    for (const [key, entry] of this.#committed) if (entry.revision <= revision) this.#committed.delete(key);
  }

  /** True when the entry of this very write is known already. */
  isKnown({ key, modRevision }: { key: string; modRevision: number }): boolean {
    return this.#committed.get(key)?.revision === modRevision || this.entries.get(key)?.revision === modRevision;
  }

  apply(event: StoreEvent, nowMs: number, converted?: Converted): Change | undefined {
    const previous = this.entries.get(event.key);
    if (event.type === 'delete') return previous && this.#remove(previous, event.modRevision, nowMs);
    const entry = this.#entry(event, previous ? 'MODIFIED' : 'ADDED', converted);
    if (!entry) return previous && this.#remove(previous, event.modRevision, nowMs);
    return this.#put(entry, previous, nowMs);
  }

  /**
   * Becomes the list read at `revision`. Returns the changes since `before`, the revision known until now, in order:
   * deletions come first, at the revision after `before` (their own are not known), then the rest at their own.
   */
  replace(kvs: readonly KeyValue[], before: number, nowMs: number, converted?: Converted): Change[] {
    const fresh = new Map(kvs.map((kv) => [kv.key, kv]));
    const changes: Change[] = [];
    const gone: Entry[] = [];
    this.entries.scan('', (entry) => {
      const kv = fresh.get(entry.key);
      if (!kv || kv.createRevision > entry.revision) gone.push(entry);
      return undefined;
    });
    for (const entry of gone) changes.push(this.#remove(entry, before + 1, nowMs));
    const puts = kvs.filter((kv) => this.entries.get(kv.key)?.revision !== kv.modRevision);
    if (before > 0) puts.sort((a, b) => a.modRevision - b.modRevision);
    for (const kv of puts) {
      const change = this.apply({ type: 'put', ...kv }, nowMs, converted);
      if (change) changes.push(change);
    }
    return changes;
  }

  #entry(
    event: StoreEvent & { type: 'put' },
    type: 'ADDED' | 'MODIFIED',
    converted: Converted | undefined,
  ): Entry | undefined {
    const committed = this.#committed.get(event.key);
    if (committed?.revision === event.modRevision) {
      this.#committed.delete(event.key);
      return committed;
    }
    try {
      const object = converted?.get(convertedKey(event));
      if (object instanceof Error) throw object;
      if (object) return this.#codec.encodeObject(event.key, event.modRevision, type, object);
      const announced = this.#announced.get(event.key);
      const known = announced && Buffer.compare(announced.value, event.value) === 0 ? announced.object : undefined;
      return this.#codec.encode(event.key, event.modRevision, type, event.value, known);
    } catch (error) {
      this.#report(
        { err: error, key: event.key, revision: event.modRevision },
        'stored object cannot be decoded; it is not served',
      );
      return undefined;
    }
  }

  #put(entry: Entry, previous: Entry | undefined, nowMs: number): Change {
    this.entries.set(entry.key, entry);
    this.sizeBytes += entry.bytes.length - (previous?.bytes.length ?? 0);
    for (const [field, extract] of this.#extractors) {
      const values = this.#indexes.get(field) as Map<string, SortedMap<Entry>>;
      const value = extract(entry.object);
      if (previous && extract(previous.object) !== value) dropFrom(values, extract(previous.object), entry.key);
      let group = values.get(value);
      if (!group) values.set(value, (group = new SortedMap()));
      group.set(entry.key, entry);
    }
    return new Change(previous ? 'MODIFIED' : 'ADDED', entry, entry.revision, previous, nowMs, this.#codec);
  }

  #remove(previous: Entry, revision: number, nowMs: number): Change {
    this.entries.delete(previous.key);
    this.sizeBytes -= previous.bytes.length;
    for (const [field, extract] of this.#extractors) {
      dropFrom(this.#indexes.get(field) as Map<string, SortedMap<Entry>>, extract(previous.object), previous.key);
    }
    const last = this.#codec.at(previous, revision, 'DELETED');
    return new Change('DELETED', last, revision, previous, nowMs, this.#codec);
  }
}

function dropFrom(values: Map<string, SortedMap<Entry>>, value: string, key: string): void {
  const group = values.get(value);
  group?.delete(key);
  if (group?.size === 0) values.delete(value);
}
