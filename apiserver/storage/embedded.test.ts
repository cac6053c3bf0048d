import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '../../lib/clock.ts';
import { storeContract } from './contract.ts';
import { createEmbeddedStore } from './embedded.ts';

const directory = mkdtempSync(join(tmpdir(), 'sampan-store-'));
const clock = new FakeClock();
let files = 0;

storeContract('embedded', {
  open: async (options) => ({
    store: createEmbeddedStore({ path: join(directory, `${files++}.db`), clock, ...options }),
    root: '/registry/',
  }),
  advance: (ms) => clock.advance(ms),
  stop: async () => rmSync(directory, { recursive: true, force: true }),
});
