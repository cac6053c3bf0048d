import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import { objectKey } from '../storage/keys.ts';
import { createMemoryStore } from '../storage/memory.ts';
import { type Store, StoreUnavailableError, type WatchBatch } from '../storage/port.ts';
import { type CacheEvent, type CacheSet, createCacheSet, type WatchQuery } from './index.ts';
import { encode, nodeKind, pod, podKind, type TestPod } from './testing/kinds.ts';

const sets: CacheSet[] = [];
afterEach(async () => {
  await Promise.all(sets.splice(0).map((set) => set.stop()));
});

function setUp(options: Partial<Parameters<typeof createCacheSet>[0]> = {}) {
  const clock = new FakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const set = createCacheSet({ clock, log: silentLogger, random: () => 0.5, ...options, store });
  sets.push(set);
  return { clock, store, set, pods: set.of(podKind) };
}

async function put(store: Store, object: TestPod): Promise<number> {
  const key = objectKey(podKind, object.metadata.namespace, object.metadata.name as string);
  const { kv } = await store.get(key);
  const result = await store.commit({ key, expected: kv?.modRevision ?? 0, value: encode(object) });
  if (!result.ok) throw new Error('conflict');
  return result.revision;
}

async function remove(store: Store, namespace: string, name: string): Promise<number> {
  const key = objectKey(podKind, namespace, name);
  const { kv } = await store.get(key);
  const result = await store.commit({ key, expected: kv?.modRevision ?? 0, value: null });
  if (!result.ok) throw new Error('conflict');
  return result.revision;
}

/** Collects what a watch delivers; `seen` grows as events come. */
function collect(pods: ReturnType<CacheSet['of']>, query: Partial<WatchQuery> = {}) {
  const controller = new AbortController();
  const seen: CacheEvent[] = [];
  const stream = pods.watch({
    from: { kind: 'revision', revision: pods.revision },
    bookmarks: false,
    signal: controller.signal,
    ...query,
  });
  const done = (async () => {
    for await (const batch of stream) seen.push(...batch);
  })();
  done.catch(() => {});
  return { seen, done, end: () => controller.abort(), brief: () => seen.map(brief) };
}

const brief = (event: CacheEvent) =>
  `${event.type} ${event.entry.object.metadata.name ?? ''}@${event.entry.object.metadata.resourceVersion}`;

async function reached(pods: ReturnType<CacheSet['of']>): Promise<void> {
  await pods.current();
  await settle();
}

