// When is an OpenAPI schema structural (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/validation.go): every field has its
// type where it is, and what is inside allOf, anyOf, oneOf and not only restricts values.
import { deepEqual } from '../equality.ts';
import { compilePattern } from '../cel/index.ts';
import { isMap } from '../custom/structural.ts';
import { type FieldError, fieldErrorMessage, fieldErrors } from '../field-error.ts';
import type { JSONSchemaProps } from '../types/apiextensions-v1.ts';

type Level = 'root' | 'item' | 'field';
type Report = (error: FieldError) => void;

const { forbidden, invalid, required } = fieldErrors;

const MISSING_TYPE: Record<Level, string> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
};

/** Everything that keeps the schema from being structural, sorted as upstream does. */
export function validateStructural(schema: JSONSchemaProps, field: string): FieldError[] {
  const found: FieldError[] = [];
  const report: Report = (error) => found.push(error);
  invariants(schema, 'root', field, report);
  completeness(schema, schema, field, report);
  return found.sort((a, b) => (fieldErrorMessage(a) < fieldErrorMessage(b) ? -1 : 1));
}

const schemasOf = (value: unknown): [string, JSONSchemaProps][] =>
  isMap(value) ? (Object.entries(value).filter(([, each]) => isMap(each)) as [string, JSONSchemaProps][]) : [];
const schemaOf = (value: unknown): JSONSchemaProps | undefined => (isMap(value) ? value : undefined);

