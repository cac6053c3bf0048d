// Lists that are sets or maps must not have an item twice (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype).
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isMap, type Json, type Structural } from './structural.ts';

export function validateListTypes(value: unknown, schema: Structural, path = '', old?: unknown): FieldError[] {
  const found: FieldError[] = [];
  // What was doubled before and is as it was may stay.
  if (old === undefined || !deepEqual(value, old)) walk(value, schema, path, found);
  return found;
}

function walk(value: unknown, schema: Structural, path: string, found: FieldError[]): void {
  if (Array.isArray(value)) {
    if (schema.listType === 'set') reportDoubles(value, (item) => item, path, found);
    if (schema.listType === 'map') reportDoubles(value, (item) => keysOf(item, schema.mapKeys), path, found);
    if (!schema.items) return;
    for (let i = 0; i < value.length; i++) walk(value[i], schema.items, `${path}[${i}]`, found);
    return;
  }
  if (!isMap(value)) return;
  for (const name in value) {
    const property = schema.properties?.get(name);
    if (property) walk(value[name], property, path === '' ? name : `${path}.${name}`, found);
    else if (schema.additional && schema.additional !== true) {
      walk(value[name], schema.additional, `${path}[${name}]`, found);
    }
  }
}

const keysOf = (item: unknown, keys: readonly string[]): unknown => {
  if (!isMap(item)) return item;
  const found: Json = {};
  for (const key of keys) if (Object.hasOwn(item, key)) found[key] = item[key];
  return found;
};

function reportDoubles(list: readonly unknown[], keyOf: (item: unknown) => unknown, path: string, found: FieldError[]) {
  const seen = new Set<string>();
  const reported = new Set<string>();
  list.forEach((item, i) => {
    const key = keyOf(item);
    const text = canonical(key);
    if (seen.has(text) && !reported.has(text)) {
      found.push(fieldErrors.duplicate(`${path}[${i}]`, key));
      reported.add(text);
    }
    seen.add(text);
  });
}

/** The same text for equal values, whatever the order of their members. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isMap(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}