describe('reads', () => {
  test('an object is served with its resourceVersion, in the stored field order', async () => {
    const { store, pods } = setUp();
    const revision = await put(store, pod('default', 'web', { node: 'n1' }));
    await pods.current();
    const entry = pods.get('default', 'web');
    expect(JSON.parse(entry?.bytes.toString() ?? '')).toEqual({
      ...pod('default', 'web', { node: 'n1' }),
      metadata: { name: 'web', namespace: 'default', resourceVersion: String(revision) },
    });
    expect(entry?.object.metadata.resourceVersion).toBe(String(revision));
    expect(entry?.revision).toBe(revision);
    expect(pods.get('default', 'nope')).toBeUndefined();
    expect(pods.get('other', 'web')).toBeUndefined();
  });

  test('a stored object without kind, or naming the resourceVersion of another object, gets both right', async () => {
    const { store, pods } = setUp();
    const odd = { spec: { ref: { resourceVersion: '99' } }, metadata: { name: 'odd', namespace: 'a' } };
    const result = await store.commit({ key: '/registry/pods/a/odd', expected: 0, value: encode(odd) });
    await pods.current();
    expect(JSON.parse(pods.get('a', 'odd')?.bytes.toString() ?? '')).toEqual({
      ...odd,
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { ...odd.metadata, resourceVersion: String(result.revision) },
    });
    const proper = { kind: 'Pod', apiVersion: 'v1', ...odd, metadata: { name: 'odd2', namespace: 'a' } };
    const second = await store.commit({ key: '/registry/pods/a/odd2', expected: 0, value: encode(proper) });
    await pods.current();
    const bytes = pods.get('a', 'odd2')?.bytes.toString() ?? '';
    expect(JSON.parse(bytes).metadata.resourceVersion).toBe(String(second.revision));
    expect(JSON.parse(bytes).spec.ref.resourceVersion).toBe('99');
  });

  test('lists are in key order and narrowed by namespace, name, index and matcher', async () => {
    const { store, pods } = setUp();
    for (const [namespace, name, node] of [
      ['b', 'x', 'n1'],
      ['a', 'y', 'n2'],
      ['a', 'x', 'n1'],
      ['ab', 'z', 'n1'],
    ] as const) {
      await put(store, pod(namespace, name, { node }));
    }
    await pods.current();
    const names = (query: Parameters<typeof pods.list>[0]) =>
      pods.list(query).items.map((each) => `${each.object.metadata.namespace}/${each.object.metadata.name}`);
    expect(names({})).toEqual(['a/x', 'a/y', 'ab/z', 'b/x']);
    expect(names({ namespace: 'a' })).toEqual(['a/x', 'a/y']);
    expect(names({ name: 'x' })).toEqual(['a/x', 'b/x']);
    expect(names({ namespace: 'b', name: 'x' })).toEqual(['b/x']);
    expect(names({ index: { field: 'spec.nodeName', value: 'n1' } })).toEqual(['a/x', 'ab/z', 'b/x']);
    expect(names({ namespace: 'a', index: { field: 'spec.nodeName', value: 'n1' } })).toEqual(['a/x']);
    expect(names({ namespace: 'a', name: 'y', index: { field: 'spec.nodeName', value: 'n1' } })).toEqual([]);
    expect(names({ matches: (object) => object.metadata.name === 'z' })).toEqual(['ab/z']);
    await put(store, pod('a', 'x', { node: 'n2' }));
    await pods.current();
    expect(names({ index: { field: 'spec.nodeName', value: 'n2' } })).toEqual(['a/x', 'a/y']);
    expect(names({ namespace: 'a', index: { field: 'spec.nodeName', value: 'n1' } })).toEqual([]);
  });

  test('cluster-scoped kinds are read without a namespace', async () => {
    const { store, set } = setUp();
    const node = { kind: 'Node', apiVersion: 'v1', metadata: { name: 'one' } };
    await store.commit({ key: '/registry/minions/one', expected: 0, value: encode(node) });
    const nodes = set.of(nodeKind);
    await nodes.current();
    expect(nodes.get(undefined, 'one')?.object.metadata.name).toBe('one');
    expect(nodes.list({ name: 'one' }).items).toHaveLength(1);
  });

  test('a current read reflects every acknowledged write, also when only another resource was written', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    for (let round = 0; round < 50; round++) {
      const revision = await put(store, pod('default', 'web', { note: String(round) }));
      await pods.current();
      expect(pods.get('default', 'web')?.revision).toBe(revision);
    }
    const { revision } = await store.commit({
      key: '/registry/secrets/a/b',
      expected: 0,
      value: encode({ metadata: {} }),
    });
    await pods.current();
    expect(pods.revision).toBe(revision);
    expect(pods.list({}).revision).toBe(revision);
  });

  test('waiting for a revision of the future ends with 504 and the cause that clients look for', async () => {
    const { clock, pods } = setUp();
    await pods.ready();
    const waiting = pods.waitFor(1000).catch((error: unknown) => error);
    await settle();
    await clock.advance(3_000);
    expect(await waiting).toMatchObject({
      status: {
        code: 504,
        reason: 'Timeout',
        message: `Timeout: Too large resource version: 1000, current: ${pods.revision}`,
        details: {
          causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
          retryAfterSeconds: 1,
        },
      },
    });
  });

  test('an object that cannot be decoded is reported and not served', async () => {
    const errors: unknown[] = [];
    const log = { ...silentLogger, error: (fields: object) => void errors.push(fields) };
    const { store, pods } = setUp({ log });
    await store.commit({ key: '/registry/pods/a/bad', expected: 0, value: Buffer.from('k8s\0binary') });
    await put(store, pod('a', 'good'));
    await pods.current();
    expect(pods.list({}).items.map((each) => each.key)).toEqual(['/registry/pods/a/good']);
    expect(errors).toMatchObject([{ key: '/registry/pods/a/bad' }]);
  });
});

