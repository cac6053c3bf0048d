// The work in flight for one pod: at most one operation per key, each in the background, each ending with a wake-up.
// A failed key waits with back-off before it may run again.
import { backoffMs, type BackoffPolicy } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';

interface Failure {
  count: number;
  retryAtMs: number;
}

const DEFAULT_RETRY: BackoffPolicy = { initialMs: 500, maxMs: 60_000, jitter: 0.1 };

export class Operations {
  #running = new Map<string, AbortController>();
  #failures = new Map<string, Failure>();
  #clock: Clock;
  #random: Random;
  #wake: () => void;
  #onError: (key: string, error: unknown) => void;

  /** `wake` is called at the end of every operation, `onError` before it when it failed and was not aborted. */
  constructor(options: { clock: Clock; random: Random; wake(): void; onError(key: string, error: unknown): void }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#wake = options.wake;
    this.#onError = options.onError;
  }

  /** Starts `work` unless it runs or waits for its back-off; returns whether it started. */
  run(key: string, work: (signal: AbortSignal) => Promise<void>, retry: BackoffPolicy = DEFAULT_RETRY): boolean {
    if (this.#running.has(key)) return false;
    const failure = this.#failures.get(key);
    if (failure && failure.retryAtMs > this.#clock.monotonic()) return false;
    const abort = new AbortController();
    this.#running.set(key, abort);
    work(abort.signal).then(
      () => this.#end(key, undefined),
      (error) => this.#end(key, abort.signal.aborted ? undefined : { error, retry }),
    );
    return true;
  }

  isRunning(prefix: string): boolean {
    return (
      this.#running.has(prefix) ||
      (prefix.endsWith(':') && [...this.#running.keys()].some((key) => key.startsWith(prefix)))
    );
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** Asks operations whose key starts with one of the prefixes to end. */
  abort(...prefixes: string[]): void {
    for (const [key, controller] of this.#running) {
      if (prefixes.some((prefix) => key.startsWith(prefix))) controller.abort();
    }
  }

  /** The next try may be at once: what it failed on has changed. */
  retryNow(prefix: string): void {
    for (const [key, failure] of this.#failures) if (key.startsWith(prefix)) failure.retryAtMs = 0;
  }

  /**
   * When the earliest of the keys that waited at `sinceMs` may run again; undefined when none did. One whose time came since then counts
   * too: whoever looked at it in between was told to wait.
   */
  nextRetryMs(sinceMs: number): number | undefined {
    const times = [...this.#failures.entries()]
      .filter(([key, each]) => !this.#running.has(key) && each.retryAtMs > sinceMs)
      .map(([, each]) => each.retryAtMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #end(key: string, failed: { error: unknown; retry: BackoffPolicy } | undefined): void {
    this.#running.delete(key);
    if (failed) {
      const count = (this.#failures.get(key)?.count ?? 0) + 1;
      this.#failures.set(key, {
        count,
        retryAtMs: this.#clock.monotonic() + backoffMs(failed.retry, count, this.#random),
      });
      this.#onError(key, failed.error);
    } else this.#failures.delete(key);
    this.#wake();
  }
}
