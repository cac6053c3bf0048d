// Which fields of an object a write has set or removed.
import { deepEqual } from '../equality.ts';
import { EMPTY, fieldKey, type FieldSet, LEAF, node } from './field-set.ts';
import { isMap, itemKey, type Json, type ListShape, type Shape } from './shape.ts';

export interface Comparison {
  /** Added, or there before with another value. */
  changed: FieldSet;
  removed: FieldSet;
}

const SAME: Comparison = { changed: EMPTY, removed: EMPTY };
const CHANGED: Comparison = { changed: LEAF, removed: EMPTY };

/** `skip` names fields of the object that do not count. Null and absence are the same. */
export function compareObjects(shape: Shape, old: Json, now: Json, skip?: (field: string) => boolean): Comparison {
  return compareMembers(shape, old, now, skip);
}

function compare(shape: Shape, old: unknown, now: unknown): Comparison {
  if (old === now) return SAME;
  switch (shape.kind) {
    case 'scalar':
      return deepEqual(old, now) ? SAME : CHANGED;
    case 'list':
      if (shape.type === 'atomic' || !Array.isArray(old) || !Array.isArray(now)) break;
      return compareLists(shape, old, now);
    case 'deduced':
      if (!isMap(old) || !isMap(now)) break;
      return compareMembers(shape, old, now);
    default:
      if (shape.atomic || !isMap(old) || !isMap(now)) break;
      return compareMembers(shape, old, now);
  }
  return deepEqual(old, now) ? SAME : CHANGED;
}

const isAbsent = (value: unknown) => value === undefined || value === null;

class Result {
  changed: Map<string, FieldSet> | undefined;
  removed: Map<string, FieldSet> | undefined;

  add(key: string, below: Comparison): void {
    if (below === SAME) return;
    if (below.changed !== EMPTY) (this.changed ??= new Map()).set(key, below.changed);
    if (below.removed !== EMPTY) (this.removed ??= new Map()).set(key, below.removed);
  }

  end(): Comparison {
    if (!this.changed && !this.removed) return SAME;
    return { changed: node(false, this.changed), removed: node(false, this.removed) };
  }
}

function childShape(shape: Shape, name: string): Shape {
  if (shape.kind === 'struct') return shape.field(name) ?? { kind: 'deduced' };
  return shape.kind === 'map' ? shape.value() : shape;
}

function compareMembers(shape: Shape, old: Json, now: Json, skip?: (field: string) => boolean): Comparison {
  const result = new Result();
  for (const name in now) {
    const after = now[name];
    if (isAbsent(after) || skip?.(name)) continue;
    const before = Object.hasOwn(old, name) ? old[name] : undefined;
    if (before === after) continue;
    const child = childShape(shape, name);
    if (!isAbsent(before)) result.add(fieldKey(name), compare(child, before, after));
    else result.add(fieldKey(name), { changed: everything(child, after), removed: EMPTY });
  }
  for (const name in old) {
    const before = old[name];
    if (isAbsent(before) || (Object.hasOwn(now, name) && !isAbsent(now[name])) || skip?.(name)) continue;
    result.add(fieldKey(name), { changed: EMPTY, removed: everything(childShape(shape, name), before) });
  }
  return result.end();
}

function compareLists(shape: ListShape, old: readonly unknown[], now: readonly unknown[]): Comparison {
  const item = shape.item();
  if (isAligned(shape, old, now)) {
    const result = new Result();
    let isSame = true;
    for (let i = 0; i < now.length && isSame; i++) isSame = compare(item, old[i], now[i]) === SAME;
    if (isSame) return SAME;
    const keys = now.map((each) => itemKey(shape, each));
    if (keys.every((each) => 'key' in each) && new Set(keys.map((each) => each.key)).size === keys.length) {
      keys.forEach((each, i) => {
        result.add((each as { key: string }).key, compare(item, old[i], now[i]));
      });
      return result.end();
    }
  }
  const before = index(shape, old);
  const after = index(shape, now);
  // Items that cannot be told apart are one value.
  if (!before || !after) return deepEqual(old, now) ? SAME : CHANGED;
  const result = new Result();
  for (const [key, items] of after) {
    const were = before.get(key);
    if (were?.length === 1 && items.length === 1) result.add(key, compare(item, were[0], items[0]));
    else if (!were) result.add(key, { changed: items.length > 1 ? LEAF : everything(item, items[0]), removed: EMPTY });
    else result.add(key, deepEqual(were, items) ? SAME : CHANGED);
  }
  for (const [key, items] of before) {
    if (after.has(key)) continue;
    result.add(key, { changed: EMPTY, removed: items.length > 1 ? LEAF : everything(item, items[0]) });
  }
  return result.end();
}

/** Both have the same items, by their keys, at the same places. */
function isAligned(shape: ListShape, old: readonly unknown[], now: readonly unknown[]): boolean {
  if (old.length !== now.length) return false;
  for (let i = 0; i < old.length; i++) {
    const before = old[i];
    const after = now[i];
    if (before === after) continue;
    if (shape.type === 'set' || !isMap(before) || !isMap(after)) return false;
    for (const { name } of shape.keys) if (before[name] !== after[name]) return false;
  }
  return true;
}

/** Items by key, more than one where keys are doubled; undefined when some item has no key. */
export function index(shape: ListShape, list: readonly unknown[]): Map<string, unknown[]> | undefined {
  const found = new Map<string, unknown[]>();
  for (const each of list) {
    const named = itemKey(shape, each);
    if ('error' in named) return undefined;
    const items = found.get(named.key);
    if (items) items.push(each);
    else found.set(named.key, [each]);
  }
  return found;
}

/** `value` and all that is in it. */
function everything(shape: Shape, value: unknown): FieldSet {
  if (shape.kind === 'scalar') return LEAF;
  if (shape.kind === 'list') {
    if (shape.type === 'atomic' || !Array.isArray(value) || value.length === 0) return LEAF;
    const items = index(shape, value);
    if (!items) return LEAF;
    const item = shape.item();
    const children = new Map<string, FieldSet>();
    for (const [key, each] of items) children.set(key, each.length > 1 ? LEAF : everything(item, each[0]));
    return node(true, children);
  }
  if ((shape.kind !== 'deduced' && shape.atomic) || !isMap(value)) return LEAF;
  let children: Map<string, FieldSet> | undefined;
  for (const name in value) {
    if (isAbsent(value[name])) continue;
    (children ??= new Map()).set(fieldKey(name), everything(childShape(shape, name), value[name]));
  }
  return node(true, children);
}
