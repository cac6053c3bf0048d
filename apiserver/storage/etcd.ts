// The store of several hosts: etcd 3.4 or newer. Reads are linearizable, writes are grouped (etcd-commit.ts), all watches
// share one stream (etcd-watch.ts). Old revisions are compacted together with other API servers on the same etcd.
import { sleep } from '../../lib/abort.ts';
import { type Clock, type Random, systemClock } from '../../lib/clock.ts';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { connect, type EtcdConnectionOptions, endOf, reading, toKeyValue, translate } from './etcd-client.ts';
import { CommitQueue } from './etcd-commit.ts';
import { EtcdWatch, type WatchStream } from './etcd-watch.ts';
import { ROOT } from './keys.ts';
import {
  CompactedError,
  FutureRevisionError,
  type ListOptions,
  type ListResult,
  type Store,
  StoreUnavailableError,
} from './port.ts';

export interface EtcdStoreOptions extends EtcdConnectionOptions {
  /** All keys must start with it; the rest of etcd is left alone. Default `/registry/`. */
  prefix?: string;
  log?: Logger;
  /** Must be real time: gRPC deadlines are. */
  clock?: Clock;
  random?: Random;
  /** Events that may wait for one watch. Default 10,000. */
  watchLimit?: number;
  /** How often history older than one such interval is forgotten. Default 5 minutes; 0 never. */
  compactIntervalMs?: number;
}

/** Keys read with one request of an unlimited list. */
const PAGE = 2_000;
/** Where API servers agree who compacts; kube-apiserver's own. */
const COMPACT_KEY = Buffer.from('compact_rev_key');

