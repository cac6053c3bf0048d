// What `Retry-After` says: more the more is rejected, so that clients spread out. Per priority level; pure.

const MAX_SECONDS = 8;
/** Rejections per second of the present value from which on it doubles. */
const CROWD = 3;

export class RetryAfter {
  #seconds = 1;
  #sinceMs = 0;
  #rejected = 0;

  /** Counts one rejection. Whole seconds, 1 to 8. */
  next(nowMs: number): number {
    if (nowMs - this.#sinceMs >= this.#seconds * 1000) {
      const periods = Math.floor((nowMs - this.#sinceMs) / 1000 / this.#seconds);
      if (periods > MAX_SECONDS) this.#seconds = 1;
      else if (this.#rejected >= CROWD * this.#seconds) this.#seconds = Math.min(MAX_SECONDS, this.#seconds * 2);
      else if (this.#seconds > 1) this.#seconds--;
      this.#sinceMs = nowMs;
      this.#rejected = 0;
    }
    this.#rejected++;
    return this.#seconds;
  }
}
