// What an applied configuration says: is it well-formed, which fields are its own, and what an object becomes with it.
import { deepClone, setOwn } from '../equality.ts';
import { EMPTY, type FieldSet, isEmpty, keyText, LEAF, node, union } from './field-set.ts';
import { index } from './compare.ts';
import { isMap, itemKey, type Json, type ListShape, type Shape } from './shape.ts';

const isAbsent = (value: unknown) => value === undefined || value === null;
const UNKNOWN: Shape = { kind: 'deduced' };

const isAtomic = (shape: Shape) =>
  shape.kind === 'list'
    ? shape.type === 'atomic'
    : shape.kind === 'struct' || shape.kind === 'map'
      ? shape.atomic
      : false;

function childShape(shape: Shape, name: string): Shape | undefined {
  if (shape.kind === 'struct') return shape.field(name);
  return shape.kind === 'map' ? shape.value() : shape;
}

/** Everything that does not fit the schema, in upstream's words; empty when all is well. */
export function validateApplied(shape: Shape, value: unknown): string[] {
  const found: string[] = [];
  const report = (path: string, message: string) => found.push(path === '' ? message : `${path}: ${message}`);
  const walk = (at: Shape, each: unknown, path: string): void => {
    if (isAbsent(each) || at.kind === 'deduced') return;
    switch (at.kind) {
      case 'scalar': {
        const message = scalarError(at.type, each);
        if (message) report(path, message);
        return;
      }
      case 'list': {
        if (!Array.isArray(each)) return void report(path, `expected list, got ${goValue(each)}`);
        const item = at.item();
        const seen = new Set<string>();
        each.forEach((member: unknown, i) => {
          let step = `[${i}]`;
          if (at.type !== 'atomic') {
            const named = itemKey(at, member);
            if ('error' in named) return void report(path, `element ${i}: ${named.error}`);
            step = keyText(named.key);
            if (seen.has(named.key)) report(path, `duplicate entries for key ${step}`);
            seen.add(named.key);
          }
          walk(item, member, path + step);
        });
        return;
      }
      default: {
        if (!isMap(each)) return void report(path, `expected map, got ${goValue(each)}`);
        for (const name of Object.keys(each)) {
          const child = childShape(at, name);
          // Upstream says no more of a struct after its first unknown field.
          if (!child) return void report(`${path}.${name}`, 'field not declared in schema');
          walk(child, each[name], `${path}.${name}`);
        }
      }
    }
  };
  walk(shape, value, '');
  return found;
}

function scalarError(type: 'string' | 'numeric' | 'boolean' | 'untyped', value: unknown): string | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? undefined : `expected string, got ${goValue(value)}`;
    case 'numeric':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goTypeOf(value)}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got ${goValue(value)}`;
    case 'untyped':
      return typeof value === 'object' ? `expected any scalar, got ${goValue(value)}` : undefined;
  }
}

function goTypeOf(value: unknown): string {
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'object') return 'map[string]interface {}';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

const goValue = (value: unknown) => `&value.valueUnstructured{Value:${goText(value)}}`;

function goText(value: unknown): string {
  if (Array.isArray(value)) return `[]interface {}{${value.map(goText).join(', ')}}`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${goText((value as Json)[name])}`);
    return `map[string]interface {}{${members.join(', ')}}`;
  }
  return JSON.stringify(value) ?? 'interface {}(nil)';
}

/** The fields that a configuration sets: leaves, items, entries of maps, and what is empty or null. */
export function appliedFields(shape: Shape, value: unknown): FieldSet {
  if (shape.kind === 'scalar' || isAtomic(shape)) return LEAF;
  if (Array.isArray(value)) {
    if (shape.kind !== 'list') return LEAF;
    const item = shape.item();
    const children = new Map<string, FieldSet>();
    for (const [key, items] of index(shape, value) ?? []) {
      const below = items.length > 1 ? EMPTY : appliedFields(item, items[0]);
      children.set(key, node(true, below.children));
    }
    return node(false, children);
  }
  if (!isMap(value)) return isAbsent(value) ? EMPTY : LEAF;
  const children = new Map<string, FieldSet>();
  for (const name of Object.keys(value)) {
    const each = value[name];
    const child = childShape(shape, name);
    const below = appliedFields(child ?? UNKNOWN, each);
    const isBare = isAbsent(each) || (isMap(each) && Object.keys(each).length === 0);
    const full = isBare || shape.kind !== 'struct' ? node(true, below.children) : below;
    if (!isEmpty(full)) children.set(`f:${name}`, full);
  }
  return node(false, children);
}

/** Paths of lists, maps and structs in a configuration that are replaced as a whole. */
export function atomicParts(shape: Shape, value: unknown, path = ''): string[] {
  const own = isAtomic(shape) && typeof value === 'object' && value !== null ? [path] : [];
  if (Array.isArray(value)) {
    return shape.kind === 'list'
      ? [...own, ...value.flatMap((each, at) => atomicParts(shape.item(), each, `${path}[${at}]`))]
      : own;
  }
  if (!isMap(value)) return own;
  return [
    ...own,
    ...Object.entries(value).flatMap(([name, each]) => {
      const child = shape.kind === 'struct' ? shape.field(name) : undefined;
      return child ? atomicParts(child, each, `${path}.${name}`) : [];
    }),
  ];
}

