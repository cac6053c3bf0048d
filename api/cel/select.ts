// Fields, keys and indexes of values, and whether they are there.
import {
  CelDouble,
  CelError,
  CelList,
  CelOptional,
  CelUint,
  type CelValue,
  isInt,
  isMap,
  isStruct,
  normalInt,
  typeName,
} from './values.ts';

const noSuchKey = (key: CelValue) => new CelError(`no such key: ${keyText(key)}`);

function keyText(key: CelValue): string {
  if (key instanceof CelUint || key instanceof CelDouble) return String(key.value);
  return typeof key === 'object' ? typeName(key) : String(key);
}

/** `value.field` */
export function select(value: CelValue, field: string): CelValue {
  if (isContainer(value)) return value.get(field) ?? noSuchKey(field);
  if (value instanceof CelOptional) return selectOptional(value, field);
  return value instanceof CelError ? value : noSuchKey(field);
}

/** `value.?field` and `value[?key]` */
export function optionalIndex(value: CelValue, key: CelValue): CelValue {
  if (value instanceof CelOptional) return selectOptional(value, key);
  const found = find(value, key);
  if (found instanceof CelError) return found;
  return found === undefined ? CelOptional.none : new CelOptional(found);
}

/** `value[key]` */
export function index(value: CelValue, key: CelValue): CelValue {
  if (value instanceof CelOptional) return selectOptional(value, key);
  const found = find(value, key);
  if (found !== undefined) return found;
  return value instanceof CelList ? new CelError(`index out of bounds: ${keyText(key)}`) : noSuchKey(key);
}

/** `has(value.field)` */
export function isPresent(value: CelValue, field: string): CelValue {
  if (value instanceof CelError) return value;
  if (value instanceof CelOptional) return value.value !== undefined && isPresent(value.value, field);
  if (isContainer(value)) return value.get(field) !== undefined;
  return noSuchKey(field);
}

type Container = CelValue & { get(key: CelValue): CelValue | undefined };
const isContainer = (value: CelValue): value is Container => isMap(value) || isStruct(value);

/** Undefined when it is not there. */
function find(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof CelList) {
    const at = position(key);
    if (at === undefined) return new CelError(`unsupported index type '${typeName(key)}' in list`);
    return at >= 0 && at < value.length ? value.at(Number(at)) : undefined;
  }
  if (isMap(value)) return value.get(key);
  if (isStruct(value)) return typeof key === 'string' ? value.get(key) : undefined;
  return value instanceof CelError ? value : new CelError('no such overload');
}

function position(key: CelValue): number | bigint | undefined {
  if (isInt(key)) return key;
  if (key instanceof CelUint) return normalInt(key.value);
  return key instanceof CelDouble && Number.isInteger(key.value) ? key.value : undefined;
}

function selectOptional(optional: CelOptional, key: CelValue): CelValue {
  return optional.value === undefined ? optional : optionalIndex(optional.value, key);
}
