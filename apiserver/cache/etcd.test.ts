// The cache on a real etcd, through a connection that is cut: a read is never older than a write acknowledged before it,
// whichever server took the write.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { put } from '../storage/contract.ts';
import { createEtcdStore } from '../storage/etcd.ts';
import type { Store } from '../storage/port.ts';
import { startEtcd, startTcpProxy, type TestEtcd } from '../storage/testing/etcd.ts';
import { createCacheSet } from './index.ts';
import { nodeKind, pod, podKind } from './testing/kinds.ts';

let etcd: TestEtcd;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

test('reads are current, also of quiet kinds, on both of two servers and through cuts', async () => {
  const proxy = await startTcpProxy(etcd.port);
  const stores: Store[] = [etcd.endpoint, proxy.endpoint].map((endpoint) => createEtcdStore({ endpoints: [endpoint] }));
  const sets = stores.map((store) => createCacheSet({ store }));
  try {
    for (const set of sets) await Promise.all([set.of(podKind).ready(), set.of(nodeKind).ready()]);
    for (let round = 0; round < 30; round++) {
      const name = `p${round % 7}`;
      const value = JSON.stringify(pod('default', name, { note: String(round) }));
      const revision = await put(stores[round % 2] as Store, `/registry/pods/default/${name}`, value);
      if (round % 10 === 5) proxy.cut();
      await Promise.all(
        sets.map(async (set) => {
          const pods = set.of(podKind);
          await Promise.all([pods.current(), set.of(nodeKind).current()]);
          expect(pods.get('default', name)?.object.metadata.annotations?.note).toBe(String(round));
          expect(pods.get('default', name)?.revision).toBe(revision);
          expect(set.of(nodeKind).revision).toBeGreaterThanOrEqual(revision);
        }),
      );
    }
  } finally {
    await Promise.all(sets.map((set) => set.stop()));
    await Promise.all(stores.map((store) => store.close()));
    await proxy.close();
  }
});

test('a restart of etcd is noticed by nobody who watches', async () => {
  const store = createEtcdStore({ endpoints: [etcd.endpoint] });
  const set = createCacheSet({ store });
  const controller = new AbortController();
  try {
    const pods = set.of(podKind);
    await pods.current();
    const seen: number[] = [];
    const want: number[] = [];
    const wanted = Promise.withResolvers<void>();
    const watch = pods.watch({
      from: { kind: 'revision', revision: pods.revision },
      bookmarks: false,
      signal: controller.signal,
    });
    const watching = (async () => {
      for await (const batch of watch) {
        for (const event of batch) seen.push(event.entry.revision);
        if (seen.length >= 40) wanted.resolve();
      }
    })();
    for (let n = 0; n < 40; n++) {
      want.push(await put(store, `/registry/pods/b/r${n}`, JSON.stringify(pod('b', `r${n}`))));
      if (n === 20) {
        await etcd.kill();
        await etcd.start();
      }
    }
    await wanted.promise;
    controller.abort();
    await watching;
    expect(seen).toEqual(want);
  } finally {
    controller.abort();
    await set.stop();
    await store.close();
  }
});
