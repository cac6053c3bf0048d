// Property tests draw the same cases in every run, so that a failure is a change's and not the dice's. SAMPAN_SEED explores others.
import { configureGlobal } from 'fast-check';

configureGlobal({ seed: Number(process.env['SAMPAN_SEED'] ?? 20_261_120) });

/** mulberry32: numbers in [0, 1), the same ones for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
