// How values are taken apart: what the schema says of structs, maps and lists, prepared for the walks of this folder.
import type { DecodeTarget } from '../codec.ts';
import { definition, type Field, type Scalar, type TypeRef } from '../schema.ts';
import { listKey, valueKey } from './field-set.ts';

export type ScalarType = 'string' | 'numeric' | 'boolean' | 'untyped';

export interface StructShape {
  kind: 'struct';
  /** Owned and replaced as a whole. */
  atomic: boolean;
  /** Undefined: there is no such field. */
  field(name: string): Shape | undefined;
}

export interface MapShape {
  kind: 'map';
  atomic: boolean;
  value(): Shape;
}

export interface ListShape {
  kind: 'list';
  type: 'atomic' | 'set' | 'map';
  /** Sorted by name. */
  keys: readonly { name: string; default: unknown }[];
  item(): Shape;
}

export type Shape =
  | StructShape
  | MapShape
  | ListShape
  | { kind: 'scalar'; type: ScalarType }
  /** No schema: maps are granular, lists are atomic, scalars are what they are. */
  | { kind: 'deduced' };

export const DEDUCED: Shape = { kind: 'deduced' };
const scalar = (type: ScalarType): Shape => ({ kind: 'scalar', type });
export const STRING = scalar('string');
export const NUMERIC = scalar('numeric');
export const BOOLEAN = scalar('boolean');
export const UNTYPED = scalar('untyped');

const structs = new Map<string, Shape>();
const roots = new Map<string, Shape>();

/** The shape of an object of a kind. Without a schema of any sort all but metadata is deduced. */
export function objectShape({ schema, custom }: Pick<DecodeTarget, 'schema' | 'custom'>): Shape {
  if (custom) return custom.shape;
  let root = roots.get(schema);
  if (!root) {
    const own = schema === '' ? undefined : (structShape(schema) as StructShape);
    root = {
      kind: 'struct',
      atomic: false,
      field(name) {
        if (name === 'apiVersion' || name === 'kind') return STRING;
        if (name === 'metadata') return structShape('meta.ObjectMeta');
        return own ? own.field(name) : DEDUCED;
      },
    };
    roots.set(schema, root);
  }
  return root;
}

export function structShape(name: string): Shape {
  let shape = structs.get(name);
  if (!shape) {
    const facts = definition(name);
    if (facts.scalar !== undefined) return scalarShape(facts.scalar);
    const fields = new Map<string, Shape>();
    shape = {
      kind: 'struct',
      atomic: facts.mapType === 'atomic',
      field(each) {
        const known = fields.get(each);
        if (known) return known;
        const field = facts.fields.get(each);
        if (!field) return undefined;
        const made = fieldShape(field);
        fields.set(each, made);
        return made;
      },
    };
    structs.set(name, shape);
  }
  return shape;
}

function fieldShape(field: Field): Shape {
  const shape = typeShape(field.type);
  if (shape.kind === 'list') {
    const item = field.type.kind === 'list' ? field.type.of : undefined;
    const facts = item?.kind === 'ref' ? definition(item.name).fields : undefined;
    return {
      ...shape,
      type: field.listType,
      keys: [...field.mapKeys].sort().map((name) => ({ name, default: facts?.get(name)?.default })),
    };
  }
  if (field.mapType === 'atomic' && (shape.kind === 'struct' || shape.kind === 'map'))
    return { ...shape, atomic: true };
  return shape;
}

function typeShape(type: TypeRef): Shape {
  switch (type.kind) {
    case 'scalar':
      return scalarShape(type.scalar);
    case 'ref':
      return structShape(type.name);
    case 'map': {
      let value: Shape | undefined;
      return { kind: 'map', atomic: false, value: () => (value ??= typeShape(type.of)) };
    }
    case 'list': {
      let item: Shape | undefined;
      return { kind: 'list', type: 'atomic', keys: [], item: () => (item ??= typeShape(type.of)) };
    }
  }
}

function scalarShape(type: Scalar): Shape {
  switch (type) {
    case 'string':
    case 'bytes':
      return STRING;
    case 'bool':
      return BOOLEAN;
    case 'int32':
    case 'int64':
    case 'double':
      return NUMERIC;
    case 'time':
    case 'microtime':
    case 'quantity':
    case 'intstr':
      return UNTYPED;
    default:
      return DEDUCED;
  }
}

export type Json = Record<string, unknown>;

export const isMap = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** How a list item is named in a field set, or what is wrong with it, in upstream's words. */
export function itemKey(shape: ListShape, item: unknown): { key: string } | { error: string } {
  if (shape.type === 'set') {
    if (item === null || item === undefined)
      return { error: "associative list without keys has an element that's an explicit null" };
    if (isMap(item)) return { error: "associative list without keys has an element that's a map type" };
    return { key: valueKey(item) };
  }
  if (item === null || item === undefined) return { error: 'associative list with keys may not have a null element' };
  if (!isMap(item)) return { error: 'associative list with keys may not have non-map elements' };
  const fields: [string, unknown][] = [];
  for (const { name, default: fallback } of shape.keys) {
    const value = item[name] ?? fallback;
    // A key without a default may be left out as long as another one is there.
    if (value !== undefined) fields.push([name, value]);
  }
  if (fields.length === 0) {
    const names = shape.keys.map((each) => JSON.stringify(each.name)).join(' ');
    return {
      error: `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    };
  }
  return { key: listKey(fields) };
}
