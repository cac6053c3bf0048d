// Objects inside objects (x-kubernetes-embedded-resource): each must say what it is and have metadata that could be one.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { validateMetadata } from '../metadata.ts';
import { isDns1035Label } from '../names.ts';
import type { ObjectMeta } from '../types/meta.ts';
import { isMap, type Json, type Structural } from './structural.ts';

/** Of everything below the root, whose own metadata the registry checks. */
export function validateEmbedded(value: unknown, schema: Structural): FieldError[] {
  const found: FieldError[] = [];
  walk(value, schema, '', false, found);
  return found;
}

function walk(value: unknown, schema: Structural, path: string, isResource: boolean, found: FieldError[]): void {
  if (Array.isArray(value)) {
    if (!schema.items) return;
    for (let i = 0; i < value.length; i++) walk(value[i], schema.items, `${path}[${i}]`, schema.items.embedded, found);
    return;
  }
  if (!isMap(value)) return;
  if (isResource) validateResource(value, path, found);
  for (const name in value) {
    const property = schema.properties?.get(name);
    if (property) walk(value[name], property, path === '' ? name : `${path}.${name}`, property.embedded, found);
    else if (schema.additional && schema.additional !== true) {
      walk(value[name], schema.additional, `${path}[${name}]`, schema.additional.embedded, found);
    }
  }
}

function validateResource(value: Json, path: string, found: FieldError[]): void {
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    found.push(fieldErrors.required(`${path}.apiVersion`, 'must not be empty'));
  } else if (apiVersion.split('/').length > 2) {
    found.push(fieldErrors.invalid(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  }
  if (typeof kind !== 'string' || kind === '') {
    found.push(fieldErrors.required(`${path}.kind`, 'must not be empty'));
  } else {
    const wrong = isDns1035Label(kind.toLowerCase());
    if (wrong.length > 0) {
      const why = `may have mixed case, but should otherwise match: ${wrong.join(',')}`;
      found.push(fieldErrors.invalid(`${path}.kind`, kind, why));
    }
  }
  if (metadata === undefined) return;
  if (!isMap(metadata)) {
    found.push(fieldErrors.invalid(`${path}.metadata`, metadata, 'must be an object'));
    return;
  }
  const meta = metadata as ObjectMeta;
  found.push(
    ...validateMetadata(
      meta,
      // An embedded object may have a namespace or none, and need not have a name.
      { namespaced: meta.namespace !== undefined, validateName: () => [] },
      `${path}.metadata`,
    ).filter((each) => each.type !== 'FieldValueRequired'),
  );
}
