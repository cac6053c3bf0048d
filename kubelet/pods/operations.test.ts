import { expect, it } from 'vitest';
import { type Clock, settle, systemClock } from '../../lib/clock.ts';
import { Operations } from './operations.ts';

/** Time passes with every look at the clock, as on a busy machine. */
function busyClock(): Clock {
  let nowMs = 0;
  return { ...systemClock, now: () => nowMs, monotonic: () => ++nowMs };
}

it('a step that comes too early for a retry is told when to come again, also when the retry falls due within it', async () => {
  const clock = busyClock();
  const operations = new Operations({ clock, random: () => 0.5, wake() {}, onError() {} });
  const retry = { initialMs: 20, maxMs: 20, jitter: 0 };
  operations.run('stop', () => Promise.reject(new Error('away')), retry);
  await settle();
  for (let step = 0; ; step++) {
    const begunMs = clock.monotonic();
    if (operations.run('stop', async () => {}, retry)) break;
    expect(operations.nextRetryMs(begunMs), `step ${step}`).toBeDefined();
  }
  await settle();
  expect(operations.nextRetryMs(0)).toBeUndefined();
});
