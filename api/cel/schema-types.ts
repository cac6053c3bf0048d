// From OpenAPI structural schemas to CEL types, with the bounds that the cost estimate takes from them
// (k8s.io/apiserver/pkg/cel/common/schemas.go).
import { type CelType, type FieldType, type ObjectType, types } from './types.ts';

/** The part of a structural schema that types depend on; as in a CRD's openAPIV3Schema. */
export interface StructuralSchema {
  type?: string;
  format?: string;
  properties?: Readonly<Record<string, StructuralSchema>>;
  additionalProperties?: boolean | StructuralSchema;
  items?: StructuralSchema | readonly StructuralSchema[];
  required?: readonly string[];
  enum?: readonly unknown[];
  default?: unknown;
  nullable?: boolean;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: readonly string[];
}

export interface TypeFromSchemaOptions {
  /** True adds apiVersion, kind, metadata.name and metadata.generateName, as at the root of a custom resource. */
  isResourceRoot?: boolean;
  /** What messages call the type; nested ones are `name.field`, `name.@idx`, `name.@elem`. Default `object`. */
  name?: string;
}

/** Bytes of the largest request, from which upstream derives the largest string, list and map. */
const MAX_REQUEST_BYTES = 3 * 1024 * 1024;
const MIN_STRING = 2;
const MIN_BOOL = 4;
const MIN_NUMBER = 1;
const DURATION = { min: 3, max: 32 };
const DATE = { min: 12, max: 12 };
const DATETIME = { min: 21, max: 32 };

/** Undefined where the schema says too little for a type: rules cannot be written about such a value. */
export function typeFromSchema(schema: StructuralSchema, options: TypeFromSchemaOptions = {}): CelType | undefined {
  return convert(schema, options.isResourceRoot ?? false, options.name ?? 'object');
}

function convert(schema: StructuralSchema, isResourceRoot: boolean, name: string): CelType | undefined {
  if (schema['x-kubernetes-int-or-string'])
    return { kind: 'dyn', minSerializedSize: 1, maxElements: longestString(schema) ?? MAX_REQUEST_BYTES - 2 };
  const meant = isResourceRoot ? withResourceFields(schema) : schema;
  switch (meant.type) {
    case 'array':
      return listType(meant, name);
    case 'object':
      return isSchema(meant.additionalProperties) ? mapType(meant, name) : objectType(meant, name);
    case 'string':
      return stringType(meant);
    case 'boolean':
      return { kind: 'bool', minSerializedSize: MIN_BOOL };
    case 'number':
      return { kind: 'double', minSerializedSize: MIN_NUMBER };
    case 'integer':
      return { kind: 'int', minSerializedSize: MIN_NUMBER };
    default:
      return undefined;
  }
}

const isSchema = (value: unknown): value is StructuralSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isEmbedded = (schema: StructuralSchema) => schema['x-kubernetes-embedded-resource'] === true;
const minSize = (type: CelType) => type.minSerializedSize ?? 0;

function listType(schema: StructuralSchema, name: string): CelType | undefined {
  if (!isSchema(schema.items)) return undefined;
  const element = convert(schema.items, isEmbedded(schema.items), `${name}.@idx`);
  if (!element) return undefined;
  const listType = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  return {
    kind: 'list',
    element,
    ...(listType === 'set' && { identity: { kind: 'set' } }),
    ...(listType === 'map' && { identity: { kind: 'map', keys: keys.map((each) => escapeName(each) ?? each) } }),
    minSerializedSize: 2,
    maxElements:
      schema.maxItems === undefined
        ? Math.floor((MAX_REQUEST_BYTES - 2) / (minSize(element) + 1))
        : Math.max(0, schema.maxItems),
  };
}

function mapType(schema: StructuralSchema, name: string): CelType | undefined {
  const values = schema.additionalProperties as StructuralSchema;
  const value = convert(values, isEmbedded(values), `${name}.@elem`);
  if (!value) return undefined;
  return {
    kind: 'map',
    key: types.string,
    value,
    minSerializedSize: 2,
    maxElements:
      schema.maxProperties === undefined
        ? Math.floor((MAX_REQUEST_BYTES - 2) / (minSize(value) + 6))
        : Math.max(0, schema.maxProperties),
  };
}

function objectType(schema: StructuralSchema, name: string): ObjectType {
  const required = new Set(schema.required ?? []);
  const fields = new Map<string, FieldType>();
  let size = 2;
  for (const [property, of] of Object.entries(schema.properties ?? {})) {
    const type = convert(of, isEmbedded(of), `${name}.${escapeName(property) ?? property}`);
    if (!type) continue;
    const escaped = escapeName(property);
    if (escaped !== undefined) fields.set(escaped, escaped === property ? { type } : { type, jsonName: property });
    if (required.has(property) && (of.default === undefined || of.default === null))
      size += property.length + minSize(type) + 4;
  }
  return { kind: 'object', name, fields, minSerializedSize: size };
}

/** maxLength counts characters, of up to four bytes each. */
const longestString = (schema: StructuralSchema) =>
  schema.maxLength === undefined ? undefined : Math.max(0, schema.maxLength) * 4;

function stringType(schema: StructuralSchema): CelType {
  switch (schema.format) {
    case 'byte':
      return {
        kind: 'bytes',
        minSerializedSize: MIN_STRING,
        maxElements: Math.max(0, schema.maxLength ?? MAX_REQUEST_BYTES - 2),
      };
    case 'duration':
      return { kind: 'duration', minSerializedSize: DURATION.min, maxElements: DURATION.max };
    case 'date':
      return { kind: 'timestamp', minSerializedSize: DATE.min, maxElements: DATE.max };
    case 'date-time':
      return { kind: 'timestamp', minSerializedSize: DATETIME.min, maxElements: DATETIME.max };
    default: {
      const fromEnum =
        schema.enum && schema.enum.length > 0
          ? Math.max(0, ...schema.enum.map((each) => (typeof each === 'string' ? each.length : 0)))
          : undefined;
      return {
        kind: 'string',
        minSerializedSize: MIN_STRING,
        maxElements: longestString(schema) ?? fromEnum ?? MAX_REQUEST_BYTES - 2,
      };
    }
  }
}

function withResourceFields(schema: StructuralSchema): StructuralSchema {
  const text: StructuralSchema = { type: 'string' };
  return {
    ...schema,
    type: 'object',
    properties: {
      ...schema.properties,
      apiVersion: text,
      kind: text,
      metadata: { type: 'object', properties: { name: text, generateName: text } },
    },
  };
}

/** Words that CEL's grammar keeps for itself; a property of that name is reached as `__word__`. */
const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return'.split(' '),
);

/**
 * The name by which an expression reaches a property: `foo-bar` → `foo__dash__bar`, `namespace` → `__namespace__`.
 * Undefined for one that cannot be reached (it has other characters, or begins with a digit).
 */
export function escapeName(property: string): string | undefined {
  if (property === '' || /^[0-9]/.test(property)) return undefined;
  if (RESERVED.has(property)) return `__${property}__`;
  const escaped = property.replaceAll(/__|[./-]/g, (each) => ESCAPES[each] as string);
  return /^[A-Za-z0-9_]+$/.test(escaped) ? escaped : undefined;
}

const ESCAPES: Record<string, string> = {
  __: '__underscores__',
  '.': '__dot__',
  '-': '__dash__',
  '/': '__slash__',
};
