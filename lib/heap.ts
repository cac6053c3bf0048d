// A binary min-heap with removal by identity; the order is the comparator's.

export class Heap<T> {
  #items: T[] = [];
  #index = new Map<T, number>();
  #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return this.#index.has(item);
  }

  push(item: T): void {
    this.#items.push(item);
    this.#index.set(item, this.#items.length - 1);
    this.#up(this.#items.length - 1);
  }

  pop(): T | undefined {
    const top = this.#items[0];
    if (top !== undefined) this.delete(top);
    return top;
  }

  delete(item: T): boolean {
    const at = this.#index.get(item);
    if (at === undefined) return false;
    this.#index.delete(item);
    const last = this.#items.pop() as T;
    if (last !== item) {
      this.#items[at] = last;
      this.#index.set(last, at);
      this.#up(at);
      this.#down(this.#index.get(last) as number);
    }
    return true;
  }

  #swap(a: number, b: number): void {
    const x = this.#items[a] as T;
    const y = this.#items[b] as T;
    this.#items[a] = y;
    this.#items[b] = x;
    this.#index.set(y, a);
    this.#index.set(x, b);
  }

  #up(at: number): void {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(this.#items[at] as T, this.#items[parent] as T)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(at: number): void {
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#items.length && this.#before(this.#items[child] as T, this.#items[least] as T)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }
}
