// The watch cache as the registry sees it: one per resource, fed by the store's watch, every object decoded and encoded
// once per revision. Readers get shared, frozen-by-agreement objects: never mutate one.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';

export interface CachedObject {
  /** Store key, `/registry/pods/default/web`. */
  key: string;
  /** With metadata.resourceVersion, apiVersion and kind set. Shared: never mutate. */
  object: KubeObject;
  /** The JSON encoding of `object`: what GET sends. Encoded once. */
  bytes: Buffer;
  /** The part of `bytes` that is `object.metadata`, where the cache knows it. */
  readonly metadataBytes?: Buffer;
  revision: number;
}

/** Decides from an object whether a reader wants it. Built from label and field selectors by the registry. */
export type Matcher = (object: KubeObject) => boolean;

export interface Query {
  /** Absent: all namespaces (or a cluster-scoped resource). */
  namespace?: string;
  /** Exactly one object; set for `metadata.name=x` field selectors. */
  name?: string;
  /** Absent: everything. */
  matches?: Matcher;
  /** A field index the cache keeps (`spec.nodeName` of pods) with the value wanted: narrows before `matches` runs. */
  index?: { field: string; value: string };
}

export interface CacheEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** For DELETED the last state, at the revision of the deletion. For BOOKMARK an object with only its revision. */
  entry: CachedObject;
  /** `{"type":"ADDED","object":{...}}\n`, encoded once and shared by all watchers. */
  line: Buffer;
}

export interface WatchQuery extends Query {
  /**
   * Events with revision > fromRevision. `initial` instead first delivers the current state as ADDED events and, when
   * bookmarks are on, one BOOKMARK annotated `k8s.io/initial-events-end: "true"` (sendInitialEvents).
   */
  from: { kind: 'revision'; revision: number } | { kind: 'initial' };
  /** Send BOOKMARK events about once a minute, and a last one when `signal` ends the watch. */
  bookmarks: boolean;
  /** Ends the watch. */
  signal: AbortSignal;
}

export interface ResourceCache {
  readonly kind: Kind;
  /** Resolves when the first list has been loaded. */
  ready(): Promise<void>;
  /** The newest revision the cache reflects. */
  readonly revision: number;
  /** Resolves once the cache reflects the store as of now: what a read without resourceVersion needs. */
  current(signal?: AbortSignal): Promise<void>;
  /** Resolves once `revision` is reflected; throws ApiError 504 `Too large resource version` after about 3 s. */
  waitFor(revision: number, signal?: AbortSignal): Promise<void>;
  get(namespace: string | undefined, name: string): CachedObject | undefined;
  /**
   * Entries in key order with the revision they reflect. Synchronous, like `get` and the start of `watch`: after `current`
   * or `waitFor` they all see the same state until the caller awaits. `isRequest`: of a client, counted in the metrics.
   */
  list(query: Query, isRequest?: boolean): { items: CachedObject[]; revision: number };
  /**
   * The entry of a write that the registry has just committed, so that `object` and `value` (what was stored, JSON without
   * resourceVersion) are decoded and encoded only once: the watch event of that revision will reuse it. Sets
   * metadata.resourceVersion, apiVersion and kind on `object`, which is shared from then on. Does not make the write
   * visible: that is the watch's doing.
   */
  committed(write: { key: string; value: Uint8Array; revision: number; object: KubeObject }): CachedObject;
  /**
   * Says what is about to be committed, so that an event that comes before the store's answer needs no decoding: an event
   * of this key with these bytes is `object`, which is the cache's then. `withdraw` must be called when the answer is there.
   */
  announce(write: { key: string; value: Uint8Array; object: KubeObject }): { withdraw(): void };
  /** `last` as of its deletion at `revision`: what the DELETE response sends. */
  deleted(last: CachedObject, revision: number): CachedObject;
  /** Objects now. */
  readonly size: number;
  /** Their bytes as they are stored, about. */
  readonly sizeBytes: number;
  /** Open watches. */
  readonly watchers: number;
  /** Those of them that a change of this object would be shown to; by index, about. An empty name: some object there. */
  watchersOf(namespace: string, name: string): number;
  /** Changes that are kept for watches that resume, at most. */
  readonly capacity: number;
  /**
   * Batches of events in order. Throws ApiError 410 `Expired` (`too old resource version: A (B)`) when the history
   * before `from` is gone; fails with StreamOverflowError when the reader falls behind its bounded buffer.
   */
  watch(query: WatchQuery): AsyncIterable<CacheEvent[]>;
}

export interface CacheSet {
  /** The cache of a kind, started on first use. */
  of(kind: Kind): ResourceCache;
  /**
   * Ends the cache of a kind that is no longer served, or that `next` is served for instead: its watches end. Whoever still
   * has the old kind gets the cache of the new one, or 404.
   */
  retire(kind: Kind, next: Kind | undefined): Promise<void>;
  /** Ends the caches' watches; their readers' streams end. */
  stop(): Promise<void>;
}
