// Random writes under a store whose watches break, overflow and are compacted away, while clients watch through the cache,
// break off and resume. Each promise of a watch has its own validator.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ApiError } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { FakeClock, settle } from '../../lib/clock.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import { createMemoryStore } from '../storage/memory.ts';
import { type Store, StoreUnavailableError, type WatchBatch } from '../storage/port.ts';
import { type CacheEvent, createCacheSet, type ResourceCache } from './index.ts';
import { encode, pod, podKind } from './testing/kinds.ts';

type Fault = 'break before' | 'break after' | 'overflow' | 'compact';

/** A store whose watches and lists fail as the test says. */
function faulty(store: Store) {
  let next: Fault | undefined;
  let lists = 0;
  let failLists = 0;
  async function* watch(prefix: string, from: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    for await (const batch of store.watch(prefix, from, signal)) {
      const fault = next;
      next = undefined;
      if (fault === 'overflow') throw new StreamOverflowError(1);
      if (fault === 'break before') throw new StoreUnavailableError('cut');
      if (fault === 'compact') {
        // Everything the cache has not seen yet is compacted away: it must list again.
        await store.compact(await store.revision());
        throw new StoreUnavailableError('cut');
      }
      yield batch;
      if (fault === 'break after') throw new StoreUnavailableError('cut');
    }
  }
  const wrapped: Store = {
    ...store,
    watch,
    list: async (prefix, options) => {
      if (failLists > 0) {
        failLists--;
        throw new StoreUnavailableError('no list');
      }
      lists++;
      return store.list(prefix, options);
    },
  };
  return {
    store: wrapped,
    lists: () => lists,
    inject(fault: Fault, lists: number) {
      next = fault;
      failLists = lists;
    },
  };
}

interface Query {
  namespace?: string;
  app?: string;
  node?: string;
}

/** The notes of what a query matches, by key, at a revision. */
type Truth = (revision: number, query: Query) => Map<string, string>;

interface Seen {
  key: string;
  revision: number;
}

/** What a client knows, from events alone. */
class Client {
  readonly query: Query;
  readonly state = new Map<string, Seen & { note: string }>();
  readonly problems: string[] = [];
  bookmarks = 0;
  relists = 0;
  /** Where it would resume. */
  revision: number | undefined;
  #pods: ResourceCache;
  #truth: Truth;
  #controller = new AbortController();
  #isStopped = false;
  #inInitial = false;
  #away: PromiseWithResolvers<void> | undefined;
  running: Promise<void>;

  constructor(pods: ResourceCache, query: Query, truth: Truth) {
    this.#pods = pods;
    this.query = query;
    this.#truth = truth;
    this.running = this.#run();
  }

  /** Cuts the connection; the client resumes from what it has, when it is called back. */
  cut(): void {
    this.#away ??= Promise.withResolvers<void>();
    this.#controller.abort();
  }

  callBack(): void {
    this.#away?.resolve();
    this.#away = undefined;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.callBack();
    this.#controller.abort();
    await this.running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#controller = new AbortController();
      const { app, node, namespace } = this.query;
      try {
        if (this.revision === undefined) {
          this.relists++;
          this.state.clear();
          this.#inInitial = true;
        }
        const watch = this.#pods.watch({
          ...(namespace && { namespace }),
          ...(app && { matches: (object: KubeObject) => object.metadata.labels?.app === app }),
          ...(node && { index: { field: 'spec.nodeName', value: node } }),
          from: this.revision === undefined ? { kind: 'initial' } : { kind: 'revision', revision: this.revision },
          bookmarks: true,
          signal: this.#controller.signal,
        });
        for await (const batch of watch) for (const event of batch) this.#onEvent(event);
      } catch (error) {
        if (error instanceof ApiError && error.code === 410) this.revision = undefined;
        else if (!(error instanceof StreamOverflowError)) this.problems.push(`unexpected ${error}`);
      }
      await settle();
      await this.#away?.promise;
    }
  }

  #onEvent(event: CacheEvent): void {
    const { entry, type } = event;
    const said = JSON.parse(event.line.toString()) as { type: string; object: KubeObject };
    if (said.type !== type) this.#problem(event, `line says ${said.type}`);
    if (said.object.metadata.resourceVersion !== String(entry.revision))
      this.#problem(event, 'line has another revision');
    if (type === 'BOOKMARK') return this.#onBookmark(event);
    const known = this.state.get(entry.key);
    // Ordered: initial events come in key order, all others by revision.
    if (!this.#inInitial && entry.revision < (this.revision ?? 0)) this.#problem(event, `comes after ${this.revision}`);
    // Unique: a key never repeats a revision; ADDED, MODIFIED and DELETED fit what is known.
    if (known && entry.revision <= known.revision) this.#problem(event, `repeats ${known.revision}`);
    if ((type === 'ADDED') === (known !== undefined)) this.#problem(event, known ? 'is known already' : 'is not known');
    if (type === 'DELETED') this.state.delete(entry.key);
    else
      this.state.set(entry.key, {
        key: entry.key,
        revision: entry.revision,
        note: said.object.metadata.annotations?.note ?? '',
      });
    if (!this.#inInitial) this.revision = entry.revision;
  }

  #onBookmark(event: CacheEvent): void {
    this.bookmarks++;
    this.#inInitial = false;
    this.revision = event.entry.revision;
    // Truthful: what is known is exactly the state at the bookmark's revision.
    const truth = this.#truth(event.entry.revision, this.query);
    if (JSON.stringify(this.notes()) !== JSON.stringify(sorted(truth))) {
      this.#problem(event, `knows ${JSON.stringify(this.notes())}, but it is ${JSON.stringify(sorted(truth))}`);
    }
  }

  notes(): [string, string][] {
    return sorted(new Map([...this.state].map(([key, seen]) => [key, seen.note])));
  }

  #problem(event: CacheEvent, what: string): void {
    this.problems.push(`${event.type} ${event.entry.key}@${event.entry.revision}: ${what}`);
  }
}

