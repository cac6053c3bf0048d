// The open watches of a cache, grouped by what they can see, so that an event costs only those who may want it:
//
//   a                 everything            k:/registry/pods/default/web   one object
//   n:default         a namespace           i:spec.nodeName=node-1         an index value
import type { Change } from './change.ts';
import type { CacheEvent } from './port.ts';
import type { Watcher } from './watcher.ts';

export class Watchers {
  #groups = new Map<string, Set<Watcher>>();
  #namespaceOf: (key: string) => string | undefined;
  #indexKeys: (change: Change) => string[];
  #size = 0;
  /** Groups by an index value, and the watches in them. */
  #indexGroups = 0;
  #indexed = 0;

  /** `indexKeys`: `field=value` of all indexes before and after the change. */
  constructor(namespaceOf: (key: string) => string | undefined, indexKeys: (change: Change) => string[]) {
    this.#namespaceOf = namespaceOf;
    this.#indexKeys = indexKeys;
  }

  get size(): number {
    return this.#size;
  }

  add(watcher: Watcher): void {
    const { group } = watcher.options;
    const set = this.#groups.get(group);
    if (set) set.add(watcher);
    else this.#groups.set(group, new Set([watcher]));
    this.#size++;
    if (group.startsWith('i:')) {
      this.#indexed++;
      if (!set) this.#indexGroups++;
    }
  }

  delete(watcher: Watcher): void {
    const set = this.#groups.get(watcher.options.group);
    if (!set?.delete(watcher)) return;
    this.#size--;
    const { group } = watcher.options;
    if (set.size === 0) this.#groups.delete(group);
    if (group.startsWith('i:')) {
      this.#indexed--;
      if (set.size === 0) this.#indexGroups--;
    }
  }

  /** How many would see a change there; of those by index as many as see a value on average. */
  interested(namespace: string | undefined, key: string | undefined): number {
    let count = this.#groups.get('a')?.size ?? 0;
    if (namespace !== undefined) count += this.#groups.get(`n:${namespace}`)?.size ?? 0;
    if (key !== undefined) count += this.#groups.get(`k:${key}`)?.size ?? 0;
    if (this.#indexGroups > 0) count += Math.ceil(this.#indexed / this.#indexGroups);
    return count;
  }

  *[Symbol.iterator](): Iterator<Watcher> {
    for (const set of this.#groups.values()) yield* set;
  }

  publish(changes: readonly Change[]): void {
    if (this.#size === 0 || changes.length === 0) return;
    const all = this.#groups.get('a');
    if (all) deliver(all, changes);
    if (this.#groups.size === (all ? 1 : 0)) return;
    const byGroup = new Map<Set<Watcher>, Change[]>();
    for (const change of changes) {
      const { key } = change.entry;
      const namespace = this.#namespaceOf(key);
      if (namespace !== undefined) this.#collect(byGroup, `n:${namespace}`, change);
      this.#collect(byGroup, `k:${key}`, change);
      for (const index of this.#indexKeys(change)) this.#collect(byGroup, `i:${index}`, change);
    }
    for (const [set, some] of byGroup) deliver(set, some);
  }

  #collect(byGroup: Map<Set<Watcher>, Change[]>, group: string, change: Change): void {
    const set = this.#groups.get(group);
    if (!set) return;
    const changes = byGroup.get(set);
    if (!changes) byGroup.set(set, [change]);
    else if (changes.at(-1) !== change) changes.push(change);
  }
}

function deliver(set: Set<Watcher>, changes: readonly Change[]): void {
  let shared: CacheEvent[] | undefined;
  for (const watcher of set) {
    if (!watcher.options.accepts) shared ??= changes.map((change) => change.event);
    watcher.publish(changes, shared ?? []);
  }
}
