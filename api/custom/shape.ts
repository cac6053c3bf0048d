// How server-side apply takes custom resources apart: their structural schema as shapes.
import {
  BOOLEAN,
  DEDUCED,
  NUMERIC,
  type Shape,
  STRING,
  type StructShape,
  structShape,
  UNTYPED,
} from '../managed-fields/shape.ts';
import type { Structural } from './structural.ts';

/** Of a whole object: metadata is every object's. */
export function customShape(schema: Structural): Shape {
  return resourceShape(schema);
}

function resourceShape(schema: Structural): Shape {
  const own = shapeOf({ ...schema, embedded: false });
  const metadata = structShape('meta.ObjectMeta');
  return {
    kind: 'struct',
    atomic: schema.isAtomicMap,
    field(name) {
      if (name === 'apiVersion' || name === 'kind') return STRING;
      if (name === 'metadata') return metadata;
      if (own.kind === 'struct') return own.field(name);
      return own.kind === 'map' ? own.value() : DEDUCED;
    },
  };
}

export function shapeOf(schema: Structural): Shape {
  if (schema.intOrString) return UNTYPED;
  if (schema.embedded) return resourceShape(schema);
  switch (schema.type) {
    case 'string':
      return STRING;
    case 'boolean':
      return BOOLEAN;
    case 'integer':
    case 'number':
      return NUMERIC;
    case 'array':
      return listShape(schema);
    case 'object':
      return objectShape(schema);
    default:
      return DEDUCED;
  }
}

function listShape(schema: Structural): Shape {
  let item: Shape | undefined;
  const { items } = schema;
  return {
    kind: 'list',
    type: schema.listType,
    keys: [...schema.mapKeys].sort().map((name) => ({ name, default: items?.properties?.get(name)?.default })),
    item: () => (item ??= items ? shapeOf(items) : DEDUCED),
  };
}

function objectShape(schema: Structural): Shape {
  const { additional, properties } = schema;
  if (additional && !properties?.size) {
    let value: Shape | undefined;
    return {
      kind: 'map',
      atomic: schema.isAtomicMap,
      value: () => (value ??= additional === true ? DEDUCED : shapeOf(additional)),
    };
  }
  // Nothing is said of its members: whatever is there is taken apart as it is found.
  if (schema.preserve && !properties?.size && !schema.isAtomicMap) return DEDUCED;
  const fields = new Map<string, Shape>();
  const struct: StructShape = {
    kind: 'struct',
    atomic: schema.isAtomicMap,
    field(name) {
      const known = fields.get(name);
      if (known) return known;
      const property = properties?.get(name);
      if (!property) return schema.preserve || schema.isAtomicMap ? DEDUCED : undefined;
      const made = shapeOf(property);
      fields.set(name, made);
      return made;
    },
  };
  return struct;
}
