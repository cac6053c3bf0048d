// The rules of a definition's openAPIV3Schema beyond being structural: what Kubernetes does not support of OpenAPI, and what its
// own extensions ask for (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
import { META_FIELDS, isMap, structuralOf } from '../custom/structural.ts';
import { fieldPathIn } from '../custom/field-path.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { JSONSchemaProps, ValidationRule } from '../types/apiextensions-v1.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
/** Of the root, where the status is taken out of it for the status subresource. */
const ROOT_FIELDS =
  'Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations'.split(
    ' ',
  );

interface Context {
  /** Why there may be no default here; undefined: there may. */
  noDefaults: string | undefined;
  isInsideMeta: boolean;
  isRoot: boolean;
}

export function* validateSchemaRoot(schema: JSONSchemaProps, field: string, hasStatus: boolean): Iterable<FieldError> {
  if (hasStatus) yield* validateRoot(schema, field);
  if (schema.nullable) yield forbidden(`${field}.nullable`, 'nullable cannot be true at the root');
}

export function validateOpenApiSchema(schema: JSONSchemaProps, field: string): FieldError[] {
  const found: FieldError[] = [];
  walk(schema, field, { noDefaults: undefined, isInsideMeta: false, isRoot: true }, found);
  return found;
}

/** Go's name of a member of JSONSchemaProps. */
const goName = (name: string) =>
  name
    .replace(/^x-kubernetes-/, 'x-')
    .split('-')
    .map((each) => (each[0] ?? '').toUpperCase() + each.slice(1))
    .join('');

function* validateRoot(schema: JSONSchemaProps, field: string): Iterable<FieldError> {
  if (schema.type !== undefined && schema.type !== 'object') {
    yield invalid(
      `${field}.type`,
      schema.type,
      'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
    );
    return;
  }
  if (Object.keys(schema).every((name) => ROOT_FIELDS.includes(goName(name)))) return;
  yield invalid(
    field,
    schema,
    `only [${ROOT_FIELDS.join(' ')}] fields are allowed at the root of the schema if the status subresource is enabled`,
  );
}

function walk(schema: JSONSchemaProps, field: string, context: Context, found: FieldError[]): void {
  standard(schema, field, context, found);
  const below = { ...context, isRoot: false };
  const { additionalProperties: additional, properties } = schema;
  if (additional !== undefined && additional !== null) {
    if (Object.keys(properties ?? {}).length > 0 && additional !== true) {
      const why = 'additionalProperties and properties are mutual exclusive';
      found.push(forbidden(`${field}.additionalProperties`, why));
    }
    if (isMap(additional)) {
      const inside = context.isInsideMeta
        ? { ...below, noDefaults: 'inside additionalProperties applying to object metadata' }
        : below;
      walk(additional, `${field}.additionalProperties`, inside, found);
    }
  }
  for (const [name, each] of Object.entries(properties ?? {})) {
    const isMeta = META_FIELDS.has(name) && (context.isRoot || schema['x-kubernetes-embedded-resource'] === true);
    const inside = !isMeta
      ? below
      : { ...below, isInsideMeta: true, ...(context.isRoot && { noDefaults: `in top-level ${name}` }) };
    if (isMap(each)) walk(each, `${field}.properties[${name}]`, inside, found);
  }
  if (schema.not) walk(schema.not, `${field}.not`, below, found);
  for (const name of ['allOf', 'oneOf', 'anyOf'] as const) {
    schema[name]?.forEach((each, i) => walk(each, `${field}.${name}[${i}]`, below, found));
  }
  if (isMap(schema.items)) walk(schema.items, `${field}.items`, below, found);
  extensions(schema, field, found);
  listKeys(schema, field, found);
  schema['x-kubernetes-validations']?.forEach((rule, i) => {
    found.push(...validateRule(schema, rule, `${field}.x-kubernetes-validations[${i}]`));
  });
}

function standard(schema: JSONSchemaProps, field: string, context: Context, found: FieldError[]): void {
  const refuse = (isThere: boolean, name: string, why: string) => {
    if (isThere) found.push(forbidden(`${field}.${name}`, why));
  };
  const { type } = schema;
  if (type && !TYPES.includes(type)) found.push(notSupported(`${field}.type`, type, TYPES));
  if (schema.default !== undefined && context.noDefaults !== undefined) {
    found.push(forbidden(`${field}.default`, `must not be set ${context.noDefaults}`));
  }
  refuse(!!schema.id, 'id', 'id is not supported');
  refuse(schema.additionalItems !== undefined, 'additionalItems', 'additionalItems is not supported');
  const hasAny = (value: object | undefined) => value !== undefined && Object.keys(value).length > 0;
  refuse(hasAny(schema.patternProperties), 'patternProperties', 'patternProperties is not supported');
  refuse(hasAny(schema.definitions), 'definitions', 'definitions is not supported');
  refuse(schema.dependencies !== undefined, 'dependencies', 'dependencies is not supported');
  refuse(schema.$ref !== undefined, '$ref', '$ref is not supported');
  refuse(type === 'null', 'type', 'type cannot be set to null, use nullable as an alternative');
  refuse(Array.isArray(schema.items), 'items', 'items must be a schema object and not an array');
  refuse(
    context.isInsideMeta && schema['x-kubernetes-embedded-resource'] === true,
    'x-kubernetes-embedded-resource',
    'must not be used inside of resource meta',
  );
  refuse(
    schema.uniqueItems === true,
    'uniqueItems',
    'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
  );
}

