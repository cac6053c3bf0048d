// Values against their schema, in the words of upstream's OpenAPI validator (k8s.io/kube-openapi/pkg/validation). On an
// update what is as it was is not judged again, whatever the schema says of it now (ratcheting).
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { hasFormat } from './formats.ts';
import { isMap, type Json, type Structural, type ValueRules } from './structural.ts';

/** `old` undefined: nothing is compared. */
export function validateValue(value: unknown, schema: Structural, old?: unknown, path = ''): FieldError[] {
  const found: FieldError[] = [];
  check(value, schema, path, old, found);
  return found;
}

type Found = FieldError[];

function check(value: unknown, schema: Structural, path: string, old: unknown, found: Found): void {
  if (old !== undefined && deepEqual(value, old)) return;
  checkType(value, schema, path, found);
  if (value === null || value === undefined) return checkEnum(value, schema.values, path, found);
  checkComposites(value, schema, path, found);
  const { values } = schema;
  if (typeof value === 'string') checkString(value, values, path, found);
  else if (typeof value === 'number') checkNumber(value, values, path, found);
  else if (Array.isArray(value)) checkItems(value, schema, path, old, found);
  checkEnum(value, values, path, found);
  if (isMap(value)) checkMembers(value, schema, path, old, found);
}

const typeOf = (value: unknown): string => {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
};

function checkType(value: unknown, schema: Structural, path: string, found: Found): void {
  const wanted = schema.intOrString ? 'integer,string' : schema.type;
  if (wanted === '') return;
  const actual = typeOf(value);
  if (actual === 'null') {
    if (!schema.nullable) found.push(typeError(path, wanted, 'null'));
    return;
  }
  if (schema.intOrString) {
    if (actual !== 'integer' && actual !== 'string') found.push(typeError(path, wanted, actual));
    return;
  }
  if (actual === wanted || (actual === 'integer' && wanted === 'number')) return;
  found.push(typeError(path, wanted, actual));
}

const typeError = (path: string, wanted: string, actual: string) =>
  fieldErrors.typeInvalid(path, actual, `${path} in body must be of type ${wanted}: ${JSON.stringify(actual)}`);

const invalid = (path: string, value: unknown, text: string) =>
  fieldErrors.invalid(path, value, `${path} in body ${text}`);

function checkEnum(value: unknown, { enum: allowed }: ValueRules, path: string, found: Found): void {
  if (!allowed || value === undefined || allowed.some((each) => deepEqual(each, value))) return;
  found.push(
    fieldErrors.notSupported(
      path,
      value,
      allowed.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))),
    ),
  );
}

function checkString(value: string, rules: ValueRules, path: string, found: Found): void {
  const { maxLength, minLength, pattern, format } = rules;
  if (maxLength !== undefined || minLength !== undefined) {
    // Characters, not UTF-16 units.
    const length = [...value].length;
    if (maxLength !== undefined && length > maxLength) found.push(fieldErrors.tooLong(path, maxLength));
    if (minLength !== undefined && length < minLength) {
      found.push(invalid(path, value, `should be at least ${minLength} chars long`));
    }
  }
  if (pattern && !pattern.regex.test(value)) found.push(invalid(path, value, `should match '${pattern.text}'`));
  if (format && !hasFormat(value, format)) {
    found.push(
      fieldErrors.typeInvalid(path, value, `${path} in body must be of type ${format}: ${JSON.stringify(value)}`),
    );
  }
}

const INTEGER_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
};

function checkNumber(value: number, rules: ValueRules, path: string, found: Found): void {
  const { multipleOf, maximum, minimum, format } = rules;
  if (multipleOf !== undefined && multipleOf > 0 && !isMultiple(value, multipleOf)) {
    found.push(invalid(path, value, `should be a multiple of ${multipleOf}`));
  }
  if (maximum && (maximum.isExclusive ? value >= maximum.limit : value > maximum.limit)) {
    found.push(
      invalid(path, value, `should be less than ${maximum.isExclusive ? '' : 'or equal to '}${maximum.limit}`),
    );
  }
  if (minimum && (minimum.isExclusive ? value <= minimum.limit : value < minimum.limit)) {
    found.push(
      invalid(path, value, `should be greater than ${minimum.isExclusive ? '' : 'or equal to '}${minimum.limit}`),
    );
  }
  const range = INTEGER_RANGES[format];
  if (range && (value < range[0] || value > range[1])) {
    found.push(
      fieldErrors.invalid(path, value, `Checked value must be of type integer with format ${format} in ${path}`),
    );
  }
}

function isMultiple(value: number, of: number): boolean {
  const quotient = value / of;
  return Math.abs(quotient - Math.round(quotient)) < 1e-9;
}

