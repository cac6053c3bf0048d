// Time and randomness as values that are handed in, so that a test (or a simulated cluster) owns them.
// Nothing below the composition roots calls Date.now, setTimeout or Math.random directly.

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch: what is written down and shown. It jumps when the host's clock is set. */
  now(): number;
  /** Milliseconds that only grow, whatever is done to the host's clock: for what is measured or waited for in this process. */
  monotonic(): number;
  /** Calls `callback` once after `delayMs` (>= 0). The timer keeps the process alive unless `background`. */
  after(delayMs: number, callback: () => void, options?: { background?: boolean }): Timer;
}

/** Returns a number in [0, 1), like Math.random. */
export type Random = () => number;

const startedMs = performance.timeOrigin;

export const systemClock: Clock = {
  now: () => Date.now(),
  // From the epoch too, so that "never" can be 0.
  monotonic: () => Math.floor(startedMs + performance.now()),
  after(delayMs, callback, options) {
    // Node clamps delays over 2^31-1 ms to 1 ms; such a timer is as good as never.
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), 0x7fffffff));
    if (options?.background) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

interface FakeTimer {
  dueMs: number;
  order: number;
  callback: () => void;
}

/** A clock that moves only when told to; timers due at the same instant fire in the order they were set. */
export class FakeClock implements Clock {
  #nowMs: number;
  #skewMs = 0;
  #order = 0;
  #timers = new Set<FakeTimer>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs + this.#skewMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  /** Somebody sets the clock: `now` moves by so much, forwards or backwards, and nothing else does. */
  jump(ms: number): void {
    this.#skewMs += ms;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Number of timers that have not fired or been cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Advances by `ms`, firing what falls due, and lets promise callbacks run between timers. */
  async advance(ms: number): Promise<void> {
    const target = this.#nowMs + ms;
    for (;;) {
      let next: FakeTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs > target) continue;
        if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
      }
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = next.dueMs;
      next.callback();
      await settle();
    }
    this.#nowMs = target;
    await settle();
  }
}

/** Lets pending promise callbacks and immediates run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
