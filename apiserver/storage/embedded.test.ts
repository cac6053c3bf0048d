import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { brief, Follower, put, remove, storeContract } from './contract.ts';
import { createEmbeddedStore } from './embedded.ts';
import { CompactedError, StoreUnavailableError } from './port.ts';
import { checkStoreProperty } from './property.ts';
import { writeAndKill } from './testing/kill.ts';

const directory = mkdtempSync(join(tmpdir(), 'sampan-store-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const newPath = () => join(directory, `${files++}.db`);

const contractClock = new FakeClock();
storeContract('embedded', {
  async open(options) {
    const store = createEmbeddedStore({ path: newPath(), clock: contractClock, ...options });
    // The other tests here write mostly before the worker is there; these write through it.
    await store.handedOver;
    return { store, root: '/registry/' };
  },
  advance: (ms) => contractClock.advance(ms),
});

const text = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString();

describe('the embedded store on disk', () => {
  test('a restart keeps objects, revisions, history and what was compacted', async () => {
    const path = newPath();
    const first = createEmbeddedStore({ path });
    const a1 = await put(first, '/registry/pods/a', '1');
    await put(first, '/registry/pods/b', '1');
    const compacted = await put(first, '/registry/pods/a', '2');
    const a3 = await put(first, '/registry/pods/a', '3');
    const gone = await remove(first, '/registry/pods/b');
    await first.compact(compacted);
    await first.close();

    const second = createEmbeddedStore({ path });
    expect(await second.revision()).toBe(gone);
    const { kv } = await second.get('/registry/pods/a');
    expect([text(kv?.value), kv?.modRevision, kv?.createRevision]).toEqual(['3', a3, a1]);
    expect((await second.list('/registry/pods/', { revision: compacted })).kvs.map((each) => text(each.value))).toEqual(
      ['2', '1'],
    );
    await expect(second.get('/registry/pods/a', a1)).rejects.toBeInstanceOf(CompactedError);
    const watch = new Follower(second, '/registry/pods/', compacted);
    await watch.until(() => watch.events.length === 2);
    expect(watch.events.map(brief)).toEqual([`put /registry/pods/a@${a3}=3`, `delete /registry/pods/b@${gone}`]);
    expect(await put(second, '/registry/pods/c', '1')).toBe(gone + 1);
    await watch.stop();
    await second.close();
  });

  test('the revision never goes back, even when the newest version was compacted away', async () => {
    const path = newPath();
    const first = createEmbeddedStore({ path });
    await put(first, '/registry/pods/a', '1');
    const gone = await remove(first, '/registry/pods/a');
    await first.compact(gone);
    await first.close();
    const second = createEmbeddedStore({ path });
    expect(await second.revision()).toBe(gone);
    await second.close();
  });

  test('expiry survives a restart', async () => {
    const path = newPath();
    const clock = new FakeClock();
    const first = createEmbeddedStore({ path, clock });
    const key = '/registry/events/a';
    await first.commit({ key, expected: 0, value: Buffer.from('x'), ttlSeconds: 60 });
    await first.close();
    await clock.advance(30_000);
    const second = createEmbeddedStore({ path, clock });
    const watch = new Follower(second, '/registry/events/', await second.revision());
    await clock.advance(29_000);
    await second.commit({ key: '/registry/pods/z', expected: 0, value: Buffer.from('x') });
    expect((await second.get(key)).kv).toBeDefined();
    await clock.advance(2_000);
    await watch.until(() => watch.events.length === 1);
    expect(watch.events[0]).toMatchObject({ type: 'delete', key });
    await watch.stop();
    await second.close();
  });

  test('a second process is refused while the first has the file', async () => {
    const path = newPath();
    const store = createEmbeddedStore({ path });
    await put(store, '/registry/pods/a', '1');
    const script = `import('${new URL('./embedded.ts', import.meta.url).href}').then((m) => m.createEmbeddedStore({ path: process.argv[1] }))
      .then(() => console.log('opened'), (error) => console.log(error.name + ': ' + error.message)).then(() => process.exit())`;
    const run = () =>
      spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', script, path])
        .stdout.toString()
        .trim();
    expect(run()).toBe(`StoreUnavailableError: ${path} is in use by another process`);
    expect(() => createEmbeddedStore({ path })).toThrow(StoreUnavailableError);
    await store.close();
    expect(run()).toBe('opened');
  });

  test('a file that is not ours is refused and left as it was', async () => {
    const garbage = newPath();
    writeFileSync(garbage, 'not a database, but something that somebody needs'.repeat(100));
    expect(() => createEmbeddedStore({ path: garbage })).toThrow(/not a database/);
    const foreign = newPath();
    const db = new DatabaseSync(foreign);
    db.exec('CREATE TABLE mine (x)');
    db.close();
    expect(() => createEmbeddedStore({ path: foreign })).toThrow(/is not a Sampan store/);
    expect(() => createEmbeddedStore({ path: join(directory, 'nowhere', 'x.db') })).toThrow(StoreUnavailableError);
    expect(existsSync(join(directory, 'nowhere'))).toBe(false);
  });

  test('compaction bounds the file', async () => {
    const path = newPath();
    const clock = new FakeClock();
    const store = createEmbeddedStore({ path, clock, compactIntervalMs: 1_000 });
    const value = 'v'.repeat(4_000);
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => put(store, `/registry/pods/${n}`, value + round)));
      await clock.advance(1_000);
      await store.compact(0);
    }
    // 100 objects of 4 kB, written 40 times: 16 MB if all were kept. SQLite's log alone may take 4 MB.
    expect(await store.sizeBytes()).toBeLessThan(8_000_000);
    expect((await store.list('/registry/pods/')).count).toBe(100);
    await store.close();
    const { n } = new DatabaseSync(path).prepare('SELECT count(*) AS n FROM versions').get() as { n: number };
    expect(n).toBeLessThanOrEqual(400);
  });

  test('history beyond its size limit is forgotten early; an old watch is told, not starved', async () => {
    const store = createEmbeddedStore({ path: newPath(), historyBytes: 50_000 });
    const first = await put(store, '/registry/pods/a', 'x'.repeat(1000));
    for (let n = 0; n < 200; n++) await put(store, '/registry/pods/a', String(n).repeat(500));
    const watch = new Follower(store, '/registry/pods/', first);
    await watch.done;
    expect(watch.error).toBeInstanceOf(CompactedError);
    await store.close();
  });

  test('writes in flight are finished by close, later ones refused', async () => {
    const path = newPath();
    const store = createEmbeddedStore({ path });
    const writes = Array.from({ length: 50 }, (_, n) =>
      store.commit({ key: `/registry/pods/${n}`, expected: 0, value: Buffer.from('x') }),
    );
    const closed = store.close();
    expect((await Promise.all(writes)).every((each) => each.ok)).toBe(true);
    await closed;
    await expect(store.commit({ key: '/registry/pods/z', expected: 0, value: null })).rejects.toBeInstanceOf(
      StoreUnavailableError,
    );
    const again = createEmbeddedStore({ path });
    expect((await again.list('/registry/pods/')).count).toBe(50);
    await again.close();
  });

  test('nothing is seen before it is on disk', async () => {
    const store = createEmbeddedStore({ path: newPath() });
    const writing = store.commit({ key: '/registry/pods/a', expected: 0, value: Buffer.from('x') });
    const losing = store.commit({ key: '/registry/pods/a', expected: 0, value: Buffer.from('y') });
    expect((await store.get('/registry/pods/a')).kv).toBeUndefined();
    const { revision } = await writing;
    expect(await losing).toMatchObject({ ok: false, current: { modRevision: revision } });
    await store.close();
  });

  test('a writer killed at any moment loses nothing that was acknowledged', async () => {
    const path = newPath();
    const want = new Map<string, { value: string; revision: number }>();
    for (const writes of [40, 333, 900]) {
      for (const [key, each] of await writeAndKill(['embedded', path], writes)) want.set(key, each);
      const store = createEmbeddedStore({ path });
      for (const [key, { value, revision }] of want) {
        const { kv } = await store.get(key);
        expect(kv?.modRevision, key).toBeGreaterThanOrEqual(revision);
        if (kv?.modRevision === revision) expect(text(kv.value)).toBe(value);
      }
      await store.close();
    }
    expect(want.size).toBe(8);
  });
});

test('random operations agree with a model', () =>
  checkStoreProperty(
    async () => {
      const store = createEmbeddedStore({ path: newPath() });
      return { store, prefix: '/registry/pods/', done: () => store.close() };
    },
    { runs: 15 },
  ));
