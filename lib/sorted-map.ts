// A map with string keys kept in UTF-8 byte order: a list of sorted chunks beside a hash map. Built for prefix scans of tens
// of thousands of keys; insertion is a binary search and a move of at most one chunk.

const CHUNK = 512;
const UNORDERED = /[\uD800-\uFFFF]/;

interface Chunk<V> {
  keys: string[];
  values: V[];
}

/** Compares as UTF-8 bytes would; JavaScript's own order differs once surrogates meet U+E000 and above. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  if (UNORDERED.test(a) && UNORDERED.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

export class SortedMap<V> {
  #chunks: Chunk<V>[] = [];
  #byKey = new Map<string, V>();
  /** True once a key needs the slow comparison. */
  #slow = false;

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): V | undefined {
    return this.#byKey.get(key);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  set(key: string, value: V): void {
    const isNew = !this.#byKey.has(key);
    this.#byKey.set(key, value);
    if (!this.#slow && UNORDERED.test(key)) this.#slow = true;
    if (this.#chunks.length === 0) {
      this.#chunks.push({ keys: [key], values: [value] });
      return;
    }
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at] as Chunk<V>;
    const index = this.#lowerBound(chunk.keys, key);
    if (!isNew) {
      chunk.values[index] = value;
      return;
    }
    if (chunk.keys.length < CHUNK) {
      chunk.keys.splice(index, 0, key);
      chunk.values.splice(index, 0, value);
      return;
    }
    // A full chunk: appending at the very end (a sorted load) opens a new one, anything else splits it in halves.
    const atEnd = index === chunk.keys.length;
    const cut = atEnd ? index : CHUNK >> 1;
    const tail: Chunk<V> = { keys: chunk.keys.splice(cut), values: chunk.values.splice(cut) };
    this.#chunks.splice(at + 1, 0, tail);
    const target = index >= cut ? tail : chunk;
    const into = index >= cut ? index - cut : index;
    target.keys.splice(into, 0, key);
    target.values.splice(into, 0, value);
  }

  delete(key: string): boolean {
    if (!this.#byKey.delete(key)) return false;
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at] as Chunk<V>;
    const index = this.#lowerBound(chunk.keys, key);
    chunk.keys.splice(index, 1);
    chunk.values.splice(index, 1);
    if (chunk.keys.length === 0) this.#chunks.splice(at, 1);
    return true;
  }

  clear(): void {
    this.#chunks = [];
    this.#byKey.clear();
    this.#slow = false;
  }

  /** Visits keys that start with `prefix` in order, from `start` on (inclusive); `visit` returns false to stop. */
  scan(prefix: string, visit: (value: V, key: string) => boolean | undefined, start = prefix): void {
    const from = compareKeys(start, prefix) > 0 ? start : prefix;
    if (this.#chunks.length === 0) return;
    let at = this.#chunkOf(from);
    let index = this.#lowerBound((this.#chunks[at] as Chunk<V>).keys, from);
    for (; at < this.#chunks.length; at++, index = 0) {
      const { keys, values } = this.#chunks[at] as Chunk<V>;
      // Keys with the prefix are neighbours: when the chunk's last has it, all from here on do.
      const isWhole = keys.at(-1)?.startsWith(prefix);
      for (; index < keys.length; index++) {
        const key = keys[index] as string;
        if (!isWhole && !key.startsWith(prefix)) return;
        if (visit(values[index] as V, key) === false) return;
      }
    }
  }

  /** The values under `prefix` in key order. */
  valuesOf(prefix: string): V[] {
    const found: V[] = [];
    this.scan(prefix, (value) => {
      found.push(value);
      return undefined;
    });
    return found;
  }

  #before(a: string, b: string): boolean {
    return this.#slow ? compareKeys(a, b) < 0 : a < b;
  }

  /** Index of the chunk that holds `key` or would. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const first = (this.#chunks[middle] as Chunk<V>).keys[0] as string;
      if (this.#before(key, first)) high = middle - 1;
      else low = middle;
    }
    return low;
  }

  #lowerBound(keys: string[], key: string): number {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#before(keys[middle] as string, key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
