import { expect, it } from 'vitest';
import { releaseAtRest } from './rest.ts';

it('collects what nobody holds once little happens', async () => {
  let collected = false;
  const registry = new FinalizationRegistry(() => {
    collected = true;
  });
  (() => registry.register({ of: 'the start' }, undefined))();
  releaseAtRest(50);
  await expect.poll(() => collected, { timeout: 10_000, interval: 100 }).toBe(true);
});
