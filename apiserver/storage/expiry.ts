// Keys that disappear by themselves: one timer for the nearest, a delete through the store's own commit when it is due.
import type { Clock, Timer } from '../../lib/clock.ts';
import { Heap } from '../../lib/heap.ts';

interface Due {
  key: string;
  revision: number;
  atMs: number;
}

/** Deletions are gathered so that a burst of Events does not set a timer each. */
const GRAIN_MS = 500;

export class Expiry {
  #heap = new Heap<Due>((a, b) => a.atMs < b.atMs);
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #clock: Clock;
  #expire: (key: string, revision: number) => void;

  /** `expire` deletes the key if it is still at that revision. */
  constructor(clock: Clock, expire: (key: string, revision: number) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  /** Due in `inMs`, whatever becomes of the host's clock meanwhile. */
  add(key: string, revision: number, inMs: number): void {
    this.#heap.push({ key, revision, atMs: this.#clock.monotonic() + inMs });
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = Number.NEGATIVE_INFINITY;
  }

  #arm(): void {
    const next = this.#heap.peek();
    if (!next || next.atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    const delayMs = Math.max(0, next.atMs - this.#clock.monotonic());
    const gathered = delayMs > 10 * GRAIN_MS ? delayMs + GRAIN_MS : delayMs;
    this.#timerAtMs = next.atMs;
    this.#timer = this.#clock.after(gathered, () => this.#fire(), { background: true });
  }

  #fire(): void {
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonic();
    for (let due = this.#heap.peek(); due && due.atMs <= nowMs; due = this.#heap.peek()) {
      this.#heap.pop();
      this.#expire(due.key, due.revision);
    }
    this.#arm();
  }
}
