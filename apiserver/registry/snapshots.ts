// The rest of a list that is read in pages. Pages of one list show one revision; keeping the entries (references, not
// copies) of recent lists spares reading that revision from the store again. Bounded in number and in time: what is
// gone is read from the store's history.
import type { Clock } from '../../lib/clock.ts';
import type { CachedObject } from '../cache/port.ts';

const KEPT = 32;
const KEPT_MS = 5 * 60 * 1000;

interface Snapshot {
  items: readonly CachedObject[];
  takenMs: number;
}

export class ListSnapshots {
  #clock: Clock;
  #byKey = new Map<string, Snapshot>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `query` names resource, namespace and selectors; one query at one revision has one result. */
  keep(query: string, revision: number, items: readonly CachedObject[]): void {
    const key = `${revision} ${query}`;
    this.#byKey.delete(key);
    this.#byKey.set(key, { items, takenMs: this.#clock.monotonic() });
    for (const [each, snapshot] of this.#byKey) {
      if (this.#byKey.size <= KEPT && this.#clock.monotonic() - snapshot.takenMs < KEPT_MS) break;
      this.#byKey.delete(each);
    }
  }

  find(query: string, revision: number): readonly CachedObject[] | undefined {
    return this.#byKey.get(`${revision} ${query}`)?.items;
  }
}
