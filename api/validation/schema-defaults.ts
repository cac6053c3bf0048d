// Defaults in the schema of a custom resource: each must be valid and pruned
// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go).
import { validateEmbedded } from '../custom/embedded.ts';
import { pruneValue } from '../custom/prune.ts';
import { type Structural, structuralOf } from '../custom/structural.ts';
import { validateValue } from '../custom/validate.ts';
import { deepClone, deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { JSONSchemaProps } from '../types/apiextensions-v1.ts';

export function validateDefaults(schema: JSONSchemaProps, field: string): FieldError[] {
  const found: FieldError[] = [];
  walk(structuralOf(schema), field, found);
  return found;
}

function walk(schema: Structural, field: string, found: FieldError[]): void {
  if (schema.default !== undefined) {
    const value = schema.default;
    const pruned = deepClone(value);
    pruneValue(pruned, schema);
    if (!deepEqual(pruned, value)) {
      found.push(fieldErrors.invalid(`${field}.default`, value, 'must not have unknown fields'));
    }
    const wrong = [...validateEmbedded(value, schema), ...validateValue(value, schema)];
    for (const each of wrong) found.push({ ...each, field: placed(each.field, `${field}.default`) });
  }
  // Not inside additionalProperties: defaults are forbidden there.
  if (schema.items) walk(schema.items, `${field}.items`, found);
  for (const [name, each] of schema.properties ?? []) walk(each, `${field}.properties[${name}]`, found);
}

/** Where a finding about a default is: below the default. */
const placed = (field: string, at: string) => (field === '' || field === '<nil>' ? at : `${at}.${field}`);