describe('the writer', () => {
  test('gets the entry of its commit, and the watch event reuses it', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const watch = collect(pods);
    const object = pod('default', 'web');
    const value = encode(object);
    const result = await store.commit({ key: '/registry/pods/default/web', expected: 0, value });
    const entry = pods.committed({ key: '/registry/pods/default/web', value, revision: result.revision, object });
    expect(JSON.parse(entry.bytes.toString()).metadata.resourceVersion).toBe(String(result.revision));
    await reached(pods);
    expect(pods.get('default', 'web')?.object).toBe(object);
    expect(watch.seen[0]?.entry.object).toBe(object);
    const gone = pods.deleted(entry, 77);
    expect(JSON.parse(gone.bytes.toString())).toEqual({
      ...object,
      metadata: { ...object.metadata, resourceVersion: '77' },
    });
    expect(gone.object.metadata.resourceVersion).toBe('77');
    expect(object.metadata.resourceVersion).toBe(String(result.revision));
  });

  test('an entry whose event has come already is the one in the cache', async () => {
    const { store, pods } = setUp();
    const object = pod('default', 'web');
    const revision = await put(store, object);
    await pods.current();
    const entry = pods.committed({ key: '/registry/pods/default/web', value: encode(object), revision, object });
    expect(pods.get('default', 'web')).toBe(entry);
    expect(entry.object).toEqual(object);
  });
});

describe('an announced write', () => {
  test('is not decoded again when its event comes before the answer', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const object = pod('default', 'web');
    const value = encode(object);
    const announced = pods.announce({ key: '/registry/pods/default/web', value, object });
    const revision = await put(store, pod('default', 'web'));
    await pods.current();
    expect(pods.get('default', 'web')?.object).toBe(object);
    expect(object.metadata.resourceVersion).toBe(String(revision));
    announced.withdraw();
  });

  test('that another won, or that was withdrawn, says nothing', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const object = pod('default', 'web');
    const write = { key: '/registry/pods/default/web', value: encode(object), object };
    const announced = pods.announce(write);
    await put(store, pod('default', 'web', { note: 'another' }));
    await pods.current();
    expect(pods.get('default', 'web')?.object).not.toBe(object);
    expect(pods.get('default', 'web')?.object.metadata.annotations).toEqual({ note: 'another' });
    announced.withdraw();
    await put(store, pod('default', 'web'));
    await pods.current();
    expect(pods.get('default', 'web')?.object).not.toBe(object);
  });
});

