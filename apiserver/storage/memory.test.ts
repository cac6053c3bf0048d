import { FakeClock } from '../../lib/clock.ts';
import { storeContract } from './contract.ts';
import { createMemoryStore } from './memory.ts';

const clock = new FakeClock();
storeContract('memory', {
  open: async (options) => ({ store: createMemoryStore({ clock, ...options }), root: '/registry/' }),
  advance: (ms) => clock.advance(ms),
});
