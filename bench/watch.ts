// Fan-out of the watch cache to in-process watchers: `scripts/node bench/watch.ts`. Writes go through a memory store; what is
// measured is decoding, encoding, dispatch and delivery, and that every event arrives.
import { createCacheSet } from '../apiserver/cache/index.ts';
import { pod, podKind } from '../apiserver/cache/testing/kinds.ts';
import { createMemoryStore } from '../apiserver/storage/memory.ts';

interface Case {
  name: string;
  watchers: number;
  /** What watcher `n` asks for. */
  query(n: number): { namespace?: string; index?: { field: string; value: string } };
  /** Watchers that each event reaches. */
  reach: number;
}

const EVENTS = 2_000;
const NODES = 100;
const cases: Case[] = [
  ...[1, 100, 1000].map((watchers) => ({ name: 'everything', watchers, query: () => ({}), reach: watchers })),
  {
    name: 'by node',
    watchers: 1000,
    query: (n) => ({ index: { field: 'spec.nodeName', value: `n${n % NODES}` } }),
    reach: 1000 / NODES,
  },
];

for (const { name, watchers, query, reach } of cases) {
  const store = createMemoryStore();
  const set = createCacheSet({ store });
  const pods = set.of(podKind);
  await pods.ready();
  const controller = new AbortController();
  let delivered = 0;
  let bytes = 0;
  const done = Array.from({ length: watchers }, async (_, n) => {
    const from = { kind: 'revision' as const, revision: pods.revision };
    for await (const batch of pods.watch({ ...query(n), from, bookmarks: false, signal: controller.signal })) {
      delivered += batch.length;
      for (const event of batch) bytes += event.line.length;
    }
  });
  const value = (n: number) =>
    Buffer.from(JSON.stringify(pod('bench', `p${n}`, { node: `n${n % NODES}`, note: 'x'.repeat(1800) })));
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  for (let n = 0; n < EVENTS; n++) {
    await store.commit({ key: `/registry/pods/bench/p${n}`, expected: 0, value: value(n) });
    // One event, one batch: the dear case, in which nothing is coalesced.
    await pods.current();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const tookMs = performance.now() - startMs;
  const used = process.cpuUsage(cpu);
  const want = EVENTS * reach;
  if (delivered !== want) throw new Error(`${delivered} of ${want} events delivered`);
  const perDelivery = (used.user + used.system) / delivered;
  const perEvent = (used.user + used.system) / EVENTS;
  console.log(
    `${name.padEnd(11)} ${String(watchers).padStart(5)} watchers ${((delivered / tookMs) * 1000).toFixed(0).padStart(9)} deliveries/s ` +
      `${perDelivery.toFixed(2).padStart(7)} µs CPU each ${perEvent.toFixed(0).padStart(5)} µs per event (${Math.round(bytes / 2 ** 20)} MiB)`,
  );
  controller.abort();
  await Promise.all(done);
  await set.stop();
  await store.close();
}
