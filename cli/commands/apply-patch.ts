// The strategic merge patch of an apply: everything the manifest says, and a removal of what it said before and says no
// longer. Lists with merge keys are taken from the schema. Pure.
import { parseApiVersion, type KubeObject } from '../../api/object.ts';
import { findDefinition, groupDefinitions, type Definition, type Field } from '../../api/schema.ts';

type Json = unknown;
type JsonObject = Record<string, Json>;

export function applyPatch(before: KubeObject, wanted: KubeObject): JsonObject {
  return patchObject(before as unknown as JsonObject, wanted as unknown as JsonObject, definitionOf(wanted));
}

function definitionOf(object: KubeObject): Definition | undefined {
  const gv = parseApiVersion(object.apiVersion ?? '');
  if (!gv) return undefined;
  const group = gv.group === '' ? 'core' : (gv.group.split('.')[0] as string);
  return groupDefinitions(`${group}.${gv.version}`).get(`${group}.${gv.version}.${object.kind}`);
}

function patchObject(before: JsonObject, wanted: JsonObject, type: Definition | undefined): JsonObject {
  const patch: JsonObject = {};
  for (const [key, value] of Object.entries(wanted)) {
    patch[key] = patchValue(before[key], value, type?.fields.get(key));
  }
  for (const key of Object.keys(before)) if (!(key in wanted)) patch[key] = null;
  return patch;
}

function patchValue(before: Json, wanted: Json, field: Field | undefined): Json {
  if (isObject(wanted)) {
    const of = field?.type.kind === 'ref' ? findDefinition(field.type.name) : undefined;
    return patchObject(isObject(before) ? before : {}, wanted, of);
  }
  const key = field?.patchStrategy.includes('merge') ? field.patchMergeKey : undefined;
  if (!Array.isArray(wanted) || !Array.isArray(before) || !key || field?.type.kind !== 'list') return wanted;
  const of = field.type.of.kind === 'ref' ? findDefinition(field.type.of.name) : undefined;
  const items = wanted.map((item) => {
    const old = before.find((each) => isObject(each) && isObject(item) && each[key] === item[key]);
    return isObject(item) ? patchObject(isObject(old) ? old : {}, item, of) : item;
  });
  for (const old of before) {
    if (isObject(old) && !wanted.some((item) => isObject(item) && item[key] === old[key])) {
      items.push({ $patch: 'delete', [key]: old[key] });
    }
  }
  return items;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
