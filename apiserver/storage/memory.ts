// The store of tests: everything in memory, each write visible and acknowledged at once, nothing survives.
// History is bounded by entries, not by time: older revisions are compacted.
import { type Clock, systemClock } from '../../lib/clock.ts';
import { Expiry } from './expiry.ts';
import { Mvcc, toKeyValue } from './mvcc.ts';
import { type CommitResult, type Store, StoreUnavailableError, type Write } from './port.ts';
import { WatchHub } from './watch-hub.ts';

export interface MemoryStoreOptions {
  clock?: Clock;
  /** Events that may wait for one watch. Default 10,000. */
  watchLimit?: number;
  /** Log entries kept. Default 50,000. */
  historyLimit?: number;
}

export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const clock = options.clock ?? systemClock;
  const historyLimit = options.historyLimit ?? 50_000;
  const mvcc = new Mvcc();
  const hub = new WatchHub(mvcc, options.watchLimit ?? 10_000);
  const expiry = new Expiry(clock, (key, revision) => void commit({ key, expected: revision, value: null }));
  let closed = false;

  function open(): void {
    if (closed) throw new StoreUnavailableError('the store is closed');
  }

  function commit(write: Write): CommitResult {
    const current = mvcc.current(write.key);
    if ((current?.revision ?? 0) !== write.expected || (write.value === null && !current)) {
      return { ok: false, current: current && toKeyValue(current), revision: mvcc.revision };
    }
    const revision = mvcc.revision + 1;
    const createRevision = current?.createRevision ?? revision;
    const event = mvcc.apply({ key: write.key, revision, createRevision, value: write.value });
    if (write.value && write.ttlSeconds) expiry.add(write.key, revision, write.ttlSeconds * 1000);
    hub.publish([event]);
    if (mvcc.historyLength > historyLimit) mvcc.compact(mvcc.revisionBack(historyLimit >> 1));
    return { ok: true, revision, createRevision };
  }

  return {
    async revision() {
      open();
      return mvcc.revision;
    },
    async get(key, revision) {
      open();
      return { kv: mvcc.get(key, revision), revision: revision ?? mvcc.revision };
    },
    async list(prefix, listOptions) {
      open();
      return mvcc.list(prefix, listOptions);
    },
    async commit(write) {
      open();
      return commit(write);
    },
    async recent(prefix, revisions) {
      open();
      return mvcc.recent(prefix, revisions);
    },
    watch(prefix, fromRevision, signal) {
      open();
      return hub.open(prefix, fromRevision, signal);
    },
    requestProgress(prefix) {
      hub.progress(prefix);
    },
    async compact(revision) {
      open();
      mvcc.compact(revision);
    },
    async sizeBytes() {
      return 0;
    },
    async close() {
      closed = true;
      expiry.stop();
      hub.close();
    },
  };
}
