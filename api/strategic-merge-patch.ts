// Strategic merge patch: lists merge by the keys that the schema declares, and directives say the rest (`$patch`, `$retainKeys`,
// `$deleteFromPrimitiveList/…`, `$setElementOrder/…`). Rules and messages are upstream's
// (k8s.io/apimachinery/pkg/util/strategicpatch). Neither target nor patch is changed.
import { deepClone, setOwn } from './equality.ts';
import { ApiError, errors } from './errors.ts';
import { type Definition, definition, type Field, type TypeRef } from './schema.ts';

type Json = Record<string, unknown>;

const PATCH = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_FROM = '$deleteFromPrimitiveList';
const SET_ORDER = '$setElementOrder';

const BAD_DELETE_LIST = 'invalid patch format of primitive list';
const BAD_RETAIN_KEYS = 'invalid patch format of retainKeys';
const BAD_SET_ORDER = 'invalid patch format of setElementOrder list';

/** Where in the schema a value stands; undefined below free-form JSON, which merges like a merge patch. */
type Place = { kind: 'struct'; definition: Definition } | { kind: 'map'; of: TypeRef } | undefined;

interface ListRule {
  strategy: 'merge' | 'replace';
  mergeKey: string;
  element: Place;
}

/**
 * Applies `patch` to `target`, an object of the definition `schema`. Throws ApiError 400 for a malformed patch, 415 when
 * there is no schema (custom resources).
 */
export function applyStrategicMergePatch(schema: string, target: unknown, patch: unknown): unknown {
  if (schema === '') {
    throw new ApiError(
      415,
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    );
  }
  if (!isObject(patch)) {
    throw errors.badRequest(`json: cannot unmarshal ${goKind(patch)} into Go value of type map[string]interface {}`);
  }
  return mergeMap(isObject(target) ? deepClone(target) : {}, deepClone(patch), {
    kind: 'struct',
    definition: definition(schema),
  });
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const goKind = (value: unknown) =>
  Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value;

/** Both are ours to change. */
function mergeMap(original: Json, patch: Json, place: Place): Json {
  if (Object.hasOwn(patch, PATCH)) return applyMapDirective(patch);
  retainKeys(original, patch);
  setElementOrders(original, patch, place);
  for (const key of Object.keys(patch)) {
    if (key.startsWith(DELETE_FROM)) {
      deleteFromList(original, directiveTarget(key, DELETE_FROM, BAD_DELETE_LIST), patch[key]);
      continue;
    }
    const value = patch[key];
    if (value === null) {
      delete original[key];
      continue;
    }
    const before = Object.hasOwn(original, key) ? original[key] : undefined;
    if (isObject(before) && isObject(value)) {
      const field = fieldOf(place, key);
      const replaces = field?.patchStrategy.includes('replace');
      setOwn(original, key, replaces ? value : mergeMap(before, value, placeIn(place, key)));
    } else if (Array.isArray(before) && Array.isArray(value)) {
      setOwn(original, key, mergeList(before, value, listRule(place, key)));
    } else {
      // Nothing to merge with, or something of another type: the patch's value stands, without its directives.
      const cleaned = withoutDirectives(withoutNulls(value));
      if (cleaned === undefined) delete original[key];
      else setOwn(original, key, cleaned);
    }
  }
  return original;
}

function applyMapDirective(patch: Json): Json {
  const { [PATCH]: directive, ...rest } = patch;
  if (directive === 'replace') return rest;
  if (directive === 'delete') return {};
  throw badType(directive, patch);
}

function retainKeys(original: Json, patch: Json): void {
  if (!Object.hasOwn(patch, RETAIN_KEYS)) return;
  const list = patch[RETAIN_KEYS];
  delete patch[RETAIN_KEYS];
  if (!Array.isArray(list)) throw errors.badRequest(BAD_RETAIN_KEYS);
  const retained = new Set<unknown>(list);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || key.startsWith(DELETE_FROM) || key.startsWith(SET_ORDER)) continue;
    if (!retained.has(key)) throw errors.badRequest(BAD_RETAIN_KEYS);
  }
  for (const key of Object.keys(original)) if (!retained.has(key)) delete original[key];
}

