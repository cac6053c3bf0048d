import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Etcd3 } from 'etcd3';
import { Follower, put, storeContract } from './contract.ts';
import { answersProgressTruthfully, createEtcdStore } from './etcd.ts';
import { type Store, StoreUnavailableError } from './port.ts';
import { checkStoreProperty } from './property.ts';
import { startEtcd, startTcpProxy, type TcpProxy, type TestEtcd } from './testing/etcd.ts';
import { writeAndKill } from './testing/kill.ts';

let etcd: TestEtcd;
let roots = 0;
const newRoot = () => `/registry-${roots++}/`;

beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

storeContract('etcd', {
  async open(options) {
    const root = newRoot();
    return { store: createEtcdStore({ endpoints: [etcd.endpoint], prefix: root, ...options }), root };
  },
  async advance() {},
});

const text = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString();

describe('the etcd store when the world is not quiet', () => {
  const stores: Store[] = [];
  const proxies: TcpProxy[] = [];
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((each) => each.close()));
    await Promise.all(proxies.splice(0).map((each) => each.close()));
  });
  function open(endpoint: string, root: string): Store {
    const store = createEtcdStore({ endpoints: [endpoint], prefix: root });
    stores.push(store);
    return store;
  }

  test('watches survive cut connections: complete, ordered, unique', async () => {
    const root = newRoot();
    const proxy = await startTcpProxy(etcd.port);
    proxies.push(proxy);
    const writer = open(etcd.endpoint, root);
    const reader = open(proxy.endpoint, root);
    const start = await writer.revision();
    const watches = ['pods', 'nodes'].map((kind) => new Follower(reader, `${root}${kind}/`, start));
    const want: number[][] = [[], []];
    for (let n = 0; n < 300; n++) {
      want[n % 2]?.push(await put(writer, `${root}${n % 2 ? 'nodes' : 'pods'}/${n % 13}`, String(n)));
      if (n % 40 === 20) proxy.cut();
    }
    proxy.cut();
    // A watch from the start, through the same broken line, while the others catch up.
    const late = new Follower(reader, `${root}pods/`, start);
    await Promise.all([...watches, late].map((each) => each.until(() => each.events.length >= 150)));
    for (const [index, each] of watches.entries()) {
      expect(each.events.map((event) => event.modRevision)).toEqual(want[index]);
    }
    expect(late.events.map((event) => event.modRevision)).toEqual(want[0]);
    await Promise.all([...watches, late].map((each) => each.stop()));
  });

  test('increments through cut connections: every acknowledged one counts, none counts twice', async () => {
    const root = newRoot();
    const proxy = await startTcpProxy(etcd.port);
    proxies.push(proxy);
    const store = open(proxy.endpoint, root);
    const key = `${root}pods/counter`;
    await put(store, key, '0:start');
    const won = new Set<string>();
    const unknown = new Set<string>();
    await Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        for (let n = 0; n < 25; n++) {
          const name = `${writer}-${n}`;
          for (;;) {
            const { kv } = await store.get(key);
            const count = Number(text(kv?.value).split(':')[0]) + 1;
            if (n % 8 === 4 && writer === 0) setImmediate(() => proxy.cut());
            try {
              const value = Buffer.from(`${count}:${name}`);
              if (!(await store.commit({ key, expected: kv?.modRevision ?? 0, value })).ok) continue;
              won.add(name);
            } catch (error) {
              if (!(error instanceof StoreUnavailableError)) throw error;
              unknown.add(name);
            }
            break;
          }
        }
      }),
    );
    const direct = open(etcd.endpoint, root);
    const count = Number(text((await direct.get(key)).kv?.value).split(':')[0]);
    expect(count).toBeGreaterThanOrEqual(won.size);
    expect(count).toBeLessThanOrEqual(won.size + unknown.size);
    expect(won.size).toBeGreaterThan(90);
  });

  test('a revision written by somebody else with several keys arrives whole', async () => {
    const root = newRoot();
    const store = open(etcd.endpoint, root);
    const raw = new Etcd3({ hosts: [etcd.endpoint] });
    const watch = new Follower(store, `${root}pods/`, await store.revision());
    const keys = Array.from({ length: 50 }, (_, n) => `${root}pods/${n}`);
    const value = Buffer.alloc(20_000, 'x');
    await raw.kv.txn({ success: keys.map((key) => ({ request_put: { key: Buffer.from(key), value } })) });
    await watch.until(() => watch.events.length >= 50);
    expect(watch.batches.filter((batch) => batch.kind === 'events')).toHaveLength(1);
    expect(new Set(watch.events.map((event) => event.modRevision)).size).toBe(1);
    // Others' writes elsewhere move the store's revision; progress follows.
    await raw.kv.put({ key: Buffer.from('elsewhere'), value: Buffer.from('x') });
    const revision = await store.revision();
    store.requestProgress(`${root}pods/`);
    await watch.until(() => watch.complete >= revision);
    raw.close();
    await watch.stop();
  });

  test('concurrent writes share requests, one object of a resource in each', async () => {
    const root = newRoot();
    const store = open(etcd.endpoint, root);
    const kinds = ['pods', 'nodes', 'secrets'];
    const results = await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const key = `/registry/${kinds[n % 3]}/${root.slice(1)}${n}`.replace('/registry/', root);
        const result = await store.commit({ key, expected: 0, value: Buffer.from(String(n)) });
        return { kind: kinds[n % 3], ...result };
      }),
    );
    expect(results.every((each) => each.ok)).toBe(true);
    for (const kind of kinds) {
      const revisions = results.filter((each) => each.kind === kind).map((each) => each.revision);
      expect(new Set(revisions).size).toBe(revisions.length);
    }
  });

  test('a restart of etcd, killed in the middle: watches and writes go on, nothing acknowledged is lost', async () => {
    const root = newRoot();
    const store = open(etcd.endpoint, root);
    const watch = new Follower(store, `${root}pods/`, await store.revision());
    const acknowledged: { key: string; value: string; revision: number }[] = [];
    const over = new AbortController();
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      const key = `${root}pods/w${writer}`;
      for (let n = 0; !over.signal.aborted; n++) {
        const value = `${writer}-${n}`;
        try {
          acknowledged.push({ key, value, revision: await put(store, key, value) });
        } catch (error) {
          if (!(error instanceof StoreUnavailableError)) throw error;
        }
      }
    });
    await watch.until(() => watch.events.length >= 60);
    await etcd.kill();
    await etcd.start();
    const seen = watch.events.length;
    await watch.until(() => watch.events.length >= seen + 60);
    over.abort();
    await Promise.all(writers);
    const last = Math.max(...acknowledged.map((each) => each.revision));
    await watch.until(() => watch.complete >= last);
    const events = new Map(watch.events.map((event) => [event.modRevision, event]));
    for (const { key, value, revision } of acknowledged) {
      const event = events.get(revision);
      expect(event?.key).toBe(key);
      expect(event?.type === 'put' && text(event.value)).toBe(value);
    }
    await watch.stop();
  });

  test('a writer killed at any moment loses nothing that was acknowledged', async () => {
    const root = newRoot();
    const acknowledged = await writeAndKill(['etcd', etcd.endpoint, root], 200);
    const store = open(etcd.endpoint, root);
    for (const [key, { value, revision }] of acknowledged) {
      const { kv } = await store.get(key);
      expect(kv?.modRevision, key).toBeGreaterThanOrEqual(revision);
      if (kv?.modRevision === revision) expect(text(kv.value)).toBe(value);
    }
  });

  test('without etcd, calls fail with StoreUnavailableError after a while, and close returns', async () => {
    const lonely = createEtcdStore({ endpoints: ['http://127.0.0.1:1'] });
    const reading = lonely.get('/registry/pods/a').catch((error: unknown) => error);
    const writing = lonely
      .commit({ key: '/registry/pods/a', expected: 0, value: Buffer.from('x') })
      .catch((error: unknown) => error);
    await lonely.close();
    expect(await reading).toBeInstanceOf(StoreUnavailableError);
    expect(await writing).toBeInstanceOf(StoreUnavailableError);
  });

  test('keys outside the prefix are refused', async () => {
    const store = open(etcd.endpoint, newRoot());
    await expect(store.get('/elsewhere')).rejects.toThrow(/is not under/);
    await expect(store.commit({ key: '/elsewhere', expected: 0, value: null })).rejects.toThrow(/is not under/);
  });
});

test('progress answers are trusted from the versions that Kubernetes trusts', () => {
  const versions = ['3.3.9', '3.4.23', '3.4.30', '3.4.31', '3.5.12', '3.5.13', '3.6.0', '4.0.0'];
  expect(versions.filter(answersProgressTruthfully)).toEqual(['3.4.31', '3.5.13', '3.6.0', '4.0.0']);
});

test('random operations agree with a model', () =>
  checkStoreProperty(
    async () => {
      const root = newRoot();
      const store = createEtcdStore({ endpoints: [etcd.endpoint], prefix: root });
      return { store, prefix: `${root}pods/`, done: () => store.close() };
    },
    { runs: 15 },
  ));
