// Defaulting: absent properties get the schema's defaults; nulls that may not be are replaced by the default or dropped
// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting).
import { deepClone, setOwn } from '../equality.ts';
import { isMap, type Json, type Structural } from './structural.ts';

/** In place; idempotent. */
export function applyDefaults(value: unknown, schema: Structural): void {
  if (Array.isArray(value)) return defaultItems(value, schema);
  if (isMap(value)) defaultMembers(value, schema);
}

const isUnwantedNull = (value: unknown, schema: Structural) => value === null && !schema.nullable;

function defaultMembers(value: Json, schema: Structural): void {
  if (schema.properties) {
    for (const [name, property] of schema.properties) {
      const isThere = Object.hasOwn(value, name);
      if (property.default !== undefined && (!isThere || isUnwantedNull(value[name], property))) {
        setOwn(value, name, deepClone(property.default));
      } else if (!isThere) continue;
      else if (isUnwantedNull(value[name], property)) {
        delete value[name];
        continue;
      }
      applyDefaults(value[name], property);
    }
  }
  const additional = schema.additional;
  if (!additional || additional === true) return;
  for (const name of Object.keys(value)) {
    if (schema.properties?.has(name)) continue;
    if (isUnwantedNull(value[name], additional)) {
      if (additional.default === undefined) {
        delete value[name];
        continue;
      }
      setOwn(value, name, deepClone(additional.default));
    }
    applyDefaults(value[name], additional);
  }
}

function defaultItems(value: unknown[], schema: Structural): void {
  const items = schema.items;
  if (!items) return;
  for (let i = 0; i < value.length; i++) {
    if (isUnwantedNull(value[i], items) && items.default !== undefined) value[i] = deepClone(items.default);
    applyDefaults(value[i], items);
  }
}