function extensions(schema: JSONSchemaProps, field: string, found: FieldError[]): void {
  const type = schema.type ?? '';
  const mapType = schema['x-kubernetes-map-type'];
  const listType = schema['x-kubernetes-list-type'];
  const needs = (wanted: string, extension: string) => {
    const why = `must be ${wanted} if ${extension} is specified`;
    found.push(type === '' ? required(`${field}.type`, why) : invalid(`${field}.type`, type, why));
  };
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    found.push(invalid(`${field}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'));
  }
  if (mapType !== undefined && type !== 'object') needs('object', 'x-kubernetes-map-type');
  if (mapType !== undefined && mapType !== 'atomic' && mapType !== 'granular') {
    found.push(notSupported(`${field}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']));
  }
  const items = isMap(schema.items) ? (schema.items as JSONSchemaProps) : undefined;
  if (listType !== undefined && type !== 'array') needs('array', 'x-kubernetes-list-type');
  else if (listType === 'set' && items) {
    const why = 'must be atomic as item of a list with x-kubernetes-list-type=set';
    const inner = items['x-kubernetes-list-type'];
    if (items.type === 'array' && inner !== undefined && inner !== 'atomic') {
      found.push(invalid(`${field}.items.x-kubernetes-list-type`, inner, why));
    }
    if (items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic') {
      found.push(invalid(`${field}.items.x-kubernetes-map-type`, inner ?? null, why));
    }
  }
  if (listType !== undefined && !['atomic', 'set', 'map'].includes(listType)) {
    found.push(notSupported(`${field}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']));
  }
}

function listKeys(schema: JSONSchemaProps, field: string, found: FieldError[]): void {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const listType = schema['x-kubernetes-list-type'];
  const at = `${field}.x-kubernetes-list-map-keys`;
  if (keys.length > 0 && listType !== 'map') {
    const why = 'must be map if x-kubernetes-list-map-keys is non-empty';
    const path = `${field}.x-kubernetes-list-type`;
    found.push(listType === undefined ? required(path, why) : invalid(path, listType, why));
  }
  const items = isMap(schema.items) ? (schema.items as JSONSchemaProps) : undefined;
  if (listType === 'map') {
    if (keys.length === 0) found.push(required(at, 'must not be empty if x-kubernetes-list-type is map'));
    if (!items) found.push(required(`${field}.items`, 'must have a schema if x-kubernetes-list-type is map'));
    else if (items.type !== 'object') {
      const why = "must be object if parent array's x-kubernetes-list-type is map";
      found.push(invalid(`${field}.items.type`, items.type ?? '', why));
    } else {
      const seen = new Set<string>();
      for (const key of keys) {
        const property = items.properties?.[key];
        if (!property) found.push(invalid(at, keys, 'entries must all be names of item properties'));
        else if (property.type === 'array' || property.type === 'object') {
          const why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
          found.push(invalid(`${field}.items.properties[${key}].type`, items.type, why));
        }
        if (seen.has(key)) found.push(invalid(at, keys, 'must not contain duplicate entries'));
        seen.add(key);
      }
    }
  }
  if (!items || (listType !== 'set' && listType !== 'map')) return;
  if (items.nullable) {
    const why = `cannot be nullable when x-kubernetes-list-type is ${listType}`;
    found.push(forbidden(`${field}.items.nullable`, why));
  }
  if (listType !== 'map') return;
  for (const key of keys) {
    const property = items.properties?.[key];
    if (!property) continue;
    const path = `${field}.items.properties[${key}]`;
    if (!items.required?.includes(key) && property.default === undefined) {
      const why = 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property';
      found.push(required(`${path}.default`, why));
    }
    if (property.nullable) {
      const why = 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable';
      found.push(forbidden(`${path}.nullable`, why));
    }
  }
}

const hasNewlines = (text: string) => /[\n\r]/.test(text);

function* validateRule(schema: JSONSchemaProps, rule: ValidationRule, field: string): Iterable<FieldError> {
  const { message = '', messageExpression = '', reason, fieldPath = '' } = rule;
  const text = (rule.rule ?? '').trim();
  if (text === '') yield required(`${field}.rule`, 'rule is not specified');
  else if (message !== '' && message.trim() === '') {
    yield invalid(`${field}.message`, message, 'must be non-empty if specified');
  } else if (hasNewlines(message.trim())) {
    yield invalid(`${field}.message`, message, 'must not contain line breaks');
  } else if (hasNewlines(text) && message.trim() === '') {
    yield required(`${field}.message`, 'message must be specified if rule contains line breaks');
  }
  if (messageExpression !== '' && messageExpression.trim() === '') {
    yield required(`${field}.messageExpression`, 'messageExpression must be non-empty if specified');
  }
  if (reason !== undefined && !REASONS.includes(reason)) yield notSupported(`${field}.reason`, reason, REASONS);
  if (fieldPath === '') return;
  if (fieldPath.trim() === '') yield invalid(`${field}.fieldPath`, fieldPath, 'must be non-empty if specified');
  if (hasNewlines(fieldPath)) yield invalid(`${field}.fieldPath`, fieldPath, 'must not contain line breaks');
  if ('error' in fieldPathIn(structuralOf(schema), fieldPath)) {
    yield invalid(`${field}.fieldPath`, fieldPath, 'must be a valid path');
  }
}
