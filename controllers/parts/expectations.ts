// A controller sees its own writes before it acts again: creates are expected by name and deletes by uid, noted before
// the request is sent and struck off when the informer shows them. Names are chosen here, so an answer that gets lost
// does no harm. What is never seen (created and deleted while a watch was down) expires.
import type { Clock } from '../../lib/clock.ts';

const expiryMs = 60_000;

interface Expected {
  tokens: Set<string>;
  untilMs: number;
}

export class Expectations {
  #clock: Clock;
  #byKey = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  expect(key: string, token: string): void {
    let expected = this.#byKey.get(key);
    if (!expected) this.#byKey.set(key, (expected = { tokens: new Set(), untilMs: 0 }));
    expected.tokens.add(token);
    expected.untilMs = this.#clock.monotonic() + expiryMs;
  }

  /** Seen in the cache, or known never to come. */
  settle(key: string, token: string): void {
    const expected = this.#byKey.get(key);
    if (expected?.tokens.delete(token) && expected.tokens.size === 0) this.#byKey.delete(key);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }

  /** Milliseconds that are left to wait; 0 when everything was seen. */
  waitMs(key: string): number {
    const expected = this.#byKey.get(key);
    if (!expected) return 0;
    const leftMs = expected.untilMs - this.#clock.monotonic();
    if (leftMs > 0) return leftMs;
    this.#byKey.delete(key);
    return 0;
  }
}
