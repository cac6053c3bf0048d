// Sets of fields as a tree, and their JSON (FieldsV1): `f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`, and `.` for the node itself.
// Trees are immutable and share nodes; an operation that changes nothing returns the very tree it was given.
import { setOwn } from '../equality.ts';

export interface FieldSet {
  /** The path that leads here is in the set. */
  readonly member: boolean;
  /** By the key as FieldsV1 writes it; no child is empty. */
  readonly children: ReadonlyMap<string, FieldSet> | undefined;
  /** Its FieldsV1, once that was made or read. */
  json?: Record<string, unknown>;
}

export const EMPTY: FieldSet = { member: false, children: undefined };
export const LEAF: FieldSet = { member: true, children: undefined };

export const isEmpty = (set: FieldSet): boolean => !set.member && set.children === undefined;

/** A tree of these children; a map without entries is none. */
export function node(member: boolean, children: ReadonlyMap<string, FieldSet> | undefined): FieldSet {
  if (children !== undefined && children.size > 0) return { member, children };
  return member ? LEAF : EMPTY;
}

/** `union(a, b)` is `a` itself when it has all of `b`. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmpty(b)) return a;
  if (isEmpty(a)) return b;
  let children: Map<string, FieldSet> | undefined;
  if (b.children) {
    for (const [key, theirs] of b.children) {
      const ours = a.children?.get(key);
      const both = ours === undefined ? theirs : union(ours, theirs);
      if (both === ours) continue;
      children ??= new Map(a.children);
      children.set(key, both);
    }
  }
  if (children === undefined && (a.member || !b.member)) return a;
  return node(a.member || b.member, children ?? a.children);
}

/** What is in `a` and not in `b`; `a` itself when they share nothing. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return EMPTY;
  let children: Map<string, FieldSet> | undefined;
  if (a.children && b.children) {
    for (const [key, theirs] of b.children) {
      const ours = a.children.get(key);
      if (ours === undefined) continue;
      const left = difference(ours, theirs);
      if (left === ours) continue;
      children ??= new Map(a.children);
      if (isEmpty(left)) children.delete(key);
      else children.set(key, left);
    }
  }
  const member = a.member && !b.member;
  if (children === undefined && member === a.member) return a;
  return node(member, children ?? a.children);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  let children: Map<string, FieldSet> | undefined;
  if (a.children && b.children) {
    const [small, large] = a.children.size < b.children.size ? [a.children, b.children] : [b.children, a.children];
    for (const [key, one] of small) {
      const other = large.get(key);
      if (other === undefined) continue;
      const both = intersection(one, other);
      if (!isEmpty(both)) (children ??= new Map()).set(key, both);
    }
  }
  return node(a.member && b.member, children);
}

export function equals(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  if (a.member !== b.member || a.children?.size !== b.children?.size) return false;
  for (const [key, one] of a.children ?? []) {
    const other = b.children?.get(key);
    if (other === undefined || !equals(one, other)) return false;
  }
  return true;
}

/** The tree without the children of the root that `keep` refuses. */
export function filterTop(set: FieldSet, keep: (key: string) => boolean): FieldSet {
  if (!set.children || [...set.children.keys()].every(keep)) return set;
  return node(set.member, new Map([...set.children].filter(([key]) => keep(key))));
}

/** Fields that nobody owns: the head and what the server fills. */
const UNOWNED: FieldSet = {
  member: false,
  children: new Map([
    ['f:apiVersion', LEAF],
    ['f:kind', LEAF],
    [
      'f:metadata',
      {
        member: true,
        children: new Map(
          [
            'name',
            'namespace',
            'creationTimestamp',
            'selfLink',
            'uid',
            'clusterName',
            'generation',
            'managedFields',
            'resourceVersion',
          ].map((each) => [`f:${each}`, LEAF]),
        ),
      },
    ],
  ]),
};

export const stripUnowned = (set: FieldSet): FieldSet => difference(set, UNOWNED);

/** Every path of the set, in the order of FieldsV1, as upstream prints paths: `.spec.ports[port=80,protocol="TCP"]`. */
export function paths(set: FieldSet): string[] {
  const found: string[] = [];
  const walk = (at: FieldSet, prefix: string) => {
    if (at.member && prefix !== '') found.push(prefix);
    for (const key of sortedKeys(at)) walk(at.children?.get(key) as FieldSet, prefix + keyText(key));
  };
  walk(set, '');
  return found;
}

/** One step of a path, as upstream prints it. */
export function keyText(key: string): string {
  const rest = key.slice(2);
  switch (key[0]) {
    case 'f':
      return `.${rest}`;
    case 'k': {
      const fields = JSON.parse(rest) as Record<string, unknown>;
      return `[${Object.entries(fields)
        .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
        .join(',')}]`;
    }
    case 'v':
      return `[=${rest}]`;
    default:
      return `[${rest}]`;
  }
}

const RANKS: Record<string, number> = { f: 0, k: 1, v: 2, i: 3 };

/** Fields first, then keys, values and indexes, each by their own order. */
export function compareKeys(a: string, b: string): number {
  const kind = (RANKS[a[0] as string] as number) - (RANKS[b[0] as string] as number);
  if (kind !== 0) return kind;
  const x = a.slice(2);
  const y = b.slice(2);
  switch (a[0]) {
    case 'f':
      return x < y ? -1 : x > y ? 1 : 0;
    case 'i':
      return Number(x) - Number(y);
    default:
      return compareValues(JSON.parse(x), JSON.parse(y));
  }
}

