// The storage port: what the API server needs of a store, and what every store promises. The contract suite in
// apiserver/storage/contract.ts holds for all of them.
//
// Promises
//   1. Revisions are integers > 0 that grow with every committed write, store-wide. A write's revision is its key's
//      `modRevision`.
//   2. `commit` is a linearizable compare-and-set: of two commits that expect the same modRevision one wins.
//   3. When `commit` resolves, the write is on disk (fsync'ed, or acknowledged by etcd) and survives kill -9.
//   4. A watch is ordered by revision, delivers every event after `fromRevision` exactly once, never splits a revision
//      over two batches, and resumes by itself through disconnects. When it cannot (compaction), it fails with
//      CompactedError; when its reader is too slow, with StreamOverflowError. It never blocks a writer.
//      Ending it by its signal discards what was not read yet.
//   5. A `progress` batch at revision R says: every event up to and including R has been delivered.

export interface KeyValue {
  key: string;
  value: Uint8Array;
  modRevision: number;
  createRevision: number;
}

export interface Write {
  key: string;
  /** The modRevision the key must have; 0 means it must not exist. */
  expected: number;
  /** The new value, or null to delete. */
  value: Uint8Array | null;
  /** The key disappears by itself (as a delete event) this long after this write. */
  ttlSeconds?: number;
}

export type CommitResult =
  | { ok: true; revision: number; createRevision: number }
  /** The comparison failed: `current` is the key as it is now, undefined when it does not exist. */
  | { ok: false; current: KeyValue | undefined; revision: number };

export type StoreEvent =
  | { type: 'put'; key: string; value: Uint8Array; modRevision: number; createRevision: number }
  | { type: 'delete'; key: string; modRevision: number };

/** Whole revisions only: a revision's events are never split over two batches. */
export type WatchBatch =
  | { kind: 'events'; events: StoreEvent[]; revision: number }
  | { kind: 'progress'; revision: number };

export interface ListOptions {
  /** First key wanted, inclusive; defaults to the prefix. */
  startKey?: string;
  /** At most this many; `more` says whether there were others. 0 or absent: all. */
  limit?: number;
  /** Read as of this revision; CompactedError when it is gone. Absent: now, linearizable. */
  revision?: number;
}

export interface ListResult {
  kvs: KeyValue[];
  /** The revision of the snapshot: the store's at the time of the read. */
  revision: number;
  more: boolean;
  /** Keys under the prefix from startKey on, whatever the limit. */
  count: number;
}

export interface RecentHistory {
  base: ListResult;
  events: StoreEvent[];
  /** The store's revision: the state after the last event. */
  revision: number;
}

export interface Store {
  /** The store's current revision, linearizable. */
  revision(): Promise<number>;
  /** Linearizable unless `revision` is given. A revision of the future is a FutureRevisionError, here and in `list`. */
  get(key: string, revision?: number): Promise<{ kv: KeyValue | undefined; revision: number }>;
  /** Keys that start with `prefix`, in byte order. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  commit(write: Write): Promise<CommitResult>;
  /**
   * True when the key's value should be written anew although nothing changed: it was encrypted with a key that does not
   * write any more. Absent where values are stored as they are.
   */
  isStale?(key: string): Promise<boolean>;
  /**
   * The state under `prefix` up to so many revisions ago, as far as history goes, and every event since: a cache that starts
   * with it lets watches resume from before a restart. Absent where history is not at hand.
   */
  recent?(prefix: string, revisions: number): Promise<RecentHistory>;
  /** Events of keys that start with `prefix` with modRevision > fromRevision. Ends when `signal` aborts. */
  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /**
   * Asks that the watches of exactly this prefix get a `progress` batch at the store's present revision or later, soon:
   * what a reader needs to learn that nothing is missing from a quiet prefix. Several requests may share one answer.
   */
  requestProgress(prefix: string): void;
  /** Forgets history before `revision`; reads and watches from before it get CompactedError. */
  compact(revision: number): Promise<void>;
  /** Bytes on disk, 0 where there is no disk. */
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/** The revision asked for is no longer known. */
export class CompactedError extends Error {
  readonly compactRevision: number;
  constructor(compactRevision: number) {
    super(`required revision has been compacted, oldest is ${compactRevision}`);
    this.name = 'CompactedError';
    this.compactRevision = compactRevision;
  }
}

/** The revision asked for has not been written yet. */
export class FutureRevisionError extends Error {
  readonly revision: number;
  readonly current: number;
  constructor(revision: number, current: number) {
    super(`revision ${revision} is in the future, the store is at ${current}`);
    this.name = 'FutureRevisionError';
    this.revision = revision;
    this.current = current;
  }
}

/** There is no room for what was to be written: nothing of it was. Reads and watches go on, and writes when there is room again. */
export class StoreFullError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreFullError';
  }
}

/** The store cannot be reached or has failed; nothing is known of a write in flight. */
export class StoreUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreUnavailableError';
  }
}