const sorted = (state: Map<string, string>): [string, string][] => [...state].sort(([a], [b]) => (a < b ? -1 : 1));

type Operation =
  | { kind: 'put'; namespace: string; name: string; app: string; node: string }
  | { kind: 'delete'; namespace: string; name: string }
  | { kind: 'fault'; fault: Fault; lists: number }
  | { kind: 'cut'; client: number }
  | { kind: 'time'; ms: number }
  | { kind: 'settle' };

const namespace = fc.constantFrom('a', 'b');
const name = fc.constantFrom('w', 'x', 'y', 'z');
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      namespace,
      name,
      app: fc.constantFrom('web', 'db'),
      node: fc.constantFrom('', 'n1', 'n2'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), namespace, name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      fault: fc.constantFrom<Fault>('break before', 'break after', 'overflow', 'compact'),
      lists: fc.nat(2),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), client: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(50, 6_000, 60_000) }) },
  { weight: 4, arbitrary: fc.constant<Operation>({ kind: 'settle' }) },
);

const QUERIES: Query[] = [
  {},
  {},
  { namespace: 'a' },
  { app: 'web' },
  { node: 'n1' },
  { namespace: 'b', app: 'db' },
  { namespace: 'a', node: 'n1' },
];

async function play(
  operations: readonly Operation[],
): Promise<{ cacheRelists: number; relists: number; bookmarks: number }> {
  const clock = new FakeClock();
  const memory = createMemoryStore({ clock });
  const { store, inject, lists } = faulty(memory);
  const set = createCacheSet({ store, clock, random: () => 0.5, ring: { count: 12 }, watchLimit: 20 });
  const pods = set.of(podKind);
  await pods.ready();

  const history: { key: string; object: KubeObject | undefined; revision: number }[] = [];
  const truth = (revision: number, query: Query) => {
    const state = new Map<string, string>();
    for (const { key, object, revision: at } of history) {
      if (at > revision) break;
      const node = (object as { spec?: { nodeName?: string } } | undefined)?.spec?.nodeName ?? '';
      const matches =
        object &&
        (!query.namespace || object.metadata.namespace === query.namespace) &&
        (!query.app || object.metadata.labels?.app === query.app) &&
        (!query.node || node === query.node);
      if (matches) state.set(key, object.metadata.annotations?.note ?? '');
      else state.delete(key);
    }
    return state;
  };
  const clients = QUERIES.map((query) => new Client(pods, query, truth));
  for (const [index, each] of operations.entries()) {
    if (each.kind === 'put' || each.kind === 'delete') {
      const key = `/registry/pods/${each.namespace}/${each.name}`;
      const { kv } = await memory.get(key);
      if (each.kind === 'delete' && !kv) continue;
      const object =
        each.kind === 'put'
          ? pod(each.namespace, each.name, { node: each.node, labels: { app: each.app }, note: String(index) })
          : undefined;
      const result = await memory.commit({
        key,
        expected: kv?.modRevision ?? 0,
        value: object ? encode(object) : null,
      });
      history.push({ key, object, revision: result.revision });
    } else if (each.kind === 'fault') inject(each.fault, each.lists);
    else if (each.kind === 'cut') clients[each.client % clients.length]?.cut();
    else if (each.kind === 'time') {
      await clock.advance(each.ms);
      if (each.ms > 10_000) for (const client of clients) client.callBack();
    } else await settle();
  }
  // Reliable: once quiet, the cache and every client know exactly what the store holds.
  for (const client of clients) client.callBack();
  for (let round = 0; round < 6; round++) {
    await clock.advance(6_000);
    await settle();
  }
  await pods.current();
  for (let round = 0; round < 4; round++) await settle();
  for (const client of clients) {
    expect(client.problems).toEqual([]);
    expect(client.notes()).toEqual(sorted(truth(Number.POSITIVE_INFINITY, client.query)));
    const listed = pods.list({
      ...(client.query.namespace && { namespace: client.query.namespace }),
      ...(client.query.app && { matches: (object) => object.metadata.labels?.app === client.query.app }),
      ...(client.query.node && { index: { field: 'spec.nodeName', value: client.query.node } }),
    });
    expect(listed.items.map((entry) => [entry.key, entry.object.metadata.annotations?.note])).toEqual(client.notes());
  }
  await Promise.all(clients.map((client) => client.stop()));
  for (const client of clients) expect(client.problems).toEqual([]);
  expect(pods.watchers).toBe(0);
  await set.stop();
  await memory.close();
  const sum = (of: (client: Client) => number) => clients.reduce((total, client) => total + of(client), 0);
  return {
    cacheRelists: lists(),
    relists: sum((client) => client.relists) - clients.length,
    bookmarks: sum((client) => client.bookmarks),
  };
}

test('whatever breaks, every watch is ordered, unique, reliable and resumable, and its bookmarks are true', async () => {
  const total = { cacheRelists: 0, relists: 0, bookmarks: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 20, maxLength: 120 }), async (operations) => {
      const result = await play(operations);
      for (const key of ['cacheRelists', 'relists', 'bookmarks'] as const) total[key] += result[key];
    }),
    { numRuns: 200, seed: 42, endOnFailure: true },
  );
  // The test means nothing if its faults never happened.
  expect(total.cacheRelists).toBeGreaterThan(50);
  expect(total.relists).toBeGreaterThan(20);
  expect(total.bookmarks).toBeGreaterThan(500);
});