function invariants(schema: JSONSchemaProps, level: Level, field: string, report: Report): void {
  const type = schema.type ?? '';
  const items = schemaOf(schema.items);
  const isEmbedded = schema['x-kubernetes-embedded-resource'] === true;
  const isIntOrString = schema['x-kubernetes-int-or-string'] === true;
  const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (type === 'array' && !items) report(required(`${field}.items`, 'must be specified'));
  if (items) invariants(items, 'item', `${field}.items`, report);
  const properties = schemasOf(schema.properties);
  for (const [name, each] of properties) invariants(each, 'field', `${field}.properties[${name}]`, report);
  const additional = schema.additionalProperties;
  if (additional !== undefined && additional !== null) {
    if (level === 'root') report(forbidden(`${field}.additionalProperties`, 'must not be used at the root'));
    const below = schemaOf(additional);
    if (below) invariants(below, 'field', `${field}.additionalProperties`, report);
  }
  if (isIntOrString && preserves) {
    report(
      invalid(
        `${field}.x-kubernetes-preserve-unknown-fields`,
        true,
        'must be false if x-kubernetes-int-or-string is true',
      ),
    );
  }
  if (isIntOrString && isEmbedded) {
    report(
      invalid(`${field}.x-kubernetes-embedded-resource`, true, 'must be false if x-kubernetes-int-or-string is true'),
    );
  }
  values(schema, isIntOrStringAnyOf(schema), isIntOrStringAnyOf(schema.allOf?.[0] ?? {}), field, report);
  if (isEmbedded && type !== 'object') {
    const why = 'must be object if x-kubernetes-embedded-resource is true';
    report(type === '' ? required(`${field}.type`, why) : invalid(`${field}.type`, type, why));
  } else if (type === '' && !isIntOrString && !preserves) report(required(`${field}.type`, MISSING_TYPE[level]));
  if (isEmbedded && additional !== undefined) {
    report(forbidden(`${field}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'));
  }
  if (level === 'root' && type !== '' && type !== 'object') {
    report(invalid(`${field}.type`, type, 'must be object at the root'));
  }
  metadata(schema, level, isEmbedded, field, report);
  if (isEmbedded && !preserves && properties.length === 0) {
    report(
      required(
        `${field}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    );
  }
}

function metadata(schema: JSONSchemaProps, level: Level, isEmbedded: boolean, field: string, report: Report): void {
  if (level !== 'root' && !isEmbedded) return;
  const properties = schema.properties ?? {};
  for (const name of ['kind', 'apiVersion']) {
    const each = properties[name];
    if (each && each.type !== 'string') {
      report(invalid(`${field}.properties[${name}].type`, each.type ?? '', 'must be string'));
    }
  }
  const meta = properties['metadata'];
  if (!meta) return;
  const at = `${field}.properties[metadata]`;
  if (meta.type !== 'object') report(invalid(`${at}.type`, meta.type ?? '', 'must be object'));
  if (level !== 'root') return;
  const { type: _t, default: _d, properties: below, ...rest } = meta;
  const known = Object.keys(below ?? {}).every((name) => name === 'name' || name === 'generateName');
  if (known && Object.keys(rest).length === 0) return;
  report(
    forbidden(at, 'must not specify anything other than name and generateName, but metadata is implicitly specified'),
  );
}

/** `anyOf: [{type: integer}, {type: string}]`, which int-or-string fields may say. */
const isIntOrStringAnyOf = (schema: JSONSchemaProps) =>
  deepEqual(schema.anyOf ?? [], [{ type: 'integer' }, { type: 'string' }]);

function values(
  schema: JSONSchemaProps,
  skipAnyOf: boolean,
  skipFirstAllOfAnyOf: boolean,
  field: string,
  report: Report,
): void {
  if (!skipAnyOf) schema.anyOf?.forEach((each, i) => nested(each, false, `${field}.anyOf[${i}]`, report));
  schema.allOf?.forEach((each, i) => nested(each, i === 0 && skipFirstAllOfAnyOf, `${field}.allOf[${i}]`, report));
  schema.oneOf?.forEach((each, i) => nested(each, false, `${field}.oneOf[${i}]`, report));
  if (schema.not) nested(schema.not, false, `${field}.not`, report);
  const pattern = schema.pattern ? compilePattern(schema.pattern) : undefined;
  if (pattern && 'problem' in pattern) {
    const why = `must be a valid regular expression, but isn't: ${pattern.problem}`;
    report(invalid(`${field}.pattern`, schema.pattern, why));
  }
}

/** What may be said inside a logical junctor: nothing that makes structure. */
function nested(schema: JSONSchemaProps, skipAnyOf: boolean, field: string, report: Report): void {
  values(schema, skipAnyOf, false, field, report);
  const items = schemaOf(schema.items);
  if (items) nested(items, false, `${field}.items`, report);
  for (const [name, each] of schemasOf(schema.properties)) nested(each, false, `${field}.properties[${name}]`, report);
  const refuse = (isThere: boolean, name: string, why: string) => {
    if (isThere) report(forbidden(`${field}.${name}`, `${why} to be structural`));
  };
  refuse(!!schema.type, 'type', 'must be empty');
  refuse(schema.additionalProperties !== undefined, 'additionalProperties', 'must be undefined');
  refuse(schema.default !== undefined, 'default', 'must be undefined');
  refuse(!!schema.title, 'title', 'must be empty');
  refuse(!!schema.description, 'description', 'must be empty');
  refuse(schema.nullable === true, 'nullable', 'must be false');
  refuse(schema.externalDocs !== undefined, 'externalDocs', 'must be undefined');
  for (const name of [
    'x-kubernetes-preserve-unknown-fields',
    'x-kubernetes-embedded-resource',
    'x-kubernetes-int-or-string',
  ] as const) {
    refuse(schema[name] === true, name, 'must be false');
  }
  refuse((schema['x-kubernetes-list-map-keys']?.length ?? 0) > 0, 'x-kubernetes-list-map-keys', 'must be empty');
  refuse(schema['x-kubernetes-list-type'] !== undefined, 'x-kubernetes-list-type', 'must be undefined');
  refuse(schema['x-kubernetes-map-type'] !== undefined, 'x-kubernetes-map-type', 'must be undefined');
  refuse((schema['x-kubernetes-validations']?.length ?? 0) > 0, 'x-kubernetes-validations', 'must be empty');
  if (schema.properties && 'metadata' in schema.properties) {
    report(forbidden(`${field}.properties[metadata]`, 'must not be specified in a nested context'));
  }
}

/** Every field and item that a junctor restricts is specified outside of it, too. */
function completeness(schema: JSONSchemaProps, structure: JSONSchemaProps, field: string, report: Report): void {
  for (const each of junctors(schema)) restricted(each.schema, structure, `${field}.${each.path}`, field, report);
  const items = schemaOf(structure.items);
  if (items) completeness(items, items, `${field}.items`, report);
  for (const [name, each] of schemasOf(structure.properties)) {
    completeness(each, each, `${field}.properties[${name}]`, report);
  }
  const additional = schemaOf(structure.additionalProperties);
  if (additional) completeness(additional, additional, `${field}.additionalProperties`, report);
}

function junctors(schema: JSONSchemaProps): { schema: JSONSchemaProps; path: string }[] {
  const found: { schema: JSONSchemaProps; path: string }[] = [];
  for (const name of ['allOf', 'anyOf', 'oneOf'] as const) {
    schema[name]?.forEach((each, i) => found.push({ schema: each, path: `${name}[${i}]` }));
  }
  if (schema.not) found.push({ schema: schema.not, path: 'not' });
  return found;
}

function restricted(
  schema: JSONSchemaProps,
  structure: JSONSchemaProps | undefined,
  from: string,
  at: string,
  report: Report,
): void {
  for (const each of junctors(schema)) restricted(each.schema, structure, `${from}.${each.path}`, at, report);
  const items = schemaOf(schema.items);
  if (items) {
    const below = schemaOf(structure?.items);
    if (!below) report(required(`${at}.items`, `because it is defined in ${from}.items`));
    else restricted(items, below, `${from}.items`, `${at}.items`, report);
  }
  for (const [name, each] of schemasOf(schema.properties)) {
    const below = structure?.properties?.[name];
    const path = `properties[${name}]`;
    if (!below) report(required(`${at}.${path}`, `because it is defined in ${from}.${path}`));
    else restricted(each, below, `${from}.${path}`, `${at}.${path}`, report);
  }
}
