// Readers that wait until the cache reflects a revision. Every timer and listener is removed on every path.
import type { Clock, Timer } from '../../lib/clock.ts';

interface Waiter {
  revision: number;
  settle: (outcome: { reached: boolean } | { error: unknown }) => void;
}

export class RevisionWaiters {
  #waiting = new Set<Waiter>();
  #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True once `advance` reached `revision`, false after `timeoutMs`; rejects with the signal's reason. */
  wait(revision: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let timer: Timer | undefined;
      const onAbort = () => waiter.settle({ error: signal?.reason });
      const waiter: Waiter = {
        revision,
        settle: (outcome) => {
          this.#waiting.delete(waiter);
          timer?.cancel();
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.reached);
        },
      };
      this.#waiting.add(waiter);
      timer = this.#clock.after(timeoutMs, () => waiter.settle({ reached: false }));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  advance(revision: number): void {
    for (const waiter of this.#waiting) if (waiter.revision <= revision) waiter.settle({ reached: true });
  }

  fail(error: unknown): void {
    for (const waiter of this.#waiting) waiter.settle({ error });
  }
}
