import { expect, test } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { storeContract } from './contract.ts';
import { createMemoryStore } from './memory.ts';
import { checkStoreProperty } from './property.ts';

const clock = new FakeClock();
storeContract('memory', {
  open: async (options) => ({ store: createMemoryStore({ clock, ...options }), root: '/registry/' }),
  advance: (ms) => clock.advance(ms),
});

test('a clock that is set neither ends keys early nor keeps them', async () => {
  const store = createMemoryStore({ clock });
  const exists = async () => (await store.get('/registry/events/a')).kv !== undefined;
  await store.commit({ key: '/registry/events/a', expected: 0, value: Buffer.from('x'), ttlSeconds: 3600 });
  clock.jump(5 * 3600_000);
  await clock.advance(3590_000);
  expect(await exists()).toBe(true);
  clock.jump(-9 * 3600_000);
  await clock.advance(20_000);
  expect(await exists()).toBe(false);
  await store.close();
});

test('random operations agree with a model', () =>
  checkStoreProperty(
    async () => {
      const store = createMemoryStore({ clock });
      return { store, prefix: '/registry/pods/', done: () => store.close() };
    },
    { runs: 200 },
  ));
