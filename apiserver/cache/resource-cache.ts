// The watch cache of one kind: lists the store once, follows its watch, serves reads and watches from memory.
//
//   store.list ─▶ CacheState ◀─ Change ◀─ store.watch     one loop writes; readers and watches never wait for each other
//                     │            ├─▶ Ring ─▶ watches that resume
//                  get, list       └─▶ Watchers (groups) ─▶ watches
//
// When the store has compacted what the loop needs, it lists again and publishes the difference; see Ring.addGap.
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import { childAbort, sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { MetricsRegistry } from '../../lib/metrics.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import { namespacePrefix, objectKey, resourcePrefix, splitKey } from '../storage/keys.ts';
import { CompactedError, type Store, type StoreEvent } from '../storage/port.ts';
import type { Change } from './change.ts';
import { Codec, type Decode, type Entry } from './entry.ts';
import { type CacheMetrics, type CacheSeries, createCacheMetrics } from './metrics.ts';
import type { CachedObject, CacheEvent, Query, ResourceCache, WatchQuery } from './port.ts';
import { Ring, type RingLimits } from './ring.ts';
import { ConversionError, conversionOf, type StoredObject } from './convert.ts';
import { CacheState, type Converted } from './state.ts';
import { Watcher } from './watcher.ts';
import { Watchers } from './watchers.ts';
import { RevisionWaiters } from './waiters.ts';

export interface ResourceCacheOptions {
  store: Store;
  clock: Clock;
  log: Logger;
  random: Random;
  decode: Decode;
  /** Fields of this kind with an index; each must be one of its selectable fields. */
  indexed: readonly string[];
  ring: RingLimits;
  watchLimit: number;
  /** The store's revision, read after the call; calls share reads. */
  freshRevision: () => Promise<number>;
  /** Default: counted for nobody. */
  metrics?: CacheMetrics | undefined;
}

/** Changes applied before other work gets its turn. */
const APPLY_AT_ONCE = 500;
const NOTHING_ANNOUNCED = { withdraw() {} };
const WAIT_MS = 3_000;
/** How far back a cache that starts reads, so that clients can resume from before a restart of the server. */
const RESUMABLE_REVISIONS = 2_000;
const RETRY = { initialMs: 100, maxMs: 5_000, jitter: 0.5 };

export class KindCache implements ResourceCache {
  readonly kind: Kind;
  readonly #series: CacheSeries;
  #options: ResourceCacheOptions;
  #prefix: string;
  #codec: Codec;
  #state: CacheState;
  #ring: Ring;
  #watchers: Watchers;
  #waiters: RevisionWaiters;
  #revision = 0;
  #loaded = Promise.withResolvers<void>();
  #isLoaded = false;
  #stop = new AbortController();
  #convert: ((events: readonly StoredObject[]) => Promise<Converted>) | undefined;
  /** Ends the pause after a failure: a reader waits. */
  #retryNow = () => {};
  #running: Promise<void>;

  constructor(kind: Kind, options: ResourceCacheOptions) {
    this.kind = kind;
    this.#options = options;
    this.#series = (options.metrics ?? createCacheMetrics(new MetricsRegistry()))(kind);
    this.#prefix = resourcePrefix(kind);
    this.#codec = new Codec(kind, options.decode);
    this.#state = new CacheState(kind, options.indexed, this.#codec, (fields, message) => {
      this.#series.decodeErrors.inc();
      options.log.error({ resource: kind.resource, ...fields }, message);
    });
    this.#ring = new Ring(0, options.ring);
    this.#watchers = new Watchers(
      (key) => splitKey(kind, key).namespace,
      ({ entry, previous }) => {
        const keys = this.#state.indexKeys(entry);
        return previous && previous.revision !== entry.revision ? [...keys, ...this.#state.indexKeys(previous)] : keys;
      },
    );
    this.#waiters = new RevisionWaiters(options.clock);
    this.#loaded.promise.catch(() => {});
    this.#convert = kind.conversion && conversionOf(kind.conversion, this.#codec, this.#state);
    this.#running = this.#run(this.#stop.signal);
  }

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#state.entries.size;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  watchersOf(namespace: string, name: string): number {
    if (this.#watchers.size === 0) return 0;
    const inNamespace = this.kind.namespaced ? namespace : undefined;
    // Asked before anybody knows whether there is such a path: `/api/v1/pods/web` has no namespace.
    const isOne = name !== '' && inNamespace !== '';
    return this.#watchers.interested(inNamespace, isOne ? objectKey(this.kind, inNamespace, name) : undefined);
  }

  get sizeBytes(): number {
    return this.#state.sizeBytes;
  }

  get capacity(): number {
    return this.#options.ring.count;
  }

  ready(): Promise<void> {
    if (!this.#isLoaded) this.#retryNow();
    return this.#loaded.promise;
  }

  async current(signal?: AbortSignal): Promise<void> {
    await this.#serving();
    const revision = await this.#options.freshRevision();
    if (revision > this.#revision) {
      try {
        await this.#catchUp(revision, signal);
      } catch (error) {
        this.#series.notConsistent.inc();
        throw error;
      }
    }
    this.#series.consistent.inc();
  }

  async waitFor(revision: number, signal?: AbortSignal): Promise<void> {
    await this.#serving();
    if (revision > this.#revision) await this.#catchUp(revision, signal);
  }

  async #serving(): Promise<void> {
    if (this.#stop.signal.aborted) throw stopped();
    if (!this.#isLoaded) await this.ready();
  }

  get(namespace: string | undefined, name: string): CachedObject | undefined {
    return this.#state.entries.get(objectKey(this.kind, namespace, name));
  }

  list(query: Query, isRequest = false): { items: CachedObject[]; revision: number } {
    const items: CachedObject[] = [];
    const accepts = this.#filter(query, true);
    let visited = 0;
    this.#visit(query, (entry) => {
      visited++;
      if (!accepts || accepts(entry)) items.push(entry);
    });
    if (isRequest) {
      const { index } = query;
      const isIndexed = index !== undefined && this.#state.isIndexed(index.field);
      this.#series.listed(isIndexed ? `f:${index.field}` : '', visited, items.length);
    }
    return { items, revision: this.#revision };
  }

  committed(write: { key: string; value: Uint8Array; revision: number; object: KubeObject }): CachedObject {
    const { key, value, revision, object } = write;
    const known = this.#state.entries.get(key);
    if (known?.revision === revision) {
      known.adopt(object);
      object.metadata.resourceVersion = String(revision);
      return known;
    }
    const isCreate = !known && this.#isLoaded;
    const type = isCreate ? 'ADDED' : 'MODIFIED';
    const entry = this.kind.conversion
      ? this.#codec.encodeObject(key, revision, type, object)
      : this.#codec.encode(key, revision, type, value, object);
    if (this.#isLoaded && revision > this.#revision) this.#state.remember(entry);
    return entry;
  }

  announce(write: { key: string; value: Uint8Array; object: KubeObject }): { withdraw(): void } {
    // What is converted on the way is not what its reader gets.
    return this.kind.conversion ? NOTHING_ANNOUNCED : this.#state.announce(write);
  }

  deleted(last: CachedObject, revision: number): CachedObject {
    return this.#codec.at(last, revision, 'DELETED');
  }

  watch(query: WatchQuery): AsyncIterable<CacheEvent[]> {
    if (!this.#isLoaded) throw errors.tooManyRequests('storage is (re)initializing', 1);
    const accepts = this.#filter(query, false);
    let after: number;
    let backlog: Iterator<CacheEvent>;
    if (query.from.kind === 'initial') {
      after = this.#revision;
      // The snapshot is taken now, in the same turn as the subscription; its lines are made as the reader takes them.
      const snapshot = this.list(query).items as Entry[];
      backlog = initialEvents(snapshot, query.bookmarks ? this.#bookmark(true) : undefined);
    } else {
      after = query.from.revision;
      const oldest = this.#ring.missing(after);
      if (oldest !== undefined) throw errors.expired(`too old resource version: ${after} (${oldest})`);
      backlog = replay(this.#ring.after(after), this.#groupFilter(query));
    }
    const onAbort = () => {
      watcher.bookmark(this.#bookmark());
      watcher.end();
    };
    const watcher = new Watcher({
      group: this.#group(query),
      accepts,
      after,
      bookmarks: query.bookmarks,
      limit: this.#options.watchLimit,
      backlog,
      onOverflow: () => this.#series.terminated.inc(),
      onClose: () => {
        this.#watchers.delete(watcher);
        query.signal.removeEventListener('abort', onAbort);
      },
    });
    this.#watchers.add(watcher);
    if (query.signal.aborted || this.#stop.signal.aborted) watcher.end();
    else query.signal.addEventListener('abort', onAbort, { once: true });
    return watcher;
  }

  /** Sends every watch that wants bookmarks one at the newest revision the store confirms. */
  async sendBookmarks(): Promise<void> {
    if (![...this.#watchers].some((watcher) => watcher.options.bookmarks)) return;
    let event: CacheEvent | undefined;
    try {
      await this.current(this.#stop.signal);
    } catch (error) {
      this.#options.log.debug({ err: error, resource: this.kind.resource }, 'bookmark without a fresh revision');
    }
    for (const watcher of this.#watchers) {
      if (!watcher.options.bookmarks) continue;
      event ??= this.#bookmark();
      watcher.bookmark(event);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#loaded.reject(stopped());
    for (const watcher of this.#watchers) watcher.end();
    this.#waiters.fail(stopped());
    await this.#running;
  }

  // ── Following the store ──────────────────────────────────────────────────────────────────────────────────────────────

  async #run(signal: AbortSignal): Promise<void> {
    const { log, random } = this.#options;
    let mustList = false;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (!this.#isLoaded) await this.#load();
        else if (mustList) await this.#relist();
        mustList = false;
        failures = 0;
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof CompactedError) mustList = true;
        failures++;
        const fields = { err: error, resource: this.kind.resource, revision: this.#revision };
        if (error instanceof CompactedError || error instanceof StreamOverflowError)
          log.warn(fields, 'watch of the store starts anew');
        else log.warn(fields, 'store cannot be followed; trying again');
        if (error instanceof ConversionError) this.#refuse(error.cause);
        if (failures > 1 || !(error instanceof CompactedError)) {
          await this.#pause(backoffMs(RETRY, failures, random), signal);
          if (signal.aborted) return;
        }
      }
    }
  }

  /** Objects that cannot be converted: whoever waits for them is told, whoever comes later may find it mended. */
  #refuse(error: unknown): void {
    if (!this.#isLoaded) {
      this.#loaded.reject(error);
      this.#loaded = Promise.withResolvers();
      this.#loaded.promise.catch(() => {});
    }
    this.#waiters.fail(error);
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const scope = childAbort(signal);
    this.#retryNow = () => scope.abort();
    await sleep(this.#options.clock, ms, scope.signal);
    this.#retryNow = () => {};
    scope.dispose();
  }

  async #load(): Promise<void> {
    const { store, clock } = this.#options;
    const recent = await store.recent?.(this.#prefix, RESUMABLE_REVISIONS);
    const { kvs, revision: since } = recent?.base ?? (await store.list(this.#prefix));
    const events = recent?.events ?? [];
    const converted = this.#convert && (await this.#convert([...kvs, ...events.filter((each) => each.type === 'put')]));
    if (this.#stop.signal.aborted) return;
    const nowMs = clock.monotonic();
    this.#ring = new Ring(since, this.#options.ring);
    this.#state.replace(kvs, 0, nowMs, converted);
    for (const event of events) {
      const change = this.#state.apply(event, nowMs, converted);
      if (change) this.#ring.push(change);
    }
    this.#ring.trim(nowMs);
    this.#revision = recent?.revision ?? since;
    this.#isLoaded = true;
    this.#series.initializations.inc();
    this.#series.initEvents.inc(kvs.length);
    this.#loaded.resolve();
  }

  async #relist(): Promise<void> {
    const { kvs, revision } = await this.#options.store.list(this.#prefix);
    const before = this.#revision;
    if (this.#stop.signal.aborted || revision <= before) return;
    const converted = this.#convert && (await this.#convert(kvs));
    const nowMs = this.#options.clock.monotonic();
    const changes = this.#state.replace(kvs, before, nowMs, converted);
    this.#ring.addGap(before, revision);
    this.#series.initializations.inc();
    this.#series.initEvents.inc(kvs.length);
    this.#publish(changes, revision, nowMs);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    // A child, so that the store's watch is closed when applying fails.
    const scope = childAbort(signal);
    try {
      for await (const batch of this.#options.store.watch(this.#prefix, this.#revision, scope.signal)) {
        if (batch.kind === 'progress') {
          this.#series.bookmarks.inc();
          this.#publish([], batch.revision, 0);
        } else await this.#apply(batch.events, batch.revision, signal);
        if (signal.aborted) return;
      }
    } finally {
      scope.abort();
      scope.dispose();
    }
  }

  /** Whole revisions at a time; a long batch leaves room for other work in between. */
  async #apply(events: readonly StoreEvent[], revision: number, signal: AbortSignal): Promise<void> {
    this.#series.fromStore.inc(events.length);
    this.#series.received.inc(events.length);
    for (let start = 0; start < events.length; ) {
      let end = Math.min(start + APPLY_AT_ONCE, events.length);
      const last = events[end - 1] as StoreEvent;
      while (end < events.length && events[end]?.modRevision === last.modRevision) end++;
      const converted =
        this.#convert && (await this.#convert(events.slice(start, end).filter((each) => each.type === 'put')));
      if (signal.aborted) return;
      const nowMs = this.#options.clock.monotonic();
      const changes: Change[] = [];
      for (let index = start; index < end; index++) {
        const change = this.#state.apply(events[index] as StoreEvent, nowMs, converted);
        if (change) changes.push(change);
      }
      this.#publish(changes, end === events.length ? Math.max(revision, last.modRevision) : last.modRevision, nowMs);
      start = end;
      if (start < events.length) {
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) return;
      }
    }
  }

  #publish(changes: readonly Change[], revision: number, nowMs: number): void {
    for (const change of changes) this.#ring.push(change);
    if (changes.length > 0) this.#ring.trim(nowMs);
    this.#revision = Math.max(this.#revision, revision);
    this.#state.settle(this.#revision);
    this.#watchers.publish(changes);
    if (changes.length > 0) this.#series.dispatched.inc(changes.length);
    this.#waiters.advance(this.#revision);
  }

  async #catchUp(revision: number, signal?: AbortSignal): Promise<void> {
    this.#retryNow();
    this.#options.store.requestProgress(this.#prefix);
    const started = performance.now();
    const isThere = await this.#waiters.wait(revision, WAIT_MS, signal);
    this.#series.readWait.observe((performance.now() - started) / 1000);
    if (isThere) return;
    const error = errors.timeout(`Too large resource version: ${revision}, current: ${this.#revision}`, 1);
    error.status.details = {
      ...error.status.details,
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    };
    throw error;
  }

  // ── What a query sees ────────────────────────────────────────────────────────────────────────────────────────────────

  #visit(query: Query, visit: (entry: Entry) => void): void {
    const { namespace, name } = query;
    if (name !== undefined && (namespace || !this.kind.namespaced)) {
      const entry = this.#state.entries.get(objectKey(this.kind, namespace, name));
      if (entry) visit(entry);
      return;
    }
    const prefix = namespace && this.kind.namespaced ? namespacePrefix(this.kind, namespace) : this.#prefix;
    this.#state.scan(prefix, query.index, visit);
  }

  #group(query: Query): string {
    const { namespace, name, index } = query;
    if (name !== undefined && (namespace || !this.kind.namespaced)) return `k:${objectKey(this.kind, namespace, name)}`;
    if (index && this.#state.isIndexed(index.field)) return `i:${index.field}=${index.value}`;
    return namespace && this.kind.namespaced ? `n:${namespace}` : 'a';
  }

  /** What is left to check of an entry that `#visit` shows or the group lets through; undefined: nothing. */
  #filter(query: Query, visited: boolean): ((entry: Entry) => boolean) | undefined {
    const { namespace, name, matches, index } = query;
    const checks: ((entry: Entry) => boolean)[] = [];
    const isOne = name !== undefined && (namespace || !this.kind.namespaced);
    if (name !== undefined && !isOne) checks.push((entry) => splitKey(this.kind, entry.key).name === name);
    if (index && !(visited && !isOne && this.#state.isIndexed(index.field))) {
      // A watch's group sees the object before and after its value changed, so the value is always checked.
      const extract = this.kind.selectableFields?.[index.field];
      if (!extract) throw new RangeError(`${this.kind.resource}: ${index.field} is not a selectable field`);
      checks.push((entry) => extract(entry.object) === index.value);
      if (!visited && namespace && this.kind.namespaced) {
        const prefix = namespacePrefix(this.kind, namespace);
        checks.push((entry) => entry.key.startsWith(prefix));
      }
    }
    if (matches) checks.push((entry) => matches(entry.object));
    if (checks.length < 2) return checks[0];
    return (entry) => checks.every((check) => check(entry));
  }

  /** For changes of the ring, which no group has sifted. */
  #groupFilter(query: Query): ((entry: Entry) => boolean) | undefined {
    const accepts = this.#filter(query, false);
    const { namespace, name } = query;
    if (name !== undefined && (namespace || !this.kind.namespaced)) {
      const key = objectKey(this.kind, namespace, name);
      return (entry) => entry.key === key && (!accepts || accepts(entry));
    }
    if (!namespace || !this.kind.namespaced) return accepts;
    const prefix = namespacePrefix(this.kind, namespace);
    return (entry) => entry.key.startsWith(prefix) && (!accepts || accepts(entry));
  }

  #bookmark(initialEnd = false): CacheEvent {
    const entry = this.#codec.bookmark(this.#revision, initialEnd);
    return { type: 'BOOKMARK', entry, line: entry.ownLine };
  }
}

const stopped = () => errors.serviceUnavailable('the server is shutting down');

function* initialEvents(entries: readonly Entry[], end: CacheEvent | undefined): Generator<CacheEvent> {
  for (const entry of entries) yield { type: 'ADDED', entry, line: entry.line('ADDED') };
  if (end) yield end;
}

function* replay(changes: readonly Change[], accepts: ((entry: Entry) => boolean) | undefined): Generator<CacheEvent> {
  for (const change of changes) {
    const event = accepts ? change.eventFor(accepts) : change.event;
    if (event) yield event;
  }
}
