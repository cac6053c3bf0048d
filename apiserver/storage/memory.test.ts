import { test } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { storeContract } from './contract.ts';
import { createMemoryStore } from './memory.ts';
import { checkStoreProperty } from './property.ts';

const clock = new FakeClock();
storeContract('memory', {
  open: async (options) => ({ store: createMemoryStore({ clock, ...options }), root: '/registry/' }),
  advance: (ms) => clock.advance(ms),
});

test('random operations agree with a model', () =>
  checkStoreProperty(
    async () => {
      const store = createMemoryStore({ clock });
      return { store, prefix: '/registry/pods/', done: () => store.close() };
    },
    { runs: 200 },
  ));
