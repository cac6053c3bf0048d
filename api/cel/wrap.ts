// JSON to values, by declared type and lazily: a big object costs nothing until an expression looks into it.
import { parseDate, parseDuration, parseTimestamp } from './library/time.ts';
import type { CelType, ListType, ObjectType } from './types.ts';
import {
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  isMap,
  isStruct,
  JsonMap,
  JsonStruct,
} from './values.ts';

export type Wrap = (json: unknown) => CelValue;

const known = new WeakMap<CelType, Wrap>();

/** The reader of values of a type; made once per type. */
export function wrapper(type: CelType): Wrap {
  let found = known.get(type);
  if (!found) {
    found = makeWrapper(type);
    known.set(type, found);
  }
  return found;
}

/** A value of the engine as it is, JSON by its own type: whole numbers are ints. */
export function wrapAny(json: unknown): CelValue {
  switch (typeof json) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return json;
    case 'number':
      return Number.isSafeInteger(json) ? json : new CelDouble(json);
    case 'object':
      if (json === null) return null;
      if (Array.isArray(json)) return new CelList(json, wrapAny);
      if (isValue(json)) return json;
      return new JsonMap(json as Record<string, unknown>, wrapAny);
    default:
      return null;
  }
}

function isValue(value: object): value is CelValue & object {
  // Nearly everything is plain JSON.
  if (Object.getPrototypeOf(value) === Object.prototype) return false;
  return (
    value instanceof CelList ||
    isMap(value as CelValue) ||
    isStruct(value as CelValue) ||
    value instanceof CelUint ||
    value instanceof CelDouble ||
    value instanceof CelTimestamp ||
    value instanceof CelDuration ||
    value instanceof CelTypeValue ||
    value instanceof CelOptional ||
    value instanceof CelOpaque ||
    value instanceof CelError ||
    value instanceof Uint8Array
  );
}

const wrong = (expected: string, json: unknown) =>
  new CelError(
    `invalid data, expected a ${expected}, got ${json === null ? 'null' : Array.isArray(json) ? 'list' : typeof json}`,
  );

function makeWrapper(type: CelType): Wrap {
  const read = readerOf(type);
  return (json) => {
    if (json === null) return null;
    return typeof json === 'object' && !Array.isArray(json) && isValue(json as object)
      ? (json as CelValue)
      : read(json);
  };
}

function readerOf(type: CelType): Wrap {
  switch (type.kind) {
    case 'bool':
      return (json) => (typeof json === 'boolean' ? json : wrong('bool', json));
    case 'string':
      return (json) => (typeof json === 'string' ? json : wrong('string', json));
    case 'int':
      return (json) =>
        typeof json === 'bigint' || Number.isInteger(json) ? (json as number | bigint) : wrong('int', json);
    case 'uint':
      return (json) => (Number.isInteger(json) ? new CelUint(BigInt(json as number)) : wrong('uint', json));
    case 'double':
      return (json) => (typeof json === 'number' ? new CelDouble(json) : wrong('double', json));
    case 'bytes':
      return (json) =>
        typeof json === 'string' ? Uint8Array.from(Buffer.from(json, 'base64')) : wrong('string', json);
    case 'duration':
      return (json) => (typeof json === 'string' ? parseDuration(json) : wrong('string', json));
    case 'timestamp':
      return (json) =>
        typeof json !== 'string' ? wrong('string', json) : json.length === 10 ? parseDate(json) : parseTimestamp(json);
    case 'list':
      return listReader(type);
    case 'map':
      return (json) =>
        typeof json === 'object' && !Array.isArray(json)
          ? new JsonMap(json as Record<string, unknown>, wrapper(type.value))
          : wrong('map', json);
    case 'object':
      return objectReader(type);
    default:
      return wrapAny;
  }
}

function listReader(type: ListType): Wrap {
  const { element, identity } = type;
  return (json) => (Array.isArray(json) ? new CelList(json, wrapper(element), identity) : wrong('list', json));
}

function objectReader(type: ObjectType): Wrap {
  let fields: Map<string, { jsonName: string; wrap: Wrap }> | undefined;
  return (json) => {
    if (typeof json !== 'object' || Array.isArray(json)) return wrong('object', json);
    fields ??= new Map(
      [...type.fields].map(([name, field]) => [name, { jsonName: field.jsonName ?? name, wrap: wrapper(field.type) }]),
    );
    return new JsonStruct(json as Record<string, unknown>, type.name, fields);
  };
}
