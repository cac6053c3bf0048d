// Random operations on a store against a model that keeps every version ever written. Seeded: a failure prints its seed.
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { Follower } from './contract.ts';
import { CompactedError, type Store } from './port.ts';

type Operation =
  | { kind: 'write'; key: number; stale: boolean; value: number | null }
  | { kind: 'race'; key: number; writers: number }
  | { kind: 'read'; key: number; ago: number }
  | { kind: 'list'; limit: number; ago: number }
  | { kind: 'compact'; ago: number }
  | { kind: 'watch'; ago: number };

interface ModelEvent {
  key: string;
  value: string | null;
  revision: number;
}

const KEYS = 5;
const ago = fc.nat({ max: 12 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      key: fc.nat(KEYS - 1),
      stale: fc.boolean(),
      value: fc.option(fc.nat(999)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('race' as const),
      key: fc.nat(KEYS - 1),
      writers: fc.integer({ min: 2, max: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), key: fc.nat(KEYS - 1), ago }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('list' as const), limit: fc.nat(3), ago }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), ago }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('watch' as const), ago }) },
);

class Model {
  readonly events: ModelEvent[] = [];
  compactRevision = 0;
  /** Old versions of other runs on the same store count too. */
  readonly base: number;

  constructor(base: number) {
    this.base = base;
  }

  get revision(): number {
    return this.events.at(-1)?.revision ?? this.base;
  }

  at(revision: number): Map<string, ModelEvent> {
    const state = new Map<string, ModelEvent>();
    for (const event of this.events) {
      if (event.revision > revision) break;
      if (event.value === null) state.delete(event.key);
      else state.set(event.key, event);
    }
    return state;
  }

  /** The revision `steps` writes ago. */
  past(steps: number): number {
    return this.events[this.events.length - 1 - steps]?.revision ?? this.base;
  }
}

const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString());

async function step(
  store: Store,
  prefix: string,
  model: Model,
  watches: Follower[],
  operation: Operation,
): Promise<void> {
  const keyOf = (index: number) => `${prefix}${index}`;
  switch (operation.kind) {
    case 'write': {
      const key = keyOf(operation.key);
      const current = model.at(model.revision).get(key);
      const expected = operation.stale
        ? model.past(3) === current?.revision
          ? 1
          : model.past(3)
        : (current?.revision ?? 0);
      const value = operation.value === null ? null : String(operation.value);
      const result = await store.commit({ key, expected, value: value === null ? null : Buffer.from(value) });
      const isRight = (current?.revision ?? 0) === expected && !(value === null && !current);
      expect(result.ok).toBe(isRight);
      if (result.ok) {
        expect(result.revision).toBeGreaterThan(model.revision);
        model.events.push({ key, value, revision: result.revision });
      } else expect(result.current?.modRevision).toBe(current?.revision);
      return;
    }
    case 'race': {
      const key = keyOf(operation.key);
      const expected = model.at(model.revision).get(key)?.revision ?? 0;
      const values = Array.from({ length: operation.writers }, (_, n) => `race-${expected}-${n}`);
      const results = await Promise.all(
        values.map((value) => store.commit({ key, expected, value: Buffer.from(value) })),
      );
      const winners = results.flatMap((each, index) => (each.ok ? [{ revision: each.revision, index }] : []));
      expect(winners).toHaveLength(1);
      const { revision, index } = winners[0] as { revision: number; index: number };
      model.events.push({ key, value: values[index] as string, revision });
      return;
    }
    case 'read': {
      const revision = model.past(operation.ago);
      const key = keyOf(operation.key);
      if (revision < model.compactRevision) {
        await expect(store.get(key, revision)).rejects.toBeInstanceOf(CompactedError);
        return;
      }
      const { kv } = await store.get(key, revision);
      const want = model.at(revision).get(key);
      expect([text(kv?.value), kv?.modRevision]).toEqual([want?.value ?? undefined, want?.revision]);
      return;
    }
    case 'list': {
      const revision = model.past(operation.ago);
      if (revision < model.compactRevision) {
        await expect(store.list(prefix, { revision })).rejects.toBeInstanceOf(CompactedError);
        return;
      }
      const want = [...model.at(revision).values()].sort((a, b) => (a.key < b.key ? -1 : 1));
      const { kvs, count, more } = await store.list(prefix, { revision, limit: operation.limit });
      const page = operation.limit ? want.slice(0, operation.limit) : want;
      expect(kvs.map((kv) => [kv.key, kv.modRevision, text(kv.value)])).toEqual(
        page.map((each) => [each.key, each.revision, each.value]),
      );
      expect([count, more]).toEqual([want.length, page.length < want.length]);
      return;
    }
    case 'compact': {
      const revision = model.past(operation.ago);
      await store.compact(revision);
      model.compactRevision = Math.max(model.compactRevision, revision);
      return;
    }
    case 'watch': {
      const from = model.past(operation.ago);
      if (from < model.compactRevision) {
        const watch = new Follower(store, prefix, from);
        await watch.done;
        expect(watch.error).toBeInstanceOf(CompactedError);
      } else watches.push(Object.assign(new Follower(store, prefix, from), { from }));
    }
  }
}

/** Runs `runs` random sequences; `open` gives an empty prefix on a store. */
export async function checkStoreProperty(
  open: () => Promise<{ store: Store; prefix: string; done(): Promise<void> }>,
  options: { runs: number; seed?: number },
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 60 }), async (operations) => {
      const { store, prefix, done } = await open();
      const watches: Follower[] = [];
      try {
        const model = new Model(await store.revision());
        for (const each of operations) await step(store, prefix, model, watches, each);
        for (const watch of watches) {
          const { from } = watch as Follower & { from: number };
          const want = model.events.filter((event) => event.revision > from);
          await watch.until(() => watch.events.length >= want.length);
          expect(
            watch.events.map((event) => [
              event.key,
              event.type === 'put' ? text(event.value) : null,
              event.modRevision,
            ]),
          ).toEqual(want.map((event) => [event.key, event.value, event.revision]));
        }
      } finally {
        await Promise.all(watches.map((watch) => watch.stop()));
        await done();
      }
    }),
    { numRuns: options.runs, seed: options.seed ?? 20261120, endOnFailure: true },
  );
}