describe('watches', () => {
  test('lines are the events as clients read them', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const watch = collect(pods);
    const added = await put(store, pod('a', 'x', { note: '1' }));
    const modified = await put(store, pod('a', 'x', { note: '2' }));
    const deleted = await remove(store, 'a', 'x');
    await reached(pods);
    expect(watch.brief()).toEqual([`ADDED x@${added}`, `MODIFIED x@${modified}`, `DELETED x@${deleted}`]);
    for (const event of watch.seen) {
      expect(event.line.toString().endsWith('\n')).toBe(true);
      expect(JSON.parse(event.line.toString())).toEqual({ type: event.type, object: event.entry.object });
      expect(JSON.parse(event.entry.bytes.toString())).toEqual(event.entry.object);
    }
    expect((watch.seen[2]?.entry.object as TestPod | undefined)?.metadata.annotations?.note).toBe('2');
  });

  test('all watches share one line', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const watches = [collect(pods), collect(pods), collect(pods, { namespace: 'a' })];
    await put(store, pod('a', 'x'));
    await reached(pods);
    expect(new Set(watches.map((each) => each.seen[0]?.line)).size).toBe(1);
  });

  test('a selector turns an object that starts or stops matching into ADDED or DELETED', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const watch = collect(pods, { matches: (object) => object.metadata.labels?.app === 'web' });
    await put(store, pod('a', 'x', { labels: { app: 'db' } }));
    const starts = await put(store, pod('a', 'x', { labels: { app: 'web' }, note: 'in' }));
    const stays = await put(store, pod('a', 'x', { labels: { app: 'web' } }));
    const stops = await put(store, pod('a', 'x', { labels: { app: 'db' }, note: 'out' }));
    await remove(store, 'a', 'x');
    await reached(pods);
    expect(watch.brief()).toEqual([`ADDED x@${starts}`, `MODIFIED x@${stays}`, `DELETED x@${stops}`]);
    // The last state that matched, at the revision at which it stopped.
    expect(watch.seen[2]?.entry.object.metadata).toMatchObject({
      labels: { app: 'web' },
      resourceVersion: String(stops),
    });
    expect(JSON.parse(watch.seen[2]?.line.toString() ?? '').object.metadata.labels).toEqual({ app: 'web' });
  });

  test('an index watch follows objects as they come and go', async () => {
    const { store, pods } = setUp();
    await pods.ready();
    const index = { field: 'spec.nodeName', value: 'n1' };
    const all = collect(pods, { index });
    const inA = collect(pods, { index, namespace: 'a' });
    await put(store, pod('a', 'x'));
    const bound = await put(store, pod('a', 'x', { node: 'n1' }));
    const other = await put(store, pod('b', 'y', { node: 'n1' }));
    const moved = await put(store, pod('a', 'x', { node: 'n2' }));
    await put(store, pod('c', 'z', { node: 'n2' }));
    await reached(pods);
    expect(all.brief()).toEqual([`ADDED x@${bound}`, `ADDED y@${other}`, `DELETED x@${moved}`]);
    expect(inA.brief()).toEqual([`ADDED x@${bound}`, `DELETED x@${moved}`]);
  });

  test('resumes from any revision in the ring, and says 410 before it', async () => {
    const { store, pods } = setUp({ ring: { count: 3 } });
    await pods.ready();
    const revisions: number[] = [];
    for (let n = 0; n < 6; n++) revisions.push(await put(store, pod(n % 2 ? 'a' : 'b', `p${n}`)));
    await pods.current();
    const from = revisions[3] as number;
    const resumed = collect(pods, { from: { kind: 'revision', revision: from } });
    const inA = collect(pods, { from: { kind: 'revision', revision: from }, namespace: 'a' });
    await settle();
    expect(resumed.brief()).toEqual([`ADDED p4@${revisions[4]}`, `ADDED p5@${revisions[5]}`]);
    expect(inA.brief()).toEqual([`ADDED p5@${revisions[5]}`]);
    const oldest = revisions[2] as number;
    expect(() => collect(pods, { from: { kind: 'revision', revision: oldest - 1 } })).toThrow(
      expect.objectContaining({
        status: expect.objectContaining({
          code: 410,
          reason: 'Expired',
          message: `too old resource version: ${oldest - 1} (${oldest})`,
        }),
      }),
    );
  });

  test('initial events are the state, then the annotated bookmark, then what follows', async () => {
    const { store, pods } = setUp();
    const first = await put(store, pod('a', 'y'));
    const second = await put(store, pod('a', 'x'));
    await pods.current();
    const watch = collect(pods, { from: { kind: 'initial' }, bookmarks: true });
    const third = await put(store, pod('a', 'z'));
    await reached(pods);
    expect(watch.brief()).toEqual([`ADDED x@${second}`, `ADDED y@${first}`, `BOOKMARK @${second}`, `ADDED z@${third}`]);
    expect(JSON.parse(watch.seen[2]?.line.toString() ?? '')).toEqual({
      type: 'BOOKMARK',
      object: {
        kind: 'Pod',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(second), annotations: { 'k8s.io/initial-events-end': 'true' } },
      },
    });
  });

  test('a quiet watch gets bookmarks at the revision of the store', async () => {
    const { clock, store, pods } = setUp();
    await pods.ready();
    const watch = collect(pods, { bookmarks: true });
    const without = collect(pods);
    const { revision } = await store.commit({
      key: '/registry/secrets/a/b',
      expected: 0,
      value: encode({ metadata: {} }),
    });
    await clock.advance(60_000);
    await settle();
    expect(watch.brief()).toEqual([`BOOKMARK @${revision}`]);
    watch.end();
    await watch.done;
    expect(watch.brief()).toEqual([`BOOKMARK @${revision}`, `BOOKMARK @${revision}`]);
    expect(without.seen).toEqual([]);
  });

  test('a reader that falls behind is ended; others and the writer go on', async () => {
    const { store, pods } = setUp({ watchLimit: 5 });
    await pods.ready();
    const controller = new AbortController();
    const stuck = pods.watch({
      from: { kind: 'revision', revision: pods.revision },
      bookmarks: false,
      signal: controller.signal,
    });
    const healthy = collect(pods);
    for (let n = 0; n < 8; n++) {
      await put(store, pod('a', `p${n}`));
      await reached(pods);
    }
    await expect(stuck[Symbol.asyncIterator]().next()).rejects.toBeInstanceOf(StreamOverflowError);
    expect(healthy.seen).toHaveLength(8);
    expect(pods.watchers).toBe(1);
  });

  test('a watch that ends leaves nothing behind', async () => {
    const { pods } = setUp();
    await pods.ready();
    const watch = collect(pods);
    expect(pods.watchers).toBe(1);
    watch.end();
    await watch.done;
    expect(pods.watchers).toBe(0);
    for await (const _ of pods.watch({
      from: { kind: 'initial' },
      bookmarks: true,
      signal: new AbortController().signal,
    }))
      break;
    expect(pods.watchers).toBe(0);
  });

  test('stop ends the watches of readers', async () => {
    const { set, pods } = setUp();
    await pods.ready();
    const watch = collect(pods);
    await set.stop();
    await watch.done;
    await expect(pods.current()).rejects.toMatchObject({ status: { code: 503 } });
  });
});

