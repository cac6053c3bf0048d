// The values that expressions work on. Integers are JavaScript numbers as long as they are safe, bigints beyond (never a
// bigint that would fit a number); doubles and uints are boxed, so that 1, 1u and 1.0 can be told apart.

import { mergeLists } from './equality.ts';

export { compareNumbers, equals, isNumber } from './equality.ts';

export type CelValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | CelUint
  | CelDouble
  | Uint8Array
  | CelList
  | CelMap
  | CelStruct
  | CelTimestamp
  | CelDuration
  | CelTypeValue
  | CelOptional
  | CelOpaque
  | CelError;

/** An evaluation error. A value, because `&&`, `||` and the comprehensions may absorb it. */
export class CelError {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

export class CelUint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class CelDouble {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Seconds since the epoch and nanoseconds within the second (0 to 999,999,999). */
export class CelTimestamp {
  readonly seconds: number;
  readonly nanos: number;
  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
  get totalNanos(): bigint {
    return BigInt(this.seconds) * 1_000_000_000n + BigInt(this.nanos);
  }
}

export class CelDuration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** The value of `type(x)` and of the type names: `int`, `google.protobuf.Timestamp`. */
export class CelTypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export class CelOptional {
  static readonly none = new CelOptional(undefined);
  readonly value: CelValue | undefined;
  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

/** Values of the libraries: IPs, URLs, quantities. */
export abstract class CelOpaque {
  abstract readonly typeName: string;
  abstract equals(other: CelValue): boolean;
  /** What cost estimates call its size; 1 for what has none. */
  get size(): number {
    return 1;
  }
  /** How it is written as JSON, where that has a meaning. */
  toJson(): unknown {
    return String(this);
  }
}

type Wrap = (json: unknown) => CelValue;

/** A list. Elements of JSON arrays are wrapped when they are read. */
export class CelList {
  readonly #items: unknown[];
  readonly #wrap: Wrap | undefined;
  /** Set by schemas: equality of sets and of keyed lists does not depend on order. */
  readonly identity: ListIdentity | undefined;

  constructor(items: unknown[], wrap?: Wrap, identity?: ListIdentity) {
    this.#items = items;
    this.#wrap = wrap;
    this.identity = identity;
  }
  get length(): number {
    return this.#items.length;
  }
  at(index: number): CelValue {
    const item = this.#items[index];
    return this.#wrap ? this.#wrap(item) : (item as CelValue);
  }
  *[Symbol.iterator](): Generator<CelValue> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }
  /** The JSON it was made from, or undefined. */
  get json(): unknown[] | undefined {
    return this.#wrap ? this.#items : undefined;
  }
  concat(other: CelList): CelList {
    if (other.length === 0) return this;
    if (this.length === 0 && !this.identity) return other;
    return this.identity ? mergeLists(this, other, this.identity) : new ConcatList(this, other);
  }
}

/** `x-kubernetes-list-type`: what makes two elements the same. */
export type ListIdentity = { kind: 'set' } | { kind: 'map'; keys: readonly string[] };

/** A list that a comprehension is filling; only the engine sees it while it changes. */
export class ListBuilder extends CelList {
  isOpen = true;
  readonly #growing: CelValue[];
  constructor() {
    const growing: CelValue[] = [];
    super(growing);
    this.#growing = growing;
  }
  push(value: CelValue): void {
    this.#growing.push(value);
  }
}

/** Two lists behind each other, not copied. */
class ConcatList extends CelList {
  readonly #left: CelList;
  readonly #right: CelList;
  constructor(left: CelList, right: CelList) {
    super([]);
    this.#left = left;
    this.#right = right;
  }
  override get length(): number {
    return this.#left.length + this.#right.length;
  }
  override at(index: number): CelValue {
    const { length } = this.#left;
    return index < length ? this.#left.at(index) : this.#right.at(index - length);
  }
}

export interface CelMap {
  readonly isMap: true;
  readonly size: number;
  get(key: CelValue): CelValue | undefined;
  keys(): Iterable<CelValue>;
}

/** A map with string keys around a JSON object. */
export class JsonMap implements CelMap {
  readonly isMap = true;
  readonly json: Readonly<Record<string, unknown>>;
  readonly #wrap: Wrap;
  #keys: string[] | undefined;
  constructor(json: Readonly<Record<string, unknown>>, wrap: Wrap) {
    this.json = json;
    this.#wrap = wrap;
  }
  get size(): number {
    this.#keys ??= Object.keys(this.json);
    return this.#keys.length;
  }
  get(key: CelValue): CelValue | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.json, key)) return undefined;
    return this.#wrap(this.json[key]);
  }
  keys(): Iterable<string> {
    this.#keys ??= Object.keys(this.json);
    return this.#keys;
  }
}

