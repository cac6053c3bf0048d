// Keys that need work. Three sets, one invariant each:
//   queue       keys waiting for a worker, in order; each is in `dirty` and not in `processing`
//   dirty       keys that need work; adding a key again while it is here does nothing
//   processing  keys a worker holds; one that becomes dirty meanwhile is queued again by `done`
// So a key is never worked on twice at once, and never forgotten. Unbounded in keys, but a key is held once.
import { type BackoffPolicy, backoffMs } from '../lib/backoff.ts';
import type { Clock, Random, Timer } from '../lib/clock.ts';
import { Heap } from '../lib/heap.ts';
import { QueueMetrics } from './metrics.ts';

export interface WorkQueueOptions {
  clock: Clock;
  random: Random;
  /** Of addRateLimited. Default 5 ms doubling to 60 s. */
  backoff?: BackoffPolicy;
}

interface Delayed<K> {
  key: K;
  dueMs: number;
}

const defaultBackoff: BackoffPolicy = { initialMs: 5, maxMs: 60_000, jitter: 0.1 };

export class WorkQueue<K = string> {
  #clock: Clock;
  #random: Random;
  #backoff: BackoffPolicy;
  #queue: K[] = [];
  #head = 0;
  #dirty = new Set<K>();
  #processing = new Set<K>();
  #failures = new Map<K, number>();
  #delayed = new Map<K, Delayed<K>>();
  #delays = new Heap<Delayed<K>>((a, b) => a.dueMs < b.dueMs);
  #timer: { dueMs: number; timer: Timer } | undefined;
  #waiting: ((key: K | undefined) => void)[] = [];
  #isShutDown = false;
  #metrics: QueueMetrics | undefined;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#backoff = options.backoff ?? defaultBackoff;
  }

  /** Tells the process's metrics of it under this name, from now on. */
  measure(name: string): void {
    this.#metrics ??= new QueueMetrics(name);
  }

  /** Keys waiting for a worker. */
  get length(): number {
    return this.#queue.length - this.#head;
  }

  /** True when no key waits, is worked on or is delayed. */
  get isIdle(): boolean {
    return this.length === 0 && this.#processing.size === 0 && this.#delayed.size === 0;
  }

  /** The key needs work now. */
  add(key: K): void {
    if (this.#isShutDown || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    if (!this.#processing.has(key)) this.#enqueue(key);
  }

  /** The key needs work in `delayMs`; of several delays the earliest holds. */
  addAfter(key: K, delayMs: number): void {
    if (this.#isShutDown) return;
    if (delayMs <= 0) return this.add(key);
    const dueMs = this.#clock.monotonic() + delayMs;
    const present = this.#delayed.get(key);
    if (present && present.dueMs <= dueMs) return;
    if (present) this.#delays.delete(present);
    const entry = { key, dueMs };
    this.#delayed.set(key, entry);
    this.#delays.push(entry);
    this.#armTimer();
  }

  /** The key failed: later, with exponential back-off until `forget`; `maxMs` caps this one delay. */
  addRateLimited(key: K, maxMs = Number.POSITIVE_INFINITY): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#metrics?.retried();
    this.#failures.set(key, failures);
    this.addAfter(key, Math.min(maxMs, backoffMs(this.#backoff, failures, this.#random)));
  }

  /** The key succeeded: its back-off starts anew. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  failures(key: K): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, when there is one; undefined once shut down. Each key got must be given back with `done`. */
  get(): Promise<K | undefined> {
    if (this.#isShutDown) return Promise.resolve(undefined);
    if (this.length > 0) return Promise.resolve(this.#take());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  done(key: K): void {
    this.#processing.delete(key);
    this.#metrics?.done(key);
    if (this.#dirty.has(key) && !this.#isShutDown) this.#enqueue(key);
  }

  /** Drops everything; waiting and later `get`s resolve undefined. What is being worked on is its worker's to end. */
  shutDown(): void {
    this.#isShutDown = true;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    this.#queue = [];
    this.#head = 0;
    this.#metrics?.cleared();
    this.#dirty.clear();
    this.#delayed.clear();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  #enqueue(key: K): void {
    this.#metrics?.added(key);
    const worker = this.#waiting.shift();
    if (!worker) {
      this.#queue.push(key);
      return;
    }
    this.#dirty.delete(key);
    this.#processing.add(key);
    this.#metrics?.taken(key);
    worker(key);
  }

  #take(): K {
    const key = this.#queue[this.#head++] as K;
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    this.#dirty.delete(key);
    this.#processing.add(key);
    this.#metrics?.taken(key);
    return key;
  }

  /** One timer, for the earliest delay. */
  #armTimer(): void {
    const earliest = this.#delays.peek();
    if (!earliest) return;
    if (this.#timer) {
      if (this.#timer.dueMs <= earliest.dueMs) return;
      this.#timer.timer.cancel();
    }
    const timer = this.#clock.after(earliest.dueMs - this.#clock.monotonic(), () => this.#release());
    this.#timer = { dueMs: earliest.dueMs, timer };
  }

  #release(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (let next = this.#delays.peek(); next && next.dueMs <= nowMs; next = this.#delays.peek()) {
      this.#delays.delete(next);
      this.#delayed.delete(next.key);
      this.add(next.key);
    }
    this.#armTimer();
  }
}
