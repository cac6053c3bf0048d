// The schema of a custom resource, prepared for the walks of this folder: what a value is (type, properties, items,
// extensions) and the value rules beside it. Made from a definition's openAPIV3Schema; what is malformed is left out, since
// a definition that was stored must not stop its server.
import { compilePattern, type Pattern } from '../cel/index.ts';
import type { JSONSchemaProps, ValidationRule } from '../types/apiextensions-v1.ts';

export type Json = Record<string, unknown>;

export const isMap = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export interface Structural {
  /** '' where nothing is said. */
  type: string;
  nullable: boolean;
  /** Undefined: none. */
  default: unknown;
  properties: ReadonlyMap<string, Structural> | undefined;
  /** True for `additionalProperties: true`. */
  additional: Structural | true | undefined;
  items: Structural | undefined;
  preserve: boolean;
  embedded: boolean;
  intOrString: boolean;
  listType: 'atomic' | 'set' | 'map';
  mapKeys: readonly string[];
  isAtomicMap: boolean;
  rules: readonly ValidationRule[];
  values: ValueRules;
  /** What it was made from. */
  props: JSONSchemaProps;
}

/** What the value must satisfy besides its type. Undefined where nothing is asked. */
export interface ValueRules {
  format: string;
  maximum: { limit: number; isExclusive: boolean } | undefined;
  minimum: { limit: number; isExclusive: boolean } | undefined;
  multipleOf: number | undefined;
  maxLength: number | undefined;
  minLength: number | undefined;
  pattern: { text: string; regex: Pattern } | undefined;
  maxItems: number | undefined;
  minItems: number | undefined;
  maxProperties: number | undefined;
  minProperties: number | undefined;
  required: readonly string[];
  enum: readonly unknown[] | undefined;
  allOf: readonly Structural[];
  anyOf: readonly Structural[];
  oneOf: readonly Structural[];
  not: Structural | undefined;
}

const EMPTY: readonly never[] = [];

/** `schema` may be anything. */
export function structuralOf(schema: unknown): Structural {
  const props: JSONSchemaProps = isMap(schema) ? schema : {};
  const listType = props['x-kubernetes-list-type'];
  return {
    type: typeof props.type === 'string' ? props.type : '',
    nullable: props.nullable === true,
    default: props.default === null ? undefined : props.default,
    properties: isMap(props.properties) ? mapOf(props.properties) : undefined,
    additional: isMap(props.additionalProperties)
      ? structuralOf(props.additionalProperties)
      : props.additionalProperties === true
        ? true
        : undefined,
    items: isMap(props.items) ? structuralOf(props.items) : undefined,
    preserve: props['x-kubernetes-preserve-unknown-fields'] === true,
    embedded: props['x-kubernetes-embedded-resource'] === true,
    intOrString: props['x-kubernetes-int-or-string'] === true,
    listType: listType === 'set' || listType === 'map' ? listType : 'atomic',
    mapKeys: props['x-kubernetes-list-map-keys'] ?? EMPTY,
    isAtomicMap: props['x-kubernetes-map-type'] === 'atomic',
    rules: props['x-kubernetes-validations'] ?? EMPTY,
    values: valueRules(props),
    props,
  };
}

const mapOf = (properties: Json): Map<string, Structural> =>
  new Map(Object.entries(properties).map(([name, schema]) => [name, structuralOf(schema)]));

function valueRules(props: JSONSchemaProps): ValueRules {
  const all = (list: readonly unknown[] | undefined) => (list ?? EMPTY).map(structuralOf);
  const bound = (limit: number | undefined, isExclusive: boolean | undefined) =>
    limit === undefined ? undefined : { limit, isExclusive: isExclusive === true };
  const regex = props.pattern ? compilePattern(props.pattern) : undefined;
  return {
    format: props.format ?? '',
    maximum: bound(props.maximum, props.exclusiveMaximum),
    minimum: bound(props.minimum, props.exclusiveMinimum),
    multipleOf: props.multipleOf,
    maxLength: props.maxLength,
    minLength: props.minLength,
    pattern: regex && !('problem' in regex) && props.pattern ? { text: props.pattern, regex } : undefined,
    maxItems: props.maxItems,
    minItems: props.minItems,
    maxProperties: props.maxProperties,
    minProperties: props.minProperties,
    required: props.required ?? EMPTY,
    enum: props.enum && props.enum.length > 0 ? props.enum : undefined,
    allOf: all(props.allOf),
    anyOf: all(props.anyOf),
    oneOf: all(props.oneOf),
    not: isMap(props.not) ? structuralOf(props.not) : undefined,
  };
}

/** Names of what an object of the API has besides its own fields. */
export const META_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);
