// A store whose values are encrypted below the port: compare-and-set, history and watches work on keys and revisions, which
// stay as they are; values change form on the way in and out. Keys without a rule pass untouched.
import type {
  CommitResult,
  KeyValue,
  ListResult,
  RecentHistory,
  Store,
  StoreEvent,
  WatchBatch,
  Write,
} from '../port.ts';
import type { EncryptionRules } from './configuration.ts';
import { DecryptError } from './transformer.ts';

export interface EncryptedStore extends Store {
  /** The rules for writes and reads from now on. */
  setRules(rules: EncryptionRules): void;
}

export function createEncryptedStore(inner: Store, initial: EncryptionRules): EncryptedStore {
  let rules = initial;

  function plain(key: string, value: Uint8Array): Uint8Array {
    return rules.transformerOf(key)?.fromStorage(key, value).value ?? value;
  }

  const readKv = <T extends KeyValue | undefined>(kv: T): T =>
    kv && rules.transformerOf(kv.key) ? { ...kv, value: plain(kv.key, kv.value) } : kv;

  function readList(list: ListResult): ListResult {
    const first = list.kvs[0];
    return first && rules.covers(first.key) ? { ...list, kvs: list.kvs.map(readLeniently) } : list;
  }

  /** A value that cannot be read is delivered as it is: the cache reports and leaves out what it cannot decode. */
  function readLeniently<T extends { key: string; value: Uint8Array }>(kv: T): T {
    if (!rules.transformerOf(kv.key)) return kv;
    try {
      return { ...kv, value: plain(kv.key, kv.value) };
    } catch (error) {
      if (error instanceof DecryptError) return kv;
      throw error;
    }
  }

  const readEvent = (event: StoreEvent): StoreEvent => (event.type === 'delete' ? event : readLeniently(event));

  /** The rules may change while a watch lasts; of all resources but the few that are encrypted, the very batches. */
  async function* readBatches(prefix: string, batches: AsyncIterable<WatchBatch>): AsyncGenerator<WatchBatch> {
    for await (const batch of batches) {
      const isPlain = batch.kind === 'progress' || !rules.covers(prefix);
      yield isPlain ? batch : { ...batch, events: batch.events.map(readEvent) };
    }
  }

  const store: EncryptedStore = {
    setRules: (next) => void (rules = next),
    revision: () => inner.revision(),
    async get(key, revision) {
      const found = await inner.get(key, revision);
      return { ...found, kv: readKv(found.kv) };
    },
    async list(prefix, options) {
      return readList(await inner.list(prefix, options));
    },
    async isStale(key) {
      const transformer = rules.transformerOf(key);
      if (!transformer) return false;
      const { kv } = await inner.get(key);
      return kv !== undefined && transformer.fromStorage(key, kv.value).isStale;
    },
    async commit(write: Write): Promise<CommitResult> {
      const transformer = write.value && rules.transformerOf(write.key);
      if (!transformer || !write.value) return inner.commit(write);
      const result = await inner.commit({ ...write, value: transformer.toStorage(write.key, write.value) });
      return result.ok ? result : { ...result, current: readKv(result.current) };
    },
    watch: (prefix, fromRevision, signal) => readBatches(prefix, inner.watch(prefix, fromRevision, signal)),
    requestProgress: (prefix) => inner.requestProgress(prefix),
    compact: (revision) => inner.compact(revision),
    sizeBytes: () => inner.sizeBytes(),
    close: () => inner.close(),
  };
  if (inner.recent) {
    store.recent = async (prefix, revisions): Promise<RecentHistory> => {
      const recent = (await inner.recent?.(prefix, revisions)) as RecentHistory;
      if (!rules.covers(prefix)) return recent;
      return { ...recent, base: readList(recent.base), events: recent.events.map(readEvent) };
    };
  }
  return store;
}
