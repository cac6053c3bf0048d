// CEL types of the built-in kinds, from the facts in api/schema: what checking a policy against the kinds it means uses.
import { definition, findDefinition, type Scalar, type TypeRef } from '../schema.ts';
import { escapeName } from './schema-types.ts';
import { type CelType, type FieldType, type ObjectType, types } from './types.ts';

const known = new Map<string, ObjectType>();

/** Of a definition such as `apps.v1.Deployment`; undefined where there is none. Types may contain themselves. */
export function typeOfDefinition(name: string): ObjectType | undefined {
  const found = known.get(name);
  if (found) return found;
  const facts = findDefinition(name);
  if (!facts || facts.scalar !== undefined) return undefined;
  const fields = new Map<string, FieldType>();
  const type: ObjectType = { kind: 'object', name, fields };
  known.set(name, type);
  if (facts.isKind) {
    fields.set('apiVersion', { type: types.string });
    fields.set('kind', { type: types.string });
  }
  for (const field of facts.fields.values()) {
    const escaped = escapeName(field.name);
    if (escaped === undefined) continue;
    fields.set(escaped, {
      type: typeOf(field.type),
      ...(escaped !== field.name && { jsonName: field.name }),
    });
  }
  return type;
}

function typeOf(ref: TypeRef): CelType {
  switch (ref.kind) {
    case 'scalar':
      return scalarType(ref.scalar);
    case 'list':
      return types.list(typeOf(ref.of));
    case 'map':
      return types.map(types.string, typeOf(ref.of));
    case 'ref': {
      const { scalar } = definition(ref.name);
      return scalar === undefined ? (typeOfDefinition(ref.name) as CelType) : scalarType(scalar);
    }
  }
}

function scalarType(scalar: Scalar): CelType {
  switch (scalar) {
    case 'string':
    case 'quantity':
      return types.string;
    case 'bool':
      return types.bool;
    case 'int32':
    case 'int64':
      return types.int;
    case 'double':
      return types.double;
    case 'bytes':
      return types.bytes;
    case 'time':
    case 'microtime':
      return types.timestamp;
    default:
      return types.dyn;
  }
}
