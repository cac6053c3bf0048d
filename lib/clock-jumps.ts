// Notices that the host's clock was set. Timers run on the monotonic clock, so what waits for a moment of the host's clock (a token's
// renewal, a deadline) has to look at it again.
import { sleep } from './abort.ts';
import type { Clock } from './clock.ts';

const LOOK_MS = 5_000;
/** Less is a clock that is being disciplined, not set. */
const LEAST_MS = 1_000;

/** Calls `onJump` with the milliseconds (negative: backwards) by which the host's clock has moved besides running, until the signal aborts. */
export async function watchClockJumps(clock: Clock, onJump: (ms: number) => void, signal: AbortSignal): Promise<void> {
  const skew = () => clock.now() - clock.monotonic();
  let known = skew();
  while (await sleep(clock, LOOK_MS, signal)) {
    const moved = skew() - known;
    if (Math.abs(moved) < LEAST_MS) continue;
    known += moved;
    onJump(moved);
  }
}
