// The store of one machine: everything in memory (Mvcc), every write in a SQLite file before it is acknowledged or seen.
//
//   commit ─▶ compared with memory and what is staged ─▶ queue ─▶ one transaction of the worker ─▶ applied, watches, ack
//                                                          └ gathers while the previous fsync runs
//
// A thread takes 50 ms to start; until it is there the same transactions run on this one, so that a server can write its
// first objects at once.
//
// The queue is bounded by the callers, who wait for their acknowledgement. History is kept five to ten minutes, less when it
// grows beyond `historyBytes`.
import { statfsSync, statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Clock, systemClock, type Timer } from '../../lib/clock.ts';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { openFile, type StoredVersion } from './embedded-file.ts';
import type { WorkerAnswer, WorkerRequest } from './embedded-worker.ts';
import { FileWriter, type WriteRequest, type WriteRow } from './embedded-writer.ts';
import { Expiry } from './expiry.ts';
import { Mvcc, toKeyValue, type Version } from './mvcc.ts';
import {
  type CommitResult,
  type Store,
  type StoreEvent,
  StoreFullError,
  StoreUnavailableError,
  type Write,
} from './port.ts';
import { WatchHub } from './watch-hub.ts';

export interface EmbeddedStoreOptions {
  path: string;
  log?: Logger;
  clock?: Clock;
  /** Events that may wait for one watch. Default 10,000. */
  watchLimit?: number;
  /** How often history older than one such interval is forgotten. Default 5 minutes; 0 never. */
  compactIntervalMs?: number;
  /** Values in the history beyond which it is forgotten earlier. Default 32 MiB. */
  historyBytes?: number;
}

interface Staged {
  version: StoredVersion | undefined;
  settle: (error: Error | undefined) => void;
}

/** A file system with less than this has no room for a write. */
const FULL_BYTES = 64 << 10;
/** Rows deleted along with one transaction. */
const DROPS_AT_ONCE = 2_000;
/** Rows in one transaction: bounds how long the others wait. */
const WRITES_AT_ONCE = 2_000;

/** Opens the file and reads it; throws StoreUnavailableError when another process has it. */
export function createEmbeddedStore(options: EmbeddedStoreOptions): EmbeddedStore {
  return new EmbeddedStore(options);
}

export class EmbeddedStore implements Store {
  readonly #handedOver = Promise.withResolvers<void>();
  #options: EmbeddedStoreOptions;
  #clock: Clock;
  #log: Logger;
  #mvcc = new Mvcc();
  #hub: WatchHub;
  #expiry: Expiry;
  #worker: Worker;
  /** Writes until the worker can. */
  #writer: FileWriter | undefined;
  #unlock: () => void;
  #lastRevision: number;
  /** The newest version of keys with writes that are not on disk yet. */
  #staged = new Map<string, StoredVersion>();
  #queue: Staged[] = [];
  #inFlight: Staged[] | undefined;
  #drops: number[] = [];
  /** The compaction revision in the file is behind. */
  #mustMark = false;
  #compactions: { revision: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #pumpScheduled = false;
  #state: { kind: 'open' } | { kind: 'failed'; error: StoreUnavailableError } | { kind: 'closed' } = { kind: 'open' };
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #compactTimer: Timer | undefined;

