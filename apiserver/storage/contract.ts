// What every store must do: the promises of port.ts as tests. Each store's own test file runs this suite on it.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { StreamOverflowError } from '../../lib/stream.ts';
import { CompactedError, FutureRevisionError, type Store, type StoreEvent, type WatchBatch } from './port.ts';

export interface StoreHarness {
  /** Once before and after all tests. */
  start?(): Promise<void>;
  stop?(): Promise<void>;
  /** An empty store and the prefix under which its keys must be. */
  open(options: { watchLimit?: number }): Promise<{ store: Store; root: string }>;
  /** Lets time pass for expiry; does nothing where time is real. */
  advance(ms: number): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString();

/** Writes whatever the key's revision; returns the new one. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  for (;;) {
    const { kv } = await store.get(key);
    const result = await store.commit({ key, expected: kv?.modRevision ?? 0, value: bytes(value) });
    if (result.ok) return result.revision;
  }
}

export async function remove(store: Store, key: string): Promise<number> {
  for (;;) {
    const { kv } = await store.get(key);
    if (!kv) throw new Error(`${key} does not exist`);
    const result = await store.commit({ key, expected: kv.modRevision, value: null });
    if (result.ok) return result.revision;
  }
}

export const brief = (event: StoreEvent): string =>
  `${event.type} ${event.key}@${event.modRevision}${event.type === 'put' ? `=${text(event.value)}` : ''}`;

/** Follows a watch and checks on the way what holds for every watch; `until` resolves when enough has been seen. */
export class Follower {
  readonly events: StoreEvent[] = [];
  readonly batches: WatchBatch[] = [];
  error: unknown;
  readonly done: Promise<void>;
  #controller = new AbortController();
  #waiting: { enough: () => boolean; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #complete: number;

  constructor(store: Store, prefix: string, from: number) {
    this.#complete = from;
    this.done = this.#run(store.watch(prefix, from, this.#controller.signal), prefix).catch((error) => {
      this.error = error;
      for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
    });
  }

  /** Everything up to here has been delivered. */
  get complete(): number {
    return this.#complete;
  }

  until(enough: () => boolean): Promise<void> {
    if (enough()) return Promise.resolve();
    if (this.error) return Promise.reject(this.error);
    return new Promise((resolve, reject) => this.#waiting.push({ enough, resolve, reject }));
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.done;
  }

  async #run(watch: AsyncIterable<WatchBatch>, prefix: string): Promise<void> {
    for await (const batch of watch) {
      this.batches.push(batch);
      if (batch.kind === 'events') {
        let last = this.#complete;
        for (const [index, event] of batch.events.entries()) {
          // Ordered and unique; a revision comes whole, so a batch starts above everything before it.
          const isAfter = index === 0 ? event.modRevision > this.#complete : event.modRevision >= last;
          if (!isAfter) throw new Error(`${brief(event)} after ${last}`);
          if (!event.key.startsWith(prefix)) throw new Error(`${brief(event)} is not under ${prefix}`);
          last = event.modRevision;
          this.events.push(event);
        }
        if (batch.revision < last) throw new Error(`batch at ${batch.revision} with ${last}`);
      }
      this.#complete = Math.max(this.#complete, batch.revision);
      this.#waiting = this.#waiting.filter((waiter) => {
        if (!waiter.enough()) return true;
        waiter.resolve();
        return false;
      });
    }
  }
}