function checkItems(value: unknown[], schema: Structural, path: string, old: unknown, found: Found): void {
  const { maxItems, minItems } = schema.values;
  if (schema.items) {
    const oldItem = Array.isArray(old) ? correlated(schema, old) : undefined;
    value.forEach((item, i) => {
      check(item, schema.items as Structural, `${path}[${i}]`, oldItem?.(item), found);
    });
  }
  if (minItems !== undefined && value.length < minItems) {
    found.push(fieldErrors.invalid(path, value.length, `${path} in body should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) found.push(fieldErrors.tooMany(path, value.length, maxItems));
}

/** Finds the item before the update that an item now is; only items with keys can be told. */
export function correlated(schema: Structural, old: readonly unknown[]): ((item: unknown) => unknown) | undefined {
  if (schema.listType !== 'map') return undefined;
  const keyOf = (item: unknown) =>
    isMap(item) ? JSON.stringify(schema.mapKeys.map((key) => item[key] ?? null)) : undefined;
  const byKey = new Map<string | undefined, unknown>();
  for (const each of old) byKey.set(keyOf(each), each);
  return (item) => byKey.get(keyOf(item));
}

function checkMembers(value: Json, schema: Structural, path: string, old: unknown, found: Found): void {
  const { maxProperties, minProperties, required } = schema.values;
  const count = maxProperties !== undefined || minProperties !== undefined ? Object.keys(value).length : 0;
  if (minProperties !== undefined && count < minProperties) {
    found.push(fieldErrors.invalid(path, count, `${path} in body should have at least ${minProperties} properties`));
  }
  if (maxProperties !== undefined && count > maxProperties) {
    found.push(fieldErrors.tooMany(path, count, maxProperties));
  }
  for (const name of required) {
    if (!Object.hasOwn(value, name)) found.push(fieldErrors.required(member(path, name)));
  }
  const before = isMap(old) ? old : undefined;
  for (const name in value) {
    const below = schema.properties?.get(name) ?? schema.additional;
    if (!below || below === true) continue;
    const was = before && Object.hasOwn(before, name) ? before[name] : undefined;
    check(value[name], below, member(path, name), was, found);
  }
}

const member = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

/** Upstream's path of what concerns the whole object. */
const nowhere = (text: string): FieldError => fieldErrors.invalid('<nil>', '', text);

function checkComposites(value: unknown, schema: Structural, path: string, found: Found): void {
  const { allOf, anyOf, oneOf, not } = schema.values;
  if (allOf.length === 0 && anyOf.length === 0 && oneOf.length === 0 && !not) return;
  const attempt = (each: Structural): Found => {
    const errors: Found = [];
    check(value, each, path, undefined, errors);
    return errors;
  };
  const where = JSON.stringify(path);
  if (anyOf.length > 0 && !isIntOrStringAnyOf(schema)) {
    const failed = firstSuccess(anyOf, attempt);
    if (failed) {
      found.push(nowhere(`${where} must validate at least one schema (anyOf)`), ...failed);
    }
  }
  if (oneOf.length > 0) {
    const outcomes = oneOf.map(attempt);
    const valid = outcomes.filter((each) => each.length === 0).length;
    if (valid !== 1) {
      const why = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
      found.push(nowhere(`${where} must validate one and only one schema (oneOf). ${why}`));
      if (valid === 0) found.push(...fewest(outcomes));
    }
  }
  if (allOf.length > 0) {
    const outcomes = allOf.map(attempt);
    const failed = outcomes.filter((each) => each.length > 0);
    if (failed.length > 0) {
      const why = failed.length === allOf.length ? '. None validated' : '';
      found.push(...failed.flat(), nowhere(`${where} must validate all the schemas (allOf)${why}`));
    }
  }
  if (not && attempt(not).length === 0) found.push(nowhere(`${where} must not validate the schema (not)`));
}

const fewest = (outcomes: readonly Found[]): Found =>
  outcomes.reduce((best, each) => (each.length < best.length ? each : best));

/** Undefined when one succeeds; else the errors of the one that came closest. */
function firstSuccess(schemas: readonly Structural[], attempt: (schema: Structural) => Found): Found | undefined {
  const outcomes: Found[] = [];
  for (const each of schemas) {
    const errors = attempt(each);
    if (errors.length === 0) return undefined;
    outcomes.push(errors);
  }
  return fewest(outcomes);
}

/** The form in which schemas write int-or-string; its type check says it better. */
const isIntOrStringAnyOf = (schema: Structural) =>
  schema.intOrString &&
  schema.values.anyOf.length === 2 &&
  schema.values.anyOf.every((each) => each.type === 'integer' || each.type === 'string');