/** Merges each list that has an order in the patch, and puts it in that order. Takes those keys out of the patch. */
function setElementOrders(original: Json, patch: Json, place: Place): void {
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(SET_ORDER)) continue;
    const order = needList(patch[key]);
    delete patch[key];
    const name = directiveTarget(key, SET_ORDER, BAD_SET_ORDER);
    const before = Object.hasOwn(original, name) ? needList(original[name]) : undefined;
    const changes = Object.hasOwn(patch, name) ? needList(patch[name]) : undefined;
    const rule = listRule(place, name);
    checkOrder(changes ?? [], order, rule.mergeKey);
    delete patch[name];
    let merged: unknown[];
    if (before && changes) merged = mergeList([...before], changes, rule);
    else if (before) merged = before;
    else if (changes) merged = withoutDirectives(changes) as unknown[];
    else continue;
    original[name] = inOrder(merged, order, before ?? [], elementKind([before ?? [], changes ?? []]), rule.mergeKey);
  }
}

function directiveTarget(key: string, prefix: string, message: string): string {
  if (!key.startsWith(`${prefix}/`)) throw errors.badRequest(message);
  return key.slice(prefix.length + 1);
}

function deleteFromList(original: Json, name: string, toDelete: unknown): void {
  if (toDelete === null) {
    delete original[name];
    return;
  }
  if (!Object.hasOwn(original, name)) return;
  const before = original[name];
  if (!Array.isArray(before) || !Array.isArray(toDelete)) {
    if (Array.isArray(before) === Array.isArray(toDelete)) throw badArgument('[]interface {}', before);
    return;
  }
  if (elementKind([before, toDelete]) === 'map') {
    throw errors.badRequest('cannot merge lists without merge key for ');
  }
  const gone = new Set(toDelete);
  original[name] = before.filter((each) => !gone.has(each));
}

/** The patch's items must come in the order that the patch itself sets. */
function checkOrder(changes: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (changes.length === 0 || order.length === 0) return;
  const present = mergeKey === '' ? changes : changes.filter((each) => !isObject(each) || !Object.hasOwn(each, PATCH));
  let at = 0;
  for (const each of order) {
    if (at >= present.length) return;
    if (identity(present[at], mergeKey) === identity(each, mergeKey)) at++;
  }
  if (at < present.length) {
    throw errors.badRequest(
      `The order in patch list:\n${goFormat(changes)}\n doesn't match ${SET_ORDER} list:\n${goFormat(order)}\n`,
    );
  }
}

function mergeList(original: unknown[], patch: unknown[], rule: ListRule): unknown[] {
  if (rule.strategy !== 'merge') return withoutNulls(patch) as unknown[];
  if (original.length === 0 && patch.length === 0) return original;
  const kind = elementKind([original, patch]);
  if (kind !== 'map') return inOrder([...new Set([...original, ...patch])], patch, original, kind, '');
  if (rule.mergeKey === '') {
    const name = rule.element?.kind === 'struct' ? goName(rule.element.definition) : '';
    throw errors.badRequest(`cannot merge lists without merge key for ${name}`);
  }
  const { kept, changes } = applyListDirectives(original as Json[], patch as Json[], rule.mergeKey);
  const merged = [...kept];
  const places = new Map(merged.map((each, index) => [each[rule.mergeKey], index]).reverse() as [unknown, number][]);
  for (const change of changes) {
    const id = identity(change, rule.mergeKey);
    const at = places.get(id);
    if (at === undefined) {
      places.set(id, merged.length);
      merged.push(withoutNulls(change) as Json);
    } else merged[at] = mergeMap(merged[at] as Json, change, rule.element);
  }
  return inOrder(merged, changes, kept, kind, rule.mergeKey);
}

function applyListDirectives(original: Json[], patch: Json[], mergeKey: string): { kept: Json[]; changes: Json[] } {
  const changes: Json[] = [];
  const gone = new Set<unknown>();
  let replaces = false;
  for (const each of patch) {
    if (!Object.hasOwn(each, PATCH)) {
      changes.push(each);
      continue;
    }
    switch (each[PATCH]) {
      case 'delete':
        gone.add(identity(each, mergeKey));
        break;
      case 'replace':
        replaces = true;
        break;
      case 'merge':
        throw errors.badRequest('merging lists cannot yet be specified in the patch');
      default:
        throw badType(each[PATCH], each);
    }
  }
  if (replaces) return { kept: withoutNulls(changes) as Json[], changes: [] };
  return { kept: gone.size === 0 ? original : original.filter((each) => !gone.has(each[mergeKey])), changes };
}

/**
 * Sorts a merged list: the items that `order` names come in its order; the others keep their places among those that
 * `server` had too, and come after the new ones.
 */
