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
import { DecryptError, type Transformer } from './transformer.ts';

export interface EncryptedStore extends Store {
  /** The rules for writes and reads from now on. */
  setRules(rules: EncryptionRules): void;
}

export function createEncryptedStore(inner: Store, initial: EncryptionRules): EncryptedStore {
  // An operation keeps the rules that it began with: what it has prepared is theirs.
  let rules = initial;

  function plain(by: EncryptionRules, key: string, value: Uint8Array): Uint8Array {
    return by.transformerOf(key)?.fromStorage(key, value).value ?? value;
  }

  async function readKv<T extends KeyValue | undefined>(kv: T): Promise<T> {
    const by = rules;
    if (!kv || !by.transformerOf(kv.key)) return kv;
    await prepared(by, [kv]);
    return { ...kv, value: plain(by, kv.key, kv.value) };
  }

  async function readList(list: ListResult): Promise<ListResult> {
    const by = rules;
    const first = list.kvs[0];
    if (!first || !by.covers(first.key)) return list;
    await prepared(by, list.kvs);
    return { ...list, kvs: list.kvs.map((kv) => readLeniently(by, kv)) };
  }

  /** A value that cannot be read is delivered as it is: the cache reports and leaves out what it cannot decode. */
  function readLeniently<T extends { key: string; value: Uint8Array }>(by: EncryptionRules, kv: T): T {
    if (!by.transformerOf(kv.key)) return kv;
    try {
      return { ...kv, value: plain(by, kv.key, kv.value) };
    } catch (error) {
      if (error instanceof DecryptError) return kv;
      throw error;
    }
  }

  async function readEvents(events: readonly StoreEvent[]): Promise<StoreEvent[]> {
    const by = rules;
    await prepared(
      by,
      events.filter((each) => each.type === 'put'),
    );
    return events.map((event) => (event.type === 'delete' ? event : readLeniently(by, event)));
  }

  /** The rules may change while a watch lasts; of all resources but the few that are encrypted, the very batches. */
  async function* readBatches(prefix: string, batches: AsyncIterable<WatchBatch>): AsyncGenerator<WatchBatch> {
    for await (const batch of batches) {
      const isPlain = batch.kind === 'progress' || !rules.covers(prefix);
      yield isPlain ? batch : { ...batch, events: await readEvents(batch.events) };
    }
  }

  const store: EncryptedStore = {
    setRules: (next) => void (rules = next),
    revision: () => inner.revision(),
    async get(key, revision) {
      const found = await inner.get(key, revision);
      return { ...found, kv: await readKv(found.kv) };
    },
    async list(prefix, options) {
      return readList(await inner.list(prefix, options));
    },
    async isStale(key) {
      const by = rules;
      const transformer = by.transformerOf(key);
      if (!transformer) return false;
      const { kv } = await inner.get(key);
      if (kv) await prepared(by, [kv]);
      return kv !== undefined && transformer.fromStorage(key, kv.value).isStale;
    },
    async commit(write: Write): Promise<CommitResult> {
      const transformer = write.value && rules.transformerOf(write.key);
      if (!transformer || !write.value) return inner.commit(write);
      const result = await inner.commit({ ...write, value: transformer.toStorage(write.key, write.value) });
      return result.ok ? result : { ...result, current: await readKv(result.current) };
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
      return { ...recent, base: await readList(recent.base), events: await readEvents(recent.events) };
    };
  }
  return store;
}

/** What values need before they can be read; nearly always of one transformer, and nothing. */
function prepared(
  rules: EncryptionRules,
  kvs: readonly { key: string; value: Uint8Array }[],
): Promise<void> | undefined {
  if (!rules.kms) return undefined;
  const byTransformer = new Map<Transformer, Uint8Array[]>();
  for (const { key, value } of kvs) {
    const transformer = rules.transformerOf(key);
    if (!transformer?.prepare) continue;
    const values = byTransformer.get(transformer);
    if (values) values.push(value);
    else byTransformer.set(transformer, [value]);
  }
  const waits = [...byTransformer].flatMap(([transformer, values]) => transformer.prepare?.(values) ?? []);
  return waits.length > 0 ? Promise.all(waits).then(() => {}) : undefined;
}