function compareValues(a: unknown, b: unknown): number {
  const rank = (value: unknown) =>
    typeof value === 'number' ? 0 : typeof value === 'string' ? 1 : typeof value === 'boolean' ? 2 : 3;
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (typeof a !== 'object' || a === null) {
    return (a as string) < (b as string) ? -1 : (a as string) > (b as string) ? 1 : 0;
  }
  const x = Object.entries(a);
  const y = Object.entries(b as object);
  for (let i = 0; i < x.length && i < y.length; i++) {
    const [name, value] = x[i] as [string, unknown];
    const [otherName, otherValue] = y[i] as [string, unknown];
    if (name !== otherName) return name < otherName ? -1 : 1;
    const order = compareValues(value, otherValue);
    if (order !== 0) return order;
  }
  return x.length - y.length;
}

function sortedKeys(set: FieldSet): string[] {
  if (!set.children) return [];
  const keys = [...set.children.keys()];
  if (keys.length < 2) return keys;
  // Nearly always fields alone, whose order is the strings'.
  for (const each of keys) if (each.charCodeAt(0) !== 0x66) return keys.sort(compareKeys);
  return keys.sort();
}

type Fields = Record<string, unknown>;

// What was read or made lately, in two generations: a tree is several times the size of its JSON, and the objects of a
// whole cluster must not all keep theirs.
const GENERATION = 500;
/** Fields of all trees of a generation: what one client writes must not take the memory of all. */
const GENERATION_FIELDS = 100_000;
let young = new Map<object, FieldSet>();
let older: ReadonlyMap<object, FieldSet> = new Map();

let youngFields = 0;
/** Counts the fields of trees as they are walked. */
let walked = 0;

function remember(fields: Fields, set: FieldSet, size: number): void {
  if (size > GENERATION_FIELDS / 10) return;
  if (young.size >= GENERATION || youngFields >= GENERATION_FIELDS) {
    older = young;
    young = new Map();
    youngFields = 0;
  }
  young.set(fields, set);
  youngFields += size;
}

/** A member with nothing below. */
const NOTHING: Fields = Object.freeze({});

/** The JSON of a set; the same object for the same tree: never mutate it. */
export function encodeFields(set: FieldSet): Fields {
  if (set.json) return set.json;
  const before = walked;
  const fields = encodeNode(set, true);
  if (isEmpty(set)) return fields;
  set.json = fields;
  remember(fields, set, walked - before);
  return fields;
}

function encodeNode(set: FieldSet, isRoot: boolean): Fields {
  walked++;
  if (!set.children) return NOTHING;
  const fields: Fields = {};
  if (set.member && !isRoot) fields['.'] = NOTHING;
  for (const key of sortedKeys(set)) setOwn(fields, key, encodeNode(set.children.get(key) as FieldSet, false));
  return fields;
}

export class FieldsError extends Error {}

/** Reads FieldsV1; remembers what an object was read as, so it must not be mutated later. Throws FieldsError. */
export function decodeFields(fields: unknown): FieldSet {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new FieldsError('not an object');
  const known = young.get(fields) ?? older.get(fields);
  if (known) return known;
  const before = walked;
  const set = decodeNode(fields as Fields, true);
  if (isEmpty(set)) return set;
  set.json = fields as Fields;
  remember(fields as Fields, set, walked - before);
  return set;
}

function decodeNode(fields: Fields, isRoot: boolean): FieldSet {
  walked++;
  let member = false;
  let isLeaf = true;
  let children: Map<string, FieldSet> | undefined;
  for (const name in fields) {
    isLeaf = false;
    if (name === '.') {
      member = !isRoot;
      continue;
    }
    const child = fields[name];
    if (typeof child !== 'object' || child === null || Array.isArray(child))
      throw new FieldsError(`${name}: no object`);
    const key = canonicalKey(name);
    // What a later version may write: not ours to refuse.
    if (key === undefined) continue;
    const below = decodeNode(child as Fields, false);
    if (!isEmpty(below)) (children ??= new Map()).set(key, below);
  }
  return node(member || (isLeaf && !isRoot), children);
}

function canonicalKey(name: string): string | undefined {
  if (name[1] !== ':' || !Object.hasOwn(RANKS, name[0] as string)) return undefined;
  const rest = name.slice(2);
  if (name[0] === 'f') return name;
  if (name[0] === 'i') {
    if (!/^-?\d{1,15}$/.test(rest)) throw new FieldsError(`${name}: no index`);
    return name;
  }
  let value: unknown;
  try {
    value = JSON.parse(rest);
  } catch {
    throw new FieldsError(`${name}: no JSON`);
  }
  if (name[0] === 'v') return valueKey(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new FieldsError(`${name}: no object`);
  const names = Object.keys(value).sort();
  return listKey(names.map((each) => [each, (value as Fields)[each]] as const));
}

const fieldKeys = new Map<string, string>();
const FIELD_KEYS_MAX = 20_000;
const FIELD_KEY_LENGTH = 128;

/** `f:name`, the same string each time: what is built again and again costs to compare and to hash. */
export function fieldKey(name: string): string {
  let key = fieldKeys.get(name);
  if (key === undefined) {
    key = `f:${name}`;
    if (fieldKeys.size < FIELD_KEYS_MAX && name.length <= FIELD_KEY_LENGTH) fieldKeys.set(name, key);
  }
  return key;
}

/** `k:{...}`; the names must be sorted. */
export function listKey(fields: readonly (readonly [name: string, value: unknown])[]): string {
  return `k:{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}

export const valueKey = (value: unknown): string => `v:${JSON.stringify(value)}`;