function inOrder(
  merged: readonly unknown[],
  order: readonly unknown[],
  server: readonly unknown[],
  kind: string,
  mergeKey: string,
): unknown[] {
  const key = kind === 'map' ? mergeKey : '';
  const rank = (list: readonly unknown[]) => {
    const ranks = new Map<unknown, number>();
    list.forEach((each, index) => {
      const id = identity(each, key);
      if (!ranks.has(id)) ranks.set(id, index);
    });
    return ranks;
  };
  const ordered = rank(order);
  const served = rank(server);
  const sortBy = (ranks: Map<unknown, number>, items: unknown[]) =>
    items.sort((a, b) => (ranks.get(identity(a, key)) ?? Infinity) - (ranks.get(identity(b, key)) ?? Infinity) || 0);
  const named = sortBy(
    ordered,
    merged.filter((each) => ordered.has(identity(each, key))),
  );
  const others = sortBy(
    served,
    merged.filter((each) => !ordered.has(identity(each, key))),
  );
  const result: unknown[] = [];
  let left = 0;
  let right = 0;
  while (left < others.length || right < named.length) {
    if (right >= named.length) result.push(others[left++]);
    else if (left >= others.length) result.push(named[right++]);
    else {
      const a = served.get(identity(others[left], key));
      const b = served.get(identity(named[right], key));
      result.push(a !== undefined && b !== undefined && a < b ? others[left++] : named[right++]);
    }
  }
  return result;
}

/** What tells an item from the others of its list: its merge key's value, or itself. */
function identity(item: unknown, mergeKey: string): unknown {
  if (mergeKey === '') return item;
  if (!isObject(item)) throw badArgument('map[string]interface {}', item);
  if (!Object.hasOwn(item, mergeKey)) {
    throw errors.badRequest(`map: ${goFormat(item)} does not contain declared merge key: ${mergeKey}`);
  }
  return item[mergeKey];
}

/** The one type that all elements have. */
function elementKind(lists: readonly (readonly unknown[])[]): string {
  let kind: string | undefined;
  for (const list of lists) {
    for (const each of list) {
      const found = isObject(each) ? 'map' : goKind(each);
      if (found === 'array') throw errors.badRequest('lists of lists are not supported');
      if (kind !== undefined && kind !== found) {
        throw errors.badRequest(`list element types are not identical: [${lists.map(goFormat).join(' ')}]`);
      }
      kind = found;
    }
  }
  return kind ?? 'string';
}

function needList(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw badArgument('[]interface {}', value);
  return value;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const result: Json = {};
  for (const key of Object.keys(value)) if (value[key] !== null) setOwn(result, key, withoutNulls(value[key]));
  return result;
}

/** Undefined for a map that is only a directive. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((each) => each !== undefined);
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, PATCH)) return undefined;
  const result: Json = {};
  for (const key of Object.keys(value)) {
    const member = withoutDirectives(value[key]);
    if (member !== undefined) setOwn(result, key, member);
  }
  return result;
}

function fieldOf(place: Place, name: string): Field | undefined {
  return place?.kind === 'struct' ? place.definition.fields.get(name) : undefined;
}

function placeOf(type: TypeRef | undefined): Place {
  if (type?.kind === 'map') return { kind: 'map', of: type.of };
  if (type?.kind !== 'ref') return undefined;
  const found = definition(type.name);
  return found.scalar === undefined ? { kind: 'struct', definition: found } : undefined;
}

function placeIn(place: Place, name: string): Place {
  return placeOf(place?.kind === 'map' ? place.of : fieldOf(place, name)?.type);
}

function listRule(place: Place, name: string): ListRule {
  const field = fieldOf(place, name);
  const element = field?.type.kind === 'list' ? placeOf(field.type.of) : undefined;
  return {
    strategy: field?.patchStrategy.includes('merge') ? 'merge' : 'replace',
    mergeKey: field?.patchMergeKey ?? '',
    element,
  };
}

const goName = (def: Definition) => def.name.slice(def.name.lastIndexOf('.') + 1);

const badType = (directive: unknown, map: Json) =>
  errors.badRequest(`unknown patch type: ${goFormat(directive)} in map: ${goFormat(map)}`);

function badArgument(expected: string, actual: unknown): ApiError {
  const found = Array.isArray(actual)
    ? '[]interface {}'
    : isObject(actual)
      ? 'map[string]interface {}'
      : actual === null || actual === undefined
        ? '%!s(<nil>)'
        : typeof actual === 'number'
          ? Number.isInteger(actual)
            ? 'int64'
            : 'float64'
          : goKind(actual);
  return errors.badRequest(`expected a ${expected}, but received a ${found}`);
}

/** As Go's %v prints JSON values: `map[a:1 b:[x y]]`. */
export function goFormat(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goFormat).join(' ')}]`;
  if (!isObject(value)) return String(value);
  const keys = Object.keys(value).sort();
  return `map[${keys.map((key) => `${key}:${goFormat(value[key])}`).join(' ')}]`;
}
