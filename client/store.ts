// The informer's memory: objects by key, and indexes kept in step. One writer (the reflector), many readers.
import { type KubeObject, keyOf } from '../api/object.ts';
import type { Change } from './reflector.ts';
import { compareResourceVersions } from './resource-version.ts';

/** What happened to one object, for handlers. An object of the same name but another uid is a delete and an add. */
export type Delta<T> =
  | { kind: 'add'; object: T }
  | { kind: 'update'; object: T; old: T }
  | { kind: 'delete'; object: T };

interface Index<T> {
  values: (object: T) => string[];
  buckets: Map<string, Map<string, T>>;
}

const namespaceIndex = 'namespace';

export class Store<T extends KubeObject> {
  #objects = new Map<string, T>();
  #indexes = new Map<string, Index<T>>();

  constructor() {
    this.addIndex(namespaceIndex, (object) => [object.metadata.namespace ?? '']);
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(namespace?: string): T[] {
    return namespace === undefined ? [...this.#objects.values()] : this.byIndex(namespaceIndex, namespace);
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new TypeError(`no index named ${JSON.stringify(name)}`);
    return [...(index.buckets.get(value)?.values() ?? [])];
  }

  /** May be called at any time; a second index of the same name is ignored (informers are shared). */
  addIndex(name: string, values: (object: T) => string[]): void {
    if (this.#indexes.has(name)) return;
    const index: Index<T> = { values, buckets: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) insert(index, key, object);
  }

  /** Takes the change in, synchronously and whole, and tells what it came to; duplicates and stale events are nothing. */
  apply(change: Change<T>): Delta<T>[] {
    switch (change.kind) {
      case 'put':
        return this.#put(change.object);
      case 'remove':
        return this.#remove(change.object);
      case 'replace':
        return this.#replace(change.objects);
    }
  }

  #put(object: T): Delta<T>[] {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old && compareResourceVersions(versionOf(object), versionOf(old)) <= 0) return [];
    this.#set(key, object, old);
    return deltas(object, old);
  }

  #remove(object: T): Delta<T>[] {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (!old || compareResourceVersions(versionOf(object), versionOf(old)) < 0) return [];
    this.#unset(key, old);
    // The last state is what the server sent with the deletion, unless that is another object's.
    return [{ kind: 'delete', object: object.metadata.uid === old.metadata.uid ? object : old }];
  }

  #replace(objects: Iterable<T>): Delta<T>[] {
    const next = new Map<string, T>();
    for (const object of objects) next.set(keyOf(object), object);
    const found: Delta<T>[] = [];
    for (const [key, old] of this.#objects) {
      if (next.has(key)) continue;
      this.#unset(key, old);
      found.push({ kind: 'delete', object: old });
    }
    for (const [key, object] of next) {
      const old = this.#objects.get(key);
      if (old && versionOf(old) === versionOf(object)) continue;
      this.#set(key, object, old);
      found.push(...deltas(object, old));
    }
    return found;
  }

  #set(key: string, object: T, old: T | undefined): void {
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) {
      if (old) remove(index, key, old);
      insert(index, key, object);
    }
  }

  #unset(key: string, old: T): void {
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) remove(index, key, old);
  }
}

const versionOf = (object: KubeObject) => object.metadata.resourceVersion ?? '';

function deltas<T extends KubeObject>(object: T, old: T | undefined): Delta<T>[] {
  if (!old) return [{ kind: 'add', object }];
  if (old.metadata.uid === object.metadata.uid) return [{ kind: 'update', object, old }];
  return [
    { kind: 'delete', object: old },
    { kind: 'add', object },
  ];
}

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    let bucket = index.buckets.get(value);
    if (!bucket) index.buckets.set(value, (bucket = new Map()));
    bucket.set(key, object);
  }
}

function remove<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    const bucket = index.buckets.get(value);
    if (!bucket) continue;
    bucket.delete(key);
    if (bucket.size === 0) index.buckets.delete(value);
  }
}