/** A map made by an expression; keys are strings, integers, uints and bools, and 1, 1u and 1.0 are one key. */
export class EntryMap implements CelMap {
  readonly isMap = true;
  readonly #entries = new Map<unknown, [CelValue, CelValue]>();
  get size(): number {
    return this.#entries.size;
  }
  /** False when the key was there. */
  add(key: CelValue, value: CelValue): boolean {
    const normal = normalKey(key);
    if (this.#entries.has(normal)) return false;
    this.#entries.set(normal, [key, value]);
    return true;
  }
  get(key: CelValue): CelValue | undefined {
    return this.#entries.get(normalKey(key))?.[1];
  }
  *keys(): Generator<CelValue> {
    for (const [key] of this.#entries.values()) yield key;
  }
}

/** A map that a comprehension is filling. */
export class MapBuilder extends EntryMap {
  isOpen = true;
}

/** What a JavaScript Map or Set must hold so that equal values are one: numbers by what they count. */
export function normalKey(key: CelValue): unknown {
  if (key instanceof CelUint) return normalInt(key.value);
  if (key instanceof CelDouble) return key.value;
  return key;
}

/** A value with named fields. */
export interface CelStruct {
  readonly isStruct: true;
  readonly typeName: string;
  /** Undefined: not set. */
  get(field: string): CelValue | undefined;
  fields(): Iterable<string>;
  toJson(): unknown;
}

/** An object of a schema around its JSON; `fields` say what expressions call each property. */
export class JsonStruct implements CelStruct {
  readonly isStruct = true;
  readonly json: Readonly<Record<string, unknown>>;
  readonly typeName: string;
  readonly #fields: ReadonlyMap<string, { jsonName: string; wrap: Wrap }>;
  constructor(
    json: Readonly<Record<string, unknown>>,
    typeName: string,
    fields: ReadonlyMap<string, { jsonName: string; wrap: Wrap }>,
  ) {
    this.json = json;
    this.typeName = typeName;
    this.#fields = fields;
  }
  get(field: string): CelValue | undefined {
    const known = this.#fields.get(field);
    if (!known || !Object.hasOwn(this.json, known.jsonName)) return undefined;
    const value = this.json[known.jsonName];
    return value === undefined ? undefined : known.wrap(value);
  }
  *fields(): Generator<string> {
    for (const [field, { jsonName }] of this.#fields) if (this.json[jsonName] !== undefined) yield field;
  }
  toJson(): unknown {
    return this.json;
  }
}

/** Fields that are computed when they are first asked for: a policy's `variables`. */
export class LazyStruct implements CelStruct {
  readonly isStruct = true;
  readonly typeName: string;
  readonly #compute: (field: string) => CelValue | undefined;
  readonly #known = new Map<string, CelValue | undefined>();
  constructor(typeName: string, compute: (field: string) => CelValue | undefined) {
    this.typeName = typeName;
    this.#compute = compute;
  }
  get(field: string): CelValue | undefined {
    if (!this.#known.has(field)) this.#known.set(field, this.#compute(field));
    return this.#known.get(field);
  }
  fields(): Iterable<string> {
    return this.#known.keys();
  }
  toJson(): unknown {
    return {};
  }
}

/** Fields given one by one: requests, `Object{…}`, `JSONPatch{…}`. */
export class FieldStruct implements CelStruct {
  readonly isStruct = true;
  readonly typeName: string;
  readonly values: ReadonlyMap<string, CelValue>;
  constructor(typeName: string, values: ReadonlyMap<string, CelValue>) {
    this.typeName = typeName;
    this.values = values;
  }
  get(field: string): CelValue | undefined {
    return this.values.get(field);
  }
  fields(): Iterable<string> {
    return this.values.keys();
  }
  toJson(): unknown {
    return Object.fromEntries([...this.values].map(([field, value]) => [field, toJson(value)]));
  }
}

export const isMap = (value: CelValue): value is CelMap =>
  typeof value === 'object' && value !== null && 'isMap' in value;
export const isStruct = (value: CelValue): value is CelStruct =>
  typeof value === 'object' && value !== null && 'isStruct' in value;
export const isError = (value: CelValue): value is CelError => value instanceof CelError;
export const isInt = (value: CelValue): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint';

export const MAX_INT = 9_223_372_036_854_775_807n;
export const MIN_INT = -9_223_372_036_854_775_808n;
export const MAX_UINT = 18_446_744_073_709_551_615n;

/** The representation of an integer that is known to be in range. */
export function normalInt(value: bigint): number | bigint {
  return value >= -9_007_199_254_740_991n && value <= 9_007_199_254_740_991n ? Number(value) : value;
}

/** The value of `type(value)`. */
export function typeName(value: CelValue): string {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'string':
      return 'string';
    case 'number':
    case 'bigint':
      return 'int';
    default:
  }
  if (value === null) return 'null_type';
  if (value instanceof CelList) return 'list';
  if (isMap(value)) return 'map';
  if (isStruct(value)) return value.typeName;
  if (value instanceof CelUint) return 'uint';
  if (value instanceof CelDouble) return 'double';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof CelTimestamp) return 'google.protobuf.Timestamp';
  if (value instanceof CelDuration) return 'google.protobuf.Duration';
  if (value instanceof CelTypeValue) return 'type';
  if (value instanceof CelOptional) return 'optional_type';
  if (value instanceof CelOpaque) return value.typeName;
  return 'error';
}

/** Characters as CEL counts them: code points. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0xd800 && code < 0xdc00 && index + 1 < text.length) {
      const next = text.charCodeAt(index + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        count--;
        index++;
      }
    }
  }
  return count;
}

/** `size()` where there is one, else 1: what costs depend on. */
export function sizeOf(value: CelValue): number {
  if (typeof value === 'string') return codePoints(value);
  if (value instanceof CelList || value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 1;
  if (isMap(value)) return value.size;
  if (isStruct(value)) return value instanceof JsonStruct ? Object.keys(value.json).length : 1;
  return value instanceof CelOpaque ? value.size : 1;
}

/** As JSON. Throws a TypeError for what JSON has no words for (types, functions). */
export function toJson(value: CelValue): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (isInt(value)) return Number(value);
  if (value instanceof CelUint) return Number(value.value);
  if (value instanceof CelDouble) return value.value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof CelList) return value.json ?? [...value].map(toJson);
  if (value instanceof JsonMap) return value.json;
  if (isMap(value)) return mapToJson(value);
  if (isStruct(value) || value instanceof CelOpaque) return value.toJson();
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelOptional) return value.value === undefined ? null : toJson(value.value);
  throw new TypeError(`a ${typeName(value)} cannot be written as JSON`);
}

function mapToJson(map: CelMap): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const key of map.keys()) {
    if (typeof key !== 'string')
      throw new TypeError(`a map with a key of type ${typeName(key)} cannot be written as JSON`);
    Object.defineProperty(json, key, {
      value: toJson(map.get(key) as CelValue),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return json;
}

/** RFC 3339 in UTC with as many digits as there are: `2024-01-02T03:04:05.5Z`. */
export function formatTimestamp({ seconds, nanos }: CelTimestamp): string {
  const date = new Date(seconds * 1000).toISOString().slice(0, 19);
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${date}${fraction}Z`;
}

/** Seconds with as many digits as there are: `90s`, `0.5s`. */
export function formatDuration({ nanos }: CelDuration): string {
  const magnitude = nanos < 0n ? -nanos : nanos;
  const fraction = magnitude % 1_000_000_000n;
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
  return `${nanos < 0n ? '-' : ''}${magnitude / 1_000_000_000n}${digits}s`;
}
