// CEL types of kinds, from the facts in api/schema or a custom resource's schema: what policies are checked against.
import type { Kind } from '../kind.ts';
import { definition, findDefinition, type Scalar, type TypeRef } from '../schema.ts';
import { escapeName, type StructuralSchema, typeFromSchema } from './schema-types.ts';
import { type CelType, type FieldType, type ObjectType, types } from './types.ts';

/** Undefined for a kind of which nothing is known. */
export function typeOfKind({ kind, schema, custom }: Pick<Kind, 'kind' | 'schema' | 'custom'>): ObjectType | undefined {
  if (!custom) return typeOfDefinition(schema);
  const type = typeFromSchema(custom.openApi('v3') as StructuralSchema, { isResourceRoot: true, name: kind });
  if (type?.kind !== 'object') return undefined;
  const metadata = typeOfDefinition('meta.ObjectMeta') as ObjectType;
  return { ...type, fields: new Map([...type.fields, ['metadata', { type: metadata }]]) };
}

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
    const type = typeOf(field.type);
    fields.set(escaped, { type, ...(escaped !== field.name && { jsonName: field.name }) });
    // Evaluation finds `metadata.namespace` too, so it is no mistake to write it.
    fields.set(field.name, { type });
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