  constructor(options: EmbeddedStoreOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    const file = openFile(options.path);
    this.#unlock = file.unlock;
    this.#mvcc.load(file.versions, file.revision, file.compactRevision);
    this.#lastRevision = file.revision;
    this.#hub = new WatchHub(this.#mvcc, options.watchLimit ?? 10_000);
    this.#expiry = new Expiry(this.#clock, (key, revision) => this.#expire(key, revision));
    this.#writer = new FileWriter(options.path);
    this.#worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
      workerData: { path: options.path },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.#worker.on('message', (answer: WorkerAnswer) => this.#onAnswer(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (code) => this.#fail(new Error(`its writer ended with code ${code}`)));
    for (const version of file.versions) {
      if (version.expiresAtMs === null) continue;
      if (this.#mvcc.current(version.key) !== version) continue;
      this.#expiry.add(version.key, version.revision, version.expiresAtMs - this.#clock.now());
    }
    if (file.leftovers.length > 0) {
      this.#drops = file.leftovers;
      this.#schedule();
    }
    const intervalMs = options.compactIntervalMs ?? 5 * 60_000;
    if (intervalMs > 0) this.#compactRegularly(intervalMs);
  }

  /** Resolves when the worker has taken over writing: nothing blocks this thread from then on. */
  get handedOver(): Promise<void> {
    return this.#handedOver.promise;
  }

  async revision(): Promise<number> {
    this.#check();
    return this.#mvcc.revision;
  }

  async get(key: string, revision?: number) {
    this.#check();
    return { kv: this.#mvcc.get(key, revision), revision: revision ?? this.#mvcc.revision };
  }

  async list(prefix: string, options?: Parameters<Store['list']>[1]) {
    this.#check();
    return this.#mvcc.list(prefix, options);
  }

  async recent(prefix: string, revisions: number) {
    this.#check();
    return this.#mvcc.recent(prefix, revisions);
  }

  watch(prefix: string, fromRevision: number, signal: AbortSignal) {
    this.#check();
    return this.#hub.open(prefix, fromRevision, signal);
  }

  requestProgress(prefix: string): void {
    this.#hub.progress(prefix);
  }

  commit(write: Write): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#check();
      const { key, value, expected, ttlSeconds } = write;
      const staged = this.#staged.get(key);
      const newest: Version | undefined = staged ? (staged.value ? staged : undefined) : this.#mvcc.current(key);
      if ((newest?.revision ?? 0) !== expected || (value === null && !newest)) {
        // What the caller lost against must be on disk before it is told.
        const lost = () => {
          const current = this.#mvcc.current(key);
          resolve({ ok: false, current: current && toKeyValue(current), revision: this.#mvcc.revision });
        };
        if (!staged) return lost();
        this.#queue.push({ version: undefined, settle: (error) => (error ? reject(error) : lost()) });
        return this.#schedule();
      }
      const revision = ++this.#lastRevision;
      const createRevision = newest?.createRevision ?? revision;
      const expiresAtMs = value && ttlSeconds ? this.#clock.now() + ttlSeconds * 1000 : null;
      const version: StoredVersion = { key, revision, createRevision, value, expiresAtMs };
      this.#staged.set(key, version);
      this.#queue.push({
        version,
        settle: (error) => (error ? reject(error) : resolve({ ok: true, revision, createRevision })),
      });
      this.#schedule();
    });
  }

  compact(revision: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#check();
      const dropped = this.#mvcc.compact(revision);
      for (const each of dropped) this.#drops.push(each);
      this.#mustMark = true;
      this.#compactions.push({ revision, resolve, reject });
      this.#schedule();
    });
  }

  async sizeBytes(): Promise<number> {
    let bytes = 0;
    for (const suffix of ['', '-wal']) {
      bytes += statSync(this.#options.path + suffix, { throwIfNoEntry: false })?.size ?? 0;
    }
    return bytes;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#compactTimer?.cancel();
    this.#expiry.stop();
    this.#hub.close();
    if (this.#state.kind === 'open') {
      this.#state = { kind: 'closed' };
      if (this.#inFlight || this.#hasWork()) {
        await new Promise<void>((resolve) => {
          this.#idle = resolve;
        });
      }
      // A worker that is still starting has nothing to finish.
      if (this.#writer) await this.#worker.terminate();
      else {
        const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
        this.#worker.postMessage({ kind: 'close' } satisfies WorkerRequest);
        await ended;
      }
    } else await this.#worker.terminate();
    this.#writer?.close();
    this.#unlock();
  }

  #check(): void {
    if (this.#state.kind === 'failed') throw this.#state.error;
    if (this.#state.kind === 'closed') throw new StoreUnavailableError('the store is closed');
  }

  #expire(key: string, revision: number): void {
    if (this.#state.kind !== 'open') return;
    this.commit({ key, expected: revision, value: null }).catch((error) => {
      this.#log.warn({ err: error, key }, 'expired key could not be deleted; trying again in a minute');
      if (this.#state.kind === 'open') this.#expiry.add(key, revision, 60_000);
    });
  }

  #hasWork(): boolean {
    return this.#queue.length > 0 || this.#drops.length > 0 || this.#mustMark;
  }

  /** After the present turn, so that all who write in it share a transaction. */
  #schedule(): void {
    if (this.#pumpScheduled || this.#inFlight) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#inFlight || this.#state.kind === 'failed') return;
    if (!this.#hasWork()) {
      this.#idle?.();
      return;
    }
    const batch = this.#queue.splice(0, WRITES_AT_ONCE);
    const versions = batch.flatMap((each) => each.version ?? []);
    const drops = this.#drops.splice(0, DROPS_AT_ONCE);
    const payload = new Uint8Array(versions.reduce((sum, each) => sum + (each.value?.length ?? 0), 0));
    let offset = 0;
    const rows = versions.map(({ key, revision, createRevision, value, expiresAtMs }): WriteRow => {
      const row = { revision, key, createRevision, offset, length: value ? value.length : -1, expiresAtMs };
      if (value) payload.set(value, offset);
      offset += value?.length ?? 0;
      return row;
    });
    this.#inFlight = batch;
    // Rows go only together with the mark that says so, whatever became of an earlier transaction.
    const compactRevision = drops.length > 0 || this.#mustMark ? this.#mvcc.compactRevision : undefined;
    this.#mustMark = false;
    const request: WriteRequest = { kind: 'write', rows, payload: payload.buffer, drops, compactRevision };
    if (!this.#writer) return this.#worker.postMessage(request, [payload.buffer]);
    try {
      this.#writer.write(request);
    } catch (error) {
      return this.#onAnswer({ kind: 'failed', message: (error as Error).message });
    }
    this.#onAnswer({ kind: 'done' });
  }

  #onAnswer(answer: WorkerAnswer): void {
    if (answer.kind === 'ready') {
      this.#writer?.close();
      this.#writer = undefined;
      this.#handedOver.resolve();
      return;
    }
    const batch = this.#inFlight;
    if (answer.kind === 'closed' || !batch) return;
    this.#inFlight = undefined;
    if (answer.kind === 'failed') this.#reject(batch, answer.message);
    else this.#apply(batch);
    // Everybody woken now writes again before the next transaction is made.
    this.#schedule();
    if (!this.#hasWork()) this.#idle?.();
  }

  #apply(batch: Staged[]): void {
    const events: StoreEvent[] = [];
    for (const { version } of batch) {
      if (!version) continue;
      events.push(this.#mvcc.apply(version));
      if (this.#staged.get(version.key) === version) this.#staged.delete(version.key);
      if (version.expiresAtMs !== null)
        this.#expiry.add(version.key, version.revision, version.expiresAtMs - this.#clock.now());
    }
    // Who wrote comes first: it knows the object, and hands it to the cache before the event would have it decoded.
    for (const each of batch) each.settle(undefined);
    if (events.length > 0) this.#hub.publish(events);
    if (this.#drops.length === 0 && !this.#mustMark) {
      for (const each of this.#compactions.splice(0)) each.resolve();
    }
    this.#boundHistory();
  }

  /** The transaction was rolled back: nothing of the batch is on disk, and what was staged on top of it cannot be. */
  #reject(batch: Staged[], message: string): void {
    this.#log.error({ path: this.#options.path, reason: message }, 'store cannot write');
    const error = this.#isFull(message)
      ? new StoreFullError(`no space left for the database: ${this.#options.path}: ${message}`)
      : new StoreUnavailableError(`${this.#options.path} cannot be written: ${message}`);
    const victims = [...batch, ...this.#queue.splice(0)];
    this.#staged.clear();
    // Dropping is tidying: what was not deleted is found at the next start.
    for (const each of this.#compactions.splice(0)) each.reject(error);
    for (const each of victims) each.settle(error);
  }

  /** SQLite does not always say so: what it cannot enlarge for shared memory is an error of the disk to it. */
  #isFull(message: string): boolean {
    if (/is full|ENOSPC/.test(message)) return true;
    try {
      const { bavail, bsize } = statfsSync(this.#options.path);
      return bavail * bsize < FULL_BYTES;
    } catch {
      return false;
    }
  }

  #fail(cause: Error): void {
    const error = new StoreUnavailableError(`${this.#options.path}: ${cause.message}`, { cause });
    if (this.#closing || this.#state.kind === 'failed') return this.#idle?.();
    this.#state = { kind: 'failed', error };
    this.#log.error({ err: cause, path: this.#options.path }, 'store has failed');
    this.#reject(this.#inFlight ?? [], cause.message);
    this.#inFlight = undefined;
    this.#idle?.();
  }

  #compactRegularly(intervalMs: number): void {
    let previous = this.#mvcc.revision;
    const tick = () => {
      this.#compactTimer = this.#clock.after(
        intervalMs,
        () => {
          const target = previous;
          previous = this.#mvcc.revision;
          if (this.#state.kind === 'open') this.#forget(target);
          tick();
        },
        { background: true },
      );
    };
    tick();
  }

  #boundHistory(): void {
    const limit = this.#options.historyBytes ?? 32 << 20;
    if (this.#mvcc.historyBytes <= limit || this.#state.kind !== 'open') return;
    const target = this.#mvcc.revisionBack(this.#mvcc.historyLength >> 1);
    if (target > this.#mvcc.compactRevision) this.#forget(target);
  }

  #forget(revision: number): void {
    this.compact(revision).catch((error) => this.#log.warn({ err: error, revision }, 'history could not be compacted'));
  }
}
