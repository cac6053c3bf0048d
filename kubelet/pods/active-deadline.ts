// When a pod with activeDeadlineSeconds has been active for too long. The clock of the host may be set meanwhile, and must not end it.
import type { Pod } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';

export class ActiveDeadline {
  #clock: Clock;
  #seenAtMs: number;
  #since: { startTime: string | undefined; monotonicMs: number } | undefined;

  /** `seenAtMs` counts for pods without a start time. */
  constructor(clock: Clock, seenAtMs: number) {
    this.#clock = clock;
    this.#seenAtMs = seenAtMs;
  }

  /** On the monotonic clock; undefined: never. */
  atMs(pod: Pod): number | undefined {
    const seconds = pod.spec?.activeDeadlineSeconds;
    if (seconds === undefined) return undefined;
    const { startTime } = pod.status ?? {};
    if (!this.#since || this.#since.startTime !== startTime) {
      const agoMs = this.#clock.now() - (startTime ? Date.parse(startTime) : this.#seenAtMs);
      this.#since = { startTime, monotonicMs: this.#clock.monotonic() - Math.max(0, agoMs) };
    }
    return this.#since.monotonicMs + seconds * 1000;
  }

  isOver(pod: Pod): boolean {
    const atMs = this.atMs(pod);
    return atMs !== undefined && this.#clock.monotonic() >= atMs;
  }
}