/** `base` with what `config` says laid over it; neither is touched, the result is the caller's own. */
export function mergeApplied(shape: Shape, base: unknown, config: unknown): unknown {
  if (config === undefined) return deepClone(base);
  if (shape.kind === 'scalar' || isAtomic(shape)) return deepClone(config);
  if (shape.kind === 'list') {
    if (!Array.isArray(config)) return config === null ? deepClone(base) : deepClone(config);
    return Array.isArray(base) ? mergeLists(shape, base, config) : deepClone(config);
  }
  if (!isMap(config)) {
    // Null takes nothing away from what is granular.
    if (config === null && isMap(base) && Object.keys(base).length > 0) return deepClone(base);
    return deepClone(config);
  }
  const from = isMap(base) ? base : {};
  const merged: Json = {};
  for (const name of new Set([...Object.keys(from), ...Object.keys(config)])) {
    const before = Object.hasOwn(from, name) ? from[name] : undefined;
    const after = Object.hasOwn(config, name) ? config[name] : undefined;
    const both = mergeApplied(childShape(shape, name) ?? UNKNOWN, before, after);
    if (!isAbsent(both)) setOwn(merged, name, both);
  }
  return merged;
}

/** The configuration's order holds among its items; the others stay where they are between them. */
function mergeLists(shape: ListShape, base: readonly unknown[], config: readonly unknown[]): unknown[] {
  const theirs = index(shape, base);
  const ours = index(shape, config);
  if (!theirs || !ours) return deepClone(config) as unknown[];
  const item = shape.item();
  const keyOf = (each: unknown) => (itemKey(shape, each) as { key: string }).key;
  const left = base.map(keyOf);
  const right = config.map(keyOf);
  const shared = right.filter((each) => theirs.has(each));
  let nextShared = 0;
  const merged = new Set<string>();
  const out: unknown[] = [];
  const take = (key: string) => {
    merged.add(key);
    const before = theirs.get(key);
    out.push(mergeApplied(item, before?.length === 1 ? before[0] : undefined, ours.get(key)?.[0]));
    if (shared[nextShared] === key) nextShared++;
  };
  for (let l = 0, r = 0; l < left.length || r < right.length; ) {
    const key = left[l];
    if (key !== undefined && r < right.length) {
      if (key === right[r]) {
        take(key);
        l++;
        r++;
        continue;
      }
      if (ours.has(key) && shared[nextShared] !== undefined && shared[nextShared] !== key) {
        l++;
        continue;
      }
    }
    if (key !== undefined) {
      if (!ours.has(key)) {
        out.push(deepClone(base[l]));
        l++;
        continue;
      }
      if (merged.has(key)) l++;
    }
    if (r < right.length) {
      take(right[r] as string);
      r++;
    }
  }
  return out;
}

/** `value` without the fields of `set`, and without what they leave empty. */
export function withoutFields(shape: Shape, value: unknown, set: FieldSet): unknown {
  if (!set.children || shape.kind === 'scalar' || isAtomic(shape)) return value;
  if (Array.isArray(value)) {
    if (shape.kind !== 'list' || value.length === 0) return value;
    const item = shape.item();
    const left: unknown[] = [];
    for (const each of value) {
      const named = itemKey(shape, each);
      const below = 'key' in named ? set.children.get(named.key) : undefined;
      if (below?.member) continue;
      left.push(below ? (withoutFields(item, each, below) ?? each) : each);
    }
    return left.length > 0 ? left : undefined;
  }
  if (!isMap(value) || Object.keys(value).length === 0) return value;
  const left: Json = {};
  for (const name of Object.keys(value)) {
    const below = set.children.get(`f:${name}`);
    if (below?.member) continue;
    const each = below ? withoutFields(childShape(shape, name) ?? UNKNOWN, value[name], below) : value[name];
    if (each !== undefined) setOwn(left, name, each);
  }
  return Object.keys(left).length > 0 ? left : undefined;
}

/** The set with every struct field that leads to one of its members. */
export function withNamedFields(shape: Shape, set: FieldSet): FieldSet {
  if (!set.children) return set;
  const children = new Map<string, FieldSet>();
  for (const [key, child] of set.children) {
    const name = key.startsWith('f:') ? key.slice(2) : undefined;
    const below =
      shape.kind === 'list' ? shape.item() : name === undefined ? UNKNOWN : (childShape(shape, name) ?? UNKNOWN);
    let full = withNamedFields(below, child);
    if (name !== undefined && shape.kind === 'struct' && shape.field(name) && !full.member) full = union(full, LEAF);
    children.set(key, full);
  }
  return node(set.member, children);
}
