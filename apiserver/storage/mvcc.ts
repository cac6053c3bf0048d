// The versions of every key, in memory: the core of the memory and embedded stores. Pure: no IO, no clock.
//
//   keys   /registry/a ─ [r3 put, r7 put]        log  r3 a · r5 b · r7 a · r9 b(delete)
//          /registry/b ─ [r5 put, r9 delete]          └ from compactRevision on: watches resume from here
//
// After compaction at C every key keeps its newest version at or before C (unless that is a deletion) and all after it.
import { SortedMap } from '../../lib/sorted-map.ts';
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type ListOptions,
  type ListResult,
  type RecentHistory,
  type StoreEvent,
} from './port.ts';

export interface Version {
  key: string;
  revision: number;
  createRevision: number;
  /** Null: the key was deleted at this revision. */
  value: Uint8Array | null;
}

export class Mvcc {
  #keys = new SortedMap<Version[]>();
  #log: Version[] = [];
  #revision: number;
  #compactRevision = 0;
  #historyBytes = 0;

  /** An empty store is at revision 1, as etcd is: 0 means "any" to clients. */
  constructor(revision = 1) {
    this.#revision = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Bytes of the values in the log, those still current included. */
  get historyBytes(): number {
    return this.#historyBytes;
  }

  /** Number of log entries. */
  get historyLength(): number {
    return this.#log.length;
  }

  /** The newest version, undefined when the key does not exist. */
  current(key: string): Version | undefined {
    const newest = this.#keys.get(key)?.at(-1);
    return newest?.value ? newest : undefined;
  }

  /** Appends a version; its revision must be above the present one. */
  apply(version: Version): StoreEvent {
    if (version.revision <= this.#revision) {
      throw new RangeError(`revision ${version.revision} of ${version.key} is not above ${this.#revision}`);
    }
    this.#revision = version.revision;
    const versions = this.#keys.get(version.key);
    if (versions) versions.push(version);
    else this.#keys.set(version.key, [version]);
    this.#log.push(version);
    this.#historyBytes += version.value?.length ?? 0;
    return toEvent(version);
  }

  /** Puts back what a file holds, in revision order: versions at or below `compactRevision` are state, later ones history. */
  load(versions: Iterable<Version>, revision: number, compactRevision: number): void {
    for (const version of versions) {
      const known = this.#keys.get(version.key);
      if (known) known.push(version);
      else this.#keys.set(version.key, [version]);
      if (version.revision <= compactRevision) continue;
      this.#log.push(version);
      this.#historyBytes += version.value?.length ?? 0;
    }
    this.#revision = Math.max(this.#revision, revision);
    this.#compactRevision = compactRevision;
  }

  get(key: string, revision = this.#revision): KeyValue | undefined {
    this.#check(revision);
    const version = at(this.#keys.get(key), revision);
    return version && toKeyValue(version);
  }

  list(prefix: string, options: ListOptions = {}): ListResult {
    const revision = options.revision ?? this.#revision;
    this.#check(revision);
    const limit = options.limit || Number.POSITIVE_INFINITY;
    const kvs: KeyValue[] = [];
    let count = 0;
    this.#keys.scan(
      prefix,
      (versions) => {
        const version = at(versions, revision);
        if (!version) return undefined;
        if (count++ < limit) kvs.push(toKeyValue(version));
        return undefined;
      },
      options.startKey,
    );
    return { kvs, revision, more: count > kvs.length, count };
  }

  /** Events of keys under `prefix` after `fromRevision`, in order. */
  eventsSince(prefix: string, fromRevision: number): StoreEvent[] {
    if (fromRevision < this.#compactRevision) throw new CompactedError(this.#compactRevision);
    const events: StoreEvent[] = [];
    for (let index = this.#logIndex(fromRevision); index < this.#log.length; index++) {
      const version = this.#log[index] as Version;
      if (version.key.startsWith(prefix)) events.push(toEvent(version));
    }
    return events;
  }

  /** See `Store.recent`. */
  recent(prefix: string, revisions: number): RecentHistory {
    const since = Math.max(this.#compactRevision, this.#revision - revisions, 0);
    return {
      base: this.list(prefix, { revision: since }),
      events: this.eventsSince(prefix, since),
      revision: this.#revision,
    };
  }

  /**
   * Forgets history before `revision` (at most the present one) and returns the revisions of the versions dropped.
   * A revision already compacted is a no-op.
   */
  compact(revision: number): number[] {
    if (revision > this.#revision) throw new FutureRevisionError(revision, this.#revision);
    if (revision <= this.#compactRevision) return [];
    const dropped: number[] = [];
    const end = this.#logIndex(revision);
    const seen = new Set<string>();
    for (let index = 0; index < end; index++) {
      const version = this.#log[index] as Version;
      this.#historyBytes -= version.value?.length ?? 0;
      seen.add(version.key);
    }
    for (const key of seen) {
      const versions = this.#keys.get(key) as Version[];
      let keep = versions.findLastIndex((each) => each.revision <= revision);
      if (versions[keep]?.value === null) keep++;
      for (const version of versions.splice(0, keep)) dropped.push(version.revision);
      if (versions.length === 0) this.#keys.delete(key);
    }
    this.#log = this.#log.slice(end);
    this.#compactRevision = revision;
    return dropped;
  }

  /** The revision `n` log entries ago: compacting there leaves at most `n` entries of history. */
  revisionBack(n: number): number {
    return this.#log.length <= n ? this.#compactRevision : (this.#log[this.#log.length - n - 1] as Version).revision;
  }

  #check(revision: number): void {
    if (revision < this.#compactRevision) throw new CompactedError(this.#compactRevision);
    if (revision > this.#revision) throw new FutureRevisionError(revision, this.#revision);
  }

  /** Index of the first log entry after `revision`. */
  #logIndex(revision: number): number {
    let low = 0;
    let high = this.#log.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#log[middle] as Version).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The version in force at `revision`; undefined when the key did not exist then. */
function at(versions: Version[] | undefined, revision: number): Version | undefined {
  if (!versions) return undefined;
  for (let index = versions.length - 1; index >= 0; index--) {
    const version = versions[index] as Version;
    if (version.revision <= revision) return version.value ? version : undefined;
  }
  return undefined;
}

export function toKeyValue(version: Version): KeyValue {
  return {
    key: version.key,
    value: version.value as Uint8Array,
    modRevision: version.revision,
    createRevision: version.createRevision,
  };
}

export function toEvent(version: Version): StoreEvent {
  const { key, revision, createRevision, value } = version;
  return value
    ? { type: 'put', key, value, modRevision: revision, createRevision }
    : { type: 'delete', key, modRevision: revision };
}