test('a cache that starts anew serves watches from before its start, as far as the history goes', async () => {
  const { store, set } = setUp();
  const before = await put(store, pod('a', 'early'));
  await store.compact(before);
  const added = await put(store, pod('a', 'x', { labels: { app: 'web' } }));
  const changed = await put(store, pod('a', 'x', { labels: { app: 'db' } }));
  const removed = await remove(store, 'a', 'early');
  await set.stop();
  const { pods } = setUp({ store });
  await pods.ready();
  expect(pods.revision).toBe(removed);
  expect(pods.list({}).items.map((each) => each.revision)).toEqual([changed]);
  const all = collect(pods, { from: { kind: 'revision', revision: before } });
  const web = collect(pods, {
    from: { kind: 'revision', revision: before },
    matches: (object) => object.metadata.labels?.app === 'web',
  });
  await settle();
  expect(all.brief()).toEqual([`ADDED x@${added}`, `MODIFIED x@${changed}`, `DELETED early@${removed}`]);
  expect(web.brief()).toEqual([`ADDED x@${added}`, `DELETED x@${changed}`]);
  expect(() => collect(pods, { from: { kind: 'revision', revision: before - 1 } })).toThrow(/too old resource version/);
});

describe('when the store has compacted what the cache needs', () => {
  test('watches get the difference, and a revision from the gap is refused rather than half served', async () => {
    const memory = createMemoryStore();
    const cut = Promise.withResolvers<void>();
    let watches = 0;
    async function* watch(prefix: string, from: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
      if (watches++ === 0) {
        await cut.promise;
        throw new StoreUnavailableError('cut');
      }
      yield* memory.watch(prefix, from, signal);
    }
    const old = await put(memory, pod('a', 'old'));
    const stays = await put(memory, pod('a', 'stays'));
    const { clock, pods } = setUp({ store: { ...memory, watch } });
    await pods.ready();
    const seen = collect(pods);
    const beforeGap = pods.revision;
    await remove(memory, 'a', 'old');
    const ghost = await put(memory, pod('a', 'ghost'));
    const changed = await put(memory, pod('a', 'stays', { note: 'new' }));
    await remove(memory, 'a', 'ghost');
    const recreated = await put(memory, pod('a', 'old'));
    await memory.compact(await memory.revision());
    cut.resolve();
    await settle();
    await clock.advance(1_000);
    await reached(pods);
    const want = [`DELETED old@${beforeGap + 1}`, `MODIFIED stays@${changed}`, `ADDED old@${recreated}`];
    expect(seen.brief()).toEqual(want);
    expect([old, stays]).toEqual([beforeGap - 1, beforeGap]);
    // Whoever listed elsewhere at `ghost` knows an object whose deletion this cache never saw.
    expect(() => collect(pods, { from: { kind: 'revision', revision: ghost } })).toThrow(/too old resource version/);
    expect(() => collect(pods, { from: { kind: 'revision', revision: changed } })).toThrow(/too old resource version/);
    const resumed = collect(pods, { from: { kind: 'revision', revision: beforeGap } });
    const upToDate = collect(pods, { from: { kind: 'revision', revision: recreated } });
    await settle();
    expect(resumed.brief()).toEqual(want);
    expect(upToDate.seen).toEqual([]);
  });
});
