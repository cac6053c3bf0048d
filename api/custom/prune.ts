// Pruning: what the schema does not name is dropped, and told (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning).
// Metadata of embedded resources becomes what an ObjectMeta can hold.
import { normalize, TypeMismatch } from '../normalize.ts';
import { isMap, type Json, META_FIELDS, type Structural } from './structural.ts';

interface Walk {
  dropped: string[];
  path: string[];
}

/** Drops unknown fields of an object at the root of its schema, in place. Returns their paths: `spec.a[0].b`. */
export function pruneObject(object: Json, schema: Structural): string[] {
  const walk: Walk = { dropped: [], path: [] };
  pruneMap(object, schema, true, walk);
  return walk.dropped.sort();
}

/** The same for a value inside. */
export function pruneValue(value: unknown, schema: Structural): string[] {
  const walk: Walk = { dropped: [], path: [] };
  prune(value, schema, walk);
  return walk.dropped.sort();
}

function prune(value: unknown, schema: Structural | undefined, walk: Walk): void {
  if (Array.isArray(value)) {
    const items = schema?.items;
    // Inside a value whose unknown fields are kept, only what is specified is looked into.
    if (schema?.preserve && !items) return;
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item !== 'object' || item === null) continue;
      walk.path.push(`[${i}]`);
      prune(item, items, walk);
      walk.path.pop();
    }
  } else if (isMap(value)) pruneMap(value, schema, schema?.embedded ?? false, walk);
}

function pruneMap(value: Json, schema: Structural | undefined, isResource: boolean, walk: Walk): void {
  for (const name of Object.keys(value)) {
    if (isResource && META_FIELDS.has(name)) {
      if (name === 'metadata' && walk.path.length > 0) value[name] = coerceMetadata(value[name], walk);
      continue;
    }
    const known = schema?.properties?.get(name);
    const below = known ?? (schema?.preserve && schema.additional === true ? undefined : schema?.additional);
    if (below === undefined) {
      if (schema?.preserve) continue;
      walk.dropped.push(pathOf(walk.path, name));
      delete value[name];
      continue;
    }
    const member = value[name];
    if (typeof member !== 'object' || member === null) continue;
    walk.path.push(name);
    // What `additionalProperties: true` allows has no schema: its objects lose all their fields.
    prune(member, below === true ? undefined : below, walk);
    walk.path.pop();
  }
}

function pathOf(path: readonly string[], name: string): string {
  let text = '';
  for (const step of [...path, name]) text += text === '' || step.startsWith('[') ? step : `.${step}`;
  return text;
}

/** Metadata of an embedded resource as far as it is metadata; validation says the rest. */
function coerceMetadata(value: unknown, walk: Walk): unknown {
  if (!isMap(value)) return value;
  try {
    const { object, problems } = normalize('meta.ObjectMeta', value, pathOf(walk.path, 'metadata'));
    for (const each of problems) {
      const field = /^unknown field "(.*)"$/.exec(each)?.[1];
      if (field !== undefined) walk.dropped.push(field);
    }
    return object;
  } catch (error) {
    if (error instanceof TypeMismatch) return value;
    throw error;
  }
}