export function createEtcdStore(options: EtcdStoreOptions): Store {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const log = options.log ?? silentLogger;
  const root = options.prefix ?? ROOT;
  const markerKey = `${root}sampan/progress`;
  const etcd = connect(options, clock);
  const lifetime = new AbortController();
  const { signal } = lifetime;
  let seen = 0;
  let canAskProgress: boolean | undefined;
  let closing: Promise<void> | undefined;

  const saw = (revision: number) => {
    if (revision > seen) seen = revision;
  };
  const read = <T>(call: () => Promise<T>, revision?: number) => reading(call, { clock, random, signal, revision });

  function own(key: string): string {
    if (signal.aborted) throw new StoreUnavailableError('the store is closed');
    if (!key.startsWith(root)) throw new RangeError(`key ${key} is not under ${root}`);
    return key;
  }

  async function get(key: string, revision?: number) {
    const request = { key: Buffer.from(own(key)), ...(revision !== undefined && { revision }) };
    const response = await read(() => etcd.kv.range(request), revision);
    saw(Number(response.header.revision));
    const kv = response.kvs[0];
    return { kv: kv && toKeyValue(kv), revision: revision ?? Number(response.header.revision) };
  }

  const commits = new CommitQueue({ etcd, clock, random, signal, get, saw });
  const watches = new EtcdWatch({
    prefix: root,
    markerKey,
    watchLimit: options.watchLimit ?? 10_000,
    ringLimit: 4_000,
    open: async () => (await etcd.watchClient.watch()) as unknown as WatchStream,
    nudge: (stream) => void nudge(stream),
    seen: () => seen,
    clock,
    random,
    log,
  });

  /** A write of the marker is an event that the stream must bring; where etcd answers truthfully, asking is cheaper. */
  async function nudge(stream: WatchStream): Promise<void> {
    try {
      canAskProgress ??= answersProgressTruthfully((await etcd.maintenance.status()).version);
      if (canAskProgress) stream.write({ progress_request: {} });
      else saw(Number((await etcd.kv.put({ key: Buffer.from(markerKey), value: Buffer.from('1') })).header.revision));
    } catch (error) {
      log.debug({ err: error }, 'etcd could not be asked for progress');
    }
  }

  async function list(prefix: string, listOptions: ListOptions = {}): Promise<ListResult> {
    own(prefix);
    const { limit = 0, startKey } = listOptions;
    const result: ListResult = { kvs: [], revision: listOptions.revision ?? 0, more: false, count: 0 };
    let start = startKey !== undefined && startKey > prefix ? Buffer.from(startKey) : Buffer.from(prefix);
    for (;;) {
      const request = {
        key: start,
        range_end: endOf(prefix),
        limit: limit || PAGE,
        ...(result.revision > 0 && { revision: result.revision }),
      };
      const response = await read(() => etcd.kv.range(request), result.revision || undefined);
      saw(Number(response.header.revision));
      if (result.kvs.length === 0) result.count = Number(response.count);
      result.revision ||= Number(response.header.revision);
      for (const kv of response.kvs) result.kvs.push(toKeyValue(kv));
      result.more = response.more;
      const last = response.kvs.at(-1);
      if (!response.more || limit > 0 || !last) return result;
      start = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }

  async function compact(revision: number): Promise<void> {
    try {
      await etcd.kv.compact({ revision, physical: true });
      watches.compacted(revision);
    } catch (error) {
      const translated = translate(error, revision);
      // Somebody compacted further: what was asked for holds.
      if (translated instanceof CompactedError) return;
      if (translated instanceof FutureRevisionError) throw new FutureRevisionError(revision, seen);
      throw translated;
    }
  }

  /** Only the server whose turn finds the key at the version it knows compacts; the others take note. */
  async function compactRegularly(intervalMs: number): Promise<void> {
    let version = 0;
    let target = 0;
    while (await sleep(clock, intervalMs, signal)) {
      try {
        const response = await etcd.kv.txn({
          compare: [{ key: COMPACT_KEY, target: 'Version', result: 'Equal', version }],
          success: [{ request_put: { key: COMPACT_KEY, value: Buffer.from(String(target)) } }],
          failure: [{ request_range: { key: COMPACT_KEY } }],
        });
        const revision = Number(response.header.revision);
        saw(revision);
        if (response.succeeded) {
          version++;
          if (target > 0) await compact(target);
        } else version = Number(response.responses[0]?.response_range.kvs[0]?.version ?? 0);
        target = revision;
      } catch (error) {
        log.warn({ err: error }, 'history of etcd not compacted');
      }
    }
  }

  // The timer must not keep a process alive that has nothing else to do; closing ends it.
  const intervalMs = options.compactIntervalMs ?? 5 * 60_000;
  const compacting = intervalMs > 0 ? compactRegularly(intervalMs) : Promise.resolve();

  return {
    async revision() {
      if (signal.aborted) throw new StoreUnavailableError('the store is closed');
      const response = await read(() =>
        etcd.kv.range({ key: Buffer.from(markerKey), keys_only: true, count_only: true }),
      );
      const revision = Number(response.header.revision);
      saw(revision);
      return revision;
    },
    get,
    list,
    async commit(write) {
      own(write.key);
      if (write.value === null && write.expected === 0) {
        const { kv, revision } = await get(write.key);
        return { ok: false, current: kv, revision };
      }
      return commits.commit(write);
    },
    watch(prefix, fromRevision, watchSignal) {
      return watches.open(own(prefix), fromRevision, watchSignal);
    },
    requestProgress(prefix) {
      watches.requestProgress(prefix);
    },
    compact,
    async sizeBytes() {
      const status = await read(() => etcd.maintenance.status());
      return Number(status.dbSize);
    },
    close() {
      closing ??= (async () => {
        lifetime.abort();
        await commits.drained();
        await watches.close();
        await compacting;
        etcd.close();
      })();
      return closing;
    },
  };
}

/** Versions whose answer to a progress request never runs ahead of events (those that Kubernetes trusts). */
export function answersProgressTruthfully(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  if (major !== 3 || minor > 5) return major >= 3;
  return minor === 5 ? patch >= 13 : minor === 4 && patch >= 31;
}