export function storeContract(name: string, harness: StoreHarness): void {
  describe(`${name} keeps the promises of a store`, () => {
    const opened: Store[] = [];
    const followers: Follower[] = [];
    beforeAll(async () => harness.start?.());
    afterAll(async () => harness.stop?.());
    afterEach(async () => {
      await Promise.all(followers.splice(0).map((each) => each.stop()));
      await Promise.all(opened.splice(0).map((each) => each.close()));
    });

    async function open(options: { watchLimit?: number } = {}) {
      const { store, root } = await harness.open(options);
      opened.push(store);
      return { store, pods: `${root}pods/`, root };
    }
    function follow(store: Store, prefix: string, from: number): Follower {
      const follower = new Follower(store, prefix, from);
      followers.push(follower);
      return follower;
    }

    test('create, update and delete compare the revision', async () => {
      const { store, pods } = await open();
      const key = `${pods}a/x`;
      const created = await store.commit({ key, expected: 0, value: bytes('1') });
      if (!created.ok) throw new Error('not created');
      expect(created.createRevision).toBe(created.revision);
      expect(created.revision).toBeGreaterThan(1);
      expect(await store.commit({ key, expected: 0, value: bytes('2') })).toMatchObject({
        ok: false,
        current: { key, modRevision: created.revision, createRevision: created.revision },
      });
      const updated = await store.commit({ key, expected: created.revision, value: bytes('2') });
      expect(updated).toMatchObject({ ok: true, createRevision: created.revision });
      expect(updated.revision).toBeGreaterThan(created.revision);
      const lost = await store.commit({ key, expected: created.revision, value: bytes('3') });
      expect(lost).toMatchObject({ ok: false, current: { modRevision: updated.revision } });
      expect(text(lost.ok ? undefined : lost.current?.value)).toBe('2');
      const read = await store.get(key);
      expect(read.kv).toMatchObject({ key, modRevision: updated.revision, createRevision: created.revision });
      expect(text(read.kv?.value)).toBe('2');
      expect(await store.commit({ key, expected: created.revision, value: null })).toMatchObject({ ok: false });
      expect(await store.commit({ key, expected: updated.revision, value: null })).toMatchObject({ ok: true });
      expect((await store.get(key)).kv).toBeUndefined();
      expect(await store.commit({ key, expected: updated.revision, value: null })).toMatchObject({
        ok: false,
        current: undefined,
      });
      expect(await store.commit({ key, expected: 0, value: null })).toMatchObject({ ok: false, current: undefined });
      const again = await store.commit({ key, expected: 0, value: bytes('') });
      expect(again).toMatchObject({ ok: true, createRevision: again.revision });
      expect((await store.get(key)).kv?.value.length).toBe(0);
    });

    test('increments by many writers lose nothing', async () => {
      const { store, pods } = await open();
      const key = `${pods}a/counter`;
      await put(store, key, '0');
      const writers = 8;
      const rounds = 8;
      await Promise.all(
        Array.from({ length: writers }, async () => {
          for (let done = 0; done < rounds; ) {
            const { kv } = await store.get(key);
            const value = bytes(String(Number(text(kv?.value)) + 1));
            if ((await store.commit({ key, expected: kv?.modRevision ?? 0, value })).ok) done++;
          }
        }),
      );
      expect(text((await store.get(key)).kv?.value)).toBe(String(writers * rounds));
    });

    test('of two commits on one version exactly one wins, and the loser sees the winner', async () => {
      const { store, pods } = await open();
      const revision = await put(store, `${pods}a/x`, 'base');
      const results = await Promise.all(
        ['one', 'two', 'three'].map((value) =>
          store.commit({ key: `${pods}a/x`, expected: revision, value: bytes(value) }),
        ),
      );
      const won = results.filter((each) => each.ok);
      expect(won).toHaveLength(1);
      for (const each of results) if (!each.ok) expect(each.current?.modRevision).toBe(won[0]?.revision);
    });

    test('the revision covers every acknowledged write', async () => {
      const { store, pods } = await open();
      for (let n = 0; n < 20; n++) {
        const revision = await put(store, `${pods}a/${n}`, 'x');
        expect(await store.revision()).toBeGreaterThanOrEqual(revision);
      }
    });

    test('lists are in byte order, paged, counted, and repeatable at a revision', async () => {
      const { store, pods, root } = await open();
      const names = ['b', 'a', 'a/x', 'A', 'ab', 'é', '\u{1F600}', '\uFB01', 'z'];
      for (const each of names) await put(store, pods + each, each);
      await put(store, `${root}podsx`, 'no');
      await put(store, `${root}services/specs/a`, 'no');
      const sorted = names.map((each) => pods + each).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const all = await store.list(pods);
      expect(all.kvs.map((each) => each.key)).toEqual(sorted);
      expect(all).toMatchObject({ more: false, count: names.length, revision: await store.revision() });

      const first = await store.list(pods, { limit: 4 });
      expect(first).toMatchObject({ more: true, count: names.length });
      await remove(store, sorted[6] as string);
      await put(store, `${pods}zz`, 'later');
      const seen = first.kvs.map((each) => each.key);
      for (let page = first; page.more; ) {
        page = await store.list(pods, { limit: 4, startKey: `${seen.at(-1)}\0`, revision: first.revision });
        expect(page.revision).toBe(first.revision);
        for (const each of page.kvs) seen.push(each.key);
      }
      expect(seen).toEqual(sorted);
      expect((await store.list(pods)).kvs.map((each) => each.key)).toEqual(
        [...sorted.filter((each) => each !== sorted[6]), `${pods}zz`].sort((a, b) =>
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
        ),
      );
      expect(await store.list(`${root}none/`)).toMatchObject({ kvs: [], more: false, count: 0 });
    });

    test('old versions can be read until compaction, the future cannot', async () => {
      const { store, pods } = await open();
      const key = `${pods}a/x`;
      const first = await put(store, key, '1');
      const second = await put(store, key, '2');
      const gone = await remove(store, key);
      const third = await put(store, key, '3');
      const at = async (revision: number) => text((await store.get(key, revision)).kv?.value);
      expect([await at(first), await at(second), await at(gone), await at(third)]).toEqual(['1', '2', '', '3']);
      await expect(store.get(key, third + 100)).rejects.toBeInstanceOf(FutureRevisionError);
      await expect(store.list(pods, { revision: third + 100 })).rejects.toBeInstanceOf(FutureRevisionError);
      await store.compact(gone);
      await expect(store.get(key, second)).rejects.toBeInstanceOf(CompactedError);
      await expect(store.list(pods, { revision: first })).rejects.toBeInstanceOf(CompactedError);
      expect([await at(gone), await at(third)]).toEqual(['', '3']);
      await store.compact(first);
      await store.compact(gone);
      expect(text((await store.get(key)).kv?.value)).toBe('3');
    });

    test('a watch delivers every event of its prefix once, in order, from any revision', async () => {
      const { store, pods, root } = await open();
      const start = await store.revision();
      const live = follow(store, pods, start);
      const want: string[] = [];
      const revisions: number[] = [];
      for (let n = 0; n < 30; n++) {
        const isRemoval = n % 5 === 4;
        const key = `${pods}a/${(isRemoval ? n - 1 : n) % 7}`;
        if (isRemoval) {
          const revision = await remove(store, key);
          want.push(`delete ${key}@${revision}`);
          revisions.push(revision);
        } else {
          const revision = await put(store, key, String(n));
          want.push(`put ${key}@${revision}=${n}`);
          revisions.push(revision);
        }
        await put(store, `${root}services/specs/a/${n}`, 'other');
      }
      await live.until(() => live.events.length >= want.length);
      expect(live.events.map(brief)).toEqual(want);
      for (const skip of [0, 1, 17, 29]) {
        const resumed = follow(store, pods, skip === 0 ? start : (revisions[skip - 1] as number));
        await resumed.until(() => resumed.events.length >= want.length - skip);
        expect(resumed.events.map(brief)).toEqual(want.slice(skip));
      }
      const late = follow(store, pods, start);
      await put(store, `${pods}a/last`, 'end');
      await Promise.all([live, late].map((each) => each.until(() => each.events.length > want.length)));
      expect(late.events.map(brief)).toEqual(live.events.map(brief));
    });

    test('concurrent writers and watchers: every watch sees the same complete history', async () => {
      const { store, root } = await open();
      const start = await store.revision();
      const kinds = ['pods', 'nodes', 'events'];
      const early = kinds.map((kind) => follow(store, `${root}${kind}/`, start));
      const acknowledged = new Map<string, number[]>(kinds.map((kind) => [kind, []]));
      const late: Follower[] = [];
      await Promise.all(
        Array.from({ length: 9 }, async (_, writer) => {
          const kind = kinds[writer % 3] as string;
          for (let n = 0; n < 20; n++) {
            acknowledged.get(kind)?.push(await put(store, `${root}${kind}/w${writer}-${n % 4}`, `${n}`));
            if (n === 10) late.push(follow(store, `${root}${kind}/`, start));
          }
        }),
      );
      const all = [...early, ...late];
      await Promise.all(all.map((each) => each.until(() => each.events.length >= 60)));
      for (const [index, kind] of kinds.entries()) {
        const want = (acknowledged.get(kind) as number[]).sort((a, b) => a - b);
        expect(early[index]?.events.map((event) => event.modRevision)).toEqual(want);
      }
      for (const each of late) {
        const twin = early[kinds.findIndex((kind) => each.events[0]?.key.startsWith(`${root}${kind}/`))];
        expect(each.events.map(brief)).toEqual(twin?.events.map(brief));
      }
    });

    test('progress tells a quiet prefix how far it is, never more', async () => {
      const { store, pods, root } = await open();
      const quiet = follow(store, `${root}nodes/`, await store.revision());
      const busy = follow(store, pods, await store.revision());
      for (let round = 0; round < 5; round++) {
        const written = await put(store, `${pods}a/x`, String(round));
        const revision = await store.revision();
        expect(revision).toBeGreaterThanOrEqual(written);
        store.requestProgress(`${root}nodes/`);
        store.requestProgress(pods);
        await quiet.until(() => quiet.complete >= revision);
        await busy.until(() => busy.complete >= revision);
        expect(busy.events).toHaveLength(round + 1);
        expect(quiet.events).toEqual([]);
      }
    });

    test('a watch from before the compaction fails with CompactedError, one that is up to date goes on', async () => {
      const { store, pods } = await open();
      const first = await put(store, `${pods}a/x`, '1');
      const live = follow(store, pods, first);
      for (let n = 0; n < 5; n++) await put(store, `${pods}a/x`, String(n));
      const compacted = await put(store, `${pods}a/y`, '1');
      await live.until(() => live.complete >= compacted);
      await store.compact(compacted);
      const late = follow(store, pods, first);
      await late.done;
      expect(late.error).toBeInstanceOf(CompactedError);
      expect((late.error as CompactedError).compactRevision).toBe(compacted);
      const next = await put(store, `${pods}a/z`, '1');
      await live.until(() => live.complete >= next);
      const resumed = follow(store, pods, compacted);
      await resumed.until(() => resumed.complete >= next);
      expect(resumed.events.map(brief)).toEqual([`put ${pods}a/z@${next}=1`]);
    });

    test('a reader that is too slow is told so; the writer and other watches do not wait', async () => {
      const { store, pods } = await open({ watchLimit: 10 });
      const start = await store.revision();
      const healthy = follow(store, pods, start);
      const stuck = store.watch(pods, start, new AbortController().signal)[Symbol.asyncIterator]();
      let last = 0;
      for (let n = 0; n < 25; n++) {
        last = await put(store, `${pods}a/${n}`, 'x');
        await healthy.until(() => healthy.complete >= last);
      }
      expect(healthy.events).toHaveLength(25);
      await expect(
        (async () => {
          while (!(await stuck.next()).done);
        })(),
      ).rejects.toBeInstanceOf(StreamOverflowError);
    });

    test('a watch ends with its signal, and at once when it has ended before', async () => {
      const { store, pods } = await open();
      const follower = follow(store, pods, await store.revision());
      await follower.stop();
      expect(follower.error).toBeUndefined();
      const controller = new AbortController();
      controller.abort();
      for await (const _ of store.watch(pods, await store.revision(), controller.signal)) throw new Error('an event');
    });

    test('a key with a time to live disappears with a delete event; a later write without one stays', async () => {
      const { store, pods } = await open();
      const watch = follow(store, pods, await store.revision());
      await store.commit({ key: `${pods}a/short`, expected: 0, value: bytes('x'), ttlSeconds: 1 });
      const kept = await store.commit({ key: `${pods}a/kept`, expected: 0, value: bytes('x'), ttlSeconds: 1 });
      await store.commit({ key: `${pods}a/kept`, expected: kept.revision, value: bytes('y') });
      await harness.advance(2_000);
      await watch.until(() => watch.events.some((event) => event.type === 'delete'));
      expect(watch.events.filter((event) => event.type === 'delete').map((event) => event.key)).toEqual([
        `${pods}a/short`,
      ]);
      expect((await store.get(`${pods}a/short`)).kv).toBeUndefined();
      expect(text((await store.get(`${pods}a/kept`)).kv?.value)).toBe('y');
    });

    test('values of any bytes and sizes come back as they were', async () => {
      const { store, pods } = await open();
      const watch = follow(store, pods, await store.revision());
      const values = [
        new Uint8Array([0, 255, 128, 10]),
        new Uint8Array(0),
        Buffer.alloc(700_000, 'ab'),
        Buffer.from('k8s\0'),
      ];
      for (const [index, value] of values.entries()) await store.commit({ key: `${pods}${index}`, expected: 0, value });
      await watch.until(() => watch.events.length === values.length);
      for (const [index, value] of values.entries()) {
        const { kv } = await store.get(`${pods}${index}`);
        expect(Buffer.compare(kv?.value as Uint8Array, value)).toBe(0);
        const event = watch.events[index];
        expect(Buffer.compare(event?.type === 'put' ? event.value : Buffer.from('none'), value)).toBe(0);
      }
    });
  });
}
