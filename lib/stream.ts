// A bounded, single-consumer stream: push on one side, `for await` on the other.
// Overflow never blocks the producer and never drops silently: the stream ends with an overflow error, so that the
// reader relists.

export class StreamOverflowError extends Error {
  constructor(limit: number) {
    super(`stream overflow: the reader fell more than ${limit} items behind`);
    this.name = 'StreamOverflowError';
  }
}

export interface StreamOptions {
  /** Items that may wait for the reader; one more ends the stream with StreamOverflowError. */
  limit: number;
  /** Called once when the reader leaves, the stream ends or fails. */
  onClose?: () => void;
}

type State = { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown };

export class BoundedStream<T> implements AsyncIterableIterator<T> {
  #items: T[] = [];
  #head = 0;
  #state: State = { kind: 'open' };
  #waiting: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void } | undefined;
  #options: StreamOptions;
  #closed = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  /** Items pushed and not yet read. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Adds an item; returns false when the stream is no longer open (the item is not delivered). */
  push(item: T): boolean {
    if (this.#state.kind !== 'open') return false;
    const waiting = this.#waiting;
    if (waiting) {
      this.#waiting = undefined;
      waiting.resolve({ value: item, done: false });
      return true;
    }
    if (this.size >= this.#options.limit) {
      this.fail(new StreamOverflowError(this.#options.limit));
      return false;
    }
    this.#items.push(item);
    return true;
  }

  /** Ends the stream; items already pushed are still delivered. */
  end(): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'ended' };
    this.#waiting?.resolve({ value: undefined, done: true });
    this.#waiting = undefined;
    this.#close();
  }

  /** Fails the stream: waiting items are discarded and the reader sees `error`. */
  fail(error: unknown): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'failed', error };
    this.#items = [];
    this.#head = 0;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#close();
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#head < this.#items.length) {
      const value = this.#items[this.#head] as T;
      this.#items[this.#head++] = undefined as T;
      if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      return Promise.resolve({ value, done: false });
    }
    if (this.#state.kind === 'failed') return Promise.reject(this.#state.error);
    if (this.#state.kind === 'ended') return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.end();
    this.#items = [];
    this.#head = 0;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose?.();
  }
}
