// One walk over a decoded object with its schema: what Go's decoder would have accepted, and what it would have kept.
// Finds unknown fields, refuses wrong types in Go's words, writes times and quantities in their stored form, drops what
// is empty and fills in what a Go struct always has. Values are changed in place where that is cheaper.
import { deepClone, setOwn } from './equality.ts';
import { canonicalQuantity, canonicalResource, QuantityError } from './quantity.ts';
import { type Definition, definition, type Field, type Scalar, type TypeRef } from './schema.ts';
import { normalizeTime, TimeError } from './time-format.ts';

/** The value cannot be held by its type; the message is Go's. */
export class TypeMismatch extends Error {}

/** Upstream stops counting there. */
const MAX_PROBLEMS = 100;

type Json = Record<string, unknown>;

interface Walk {
  /** `unknown field "spec.foo"`. */
  problems: string[];
  /** Field names, list indexes (numbers), and map keys with a `.` in front. */
  path: (string | number)[];
  /** The Go struct that is being filled. */
  struct: string;
}

/** Returns the value to keep; undefined when there is none. `value` is neither null nor undefined. */
type Reader = (value: unknown, walk: Walk) => unknown;

interface FieldReader {
  name: string;
  read: Reader;
  /** Drop `""`, 0, false, [] and {} of lists and maps. */
  dropsZero: boolean;
}

interface StructReader {
  goName: string;
  fields: Map<string, FieldReader>;
  /** What to fill in when absent. */
  always: { name: string; create: () => unknown }[];
}

/**
 * Checks and completes `value` in place as a `schema` (`core.v1.Pod`). `at` is the field it stands in, for messages.
 * Throws TypeMismatch.
 */
export function normalize(schema: string, value: Json, at?: string): { object: Json; problems: string[] } {
  const walk: Walk = { problems: [], path: at === undefined ? [] : [at], struct: '' };
  const object = readStruct(structOf(schema), value, walk);
  return { object, problems: walk.problems };
}

const structs = new Map<string, StructReader>();

function structOf(name: string): StructReader {
  let found = structs.get(name);
  if (!found) {
    const def = definition(name);
    found = { goName: name.slice(name.lastIndexOf('.') + 1), fields: new Map(), always: [] };
    // Registered before its fields are built: definitions may be recursive.
    structs.set(name, found);
    if (def.isKind) {
      for (const each of ['apiVersion', 'kind']) {
        found.fields.set(each, { name: each, read: scalarReader('string'), dropsZero: true });
      }
    }
    for (const field of def.fields.values()) addField(found, field, name);
  }
  return found;
}

function addField(struct: StructReader, field: Field, owner: string): void {
  const { type, presence } = field;
  const isStruct = type.kind === 'ref' && definition(type.name).scalar === undefined;
  struct.fields.set(field.name, {
    name: field.name,
    read: isResourceList(type, owner) ? mapReader(type, readResource) : readerOf(type),
    dropsZero: presence === 'value' && !isStruct && !isTextual(type),
  });
  if (presence === 'pointer') return;
  if (isStruct) {
    const of = type.name;
    struct.always.push({ name: field.name, create: () => zeroOf(of) });
  } else if (field.required && presence === 'kept') {
    const zero = zeroValue(type);
    if (zero !== undefined) struct.always.push({ name: field.name, create: () => deepClone(zero) });
  }
}

/** Amounts by resource; devices have maps of quantities too, which are something else. */
const isResourceList = (type: TypeRef, owner: string): type is TypeRef & { kind: 'map' } =>
  type.kind === 'map' &&
  type.of.kind === 'scalar' &&
  type.of.scalar === 'quantity' &&
  (owner.startsWith('core.v1.') || owner.startsWith('node.v1.'));

/** Zero quantities and int-or-strings are structs in Go and never dropped. */
function isTextual(type: TypeRef): boolean {
  return type.kind === 'scalar' && (type.scalar === 'quantity' || type.scalar === 'intstr');
}

function zeroOf(name: string): Json {
  const zero: Json = {};
  for (const each of structOf(name).always) zero[each.name] = each.create();
  return zero;
}

function zeroValue(type: TypeRef): unknown {
  if (type.kind === 'list') return [];
  if (type.kind === 'map') return {};
  if (type.kind === 'ref') {
    const { scalar } = definition(type.name);
    return scalar === undefined ? zeroOf(type.name) : zeroScalar(scalar);
  }
  return zeroScalar(type.scalar);
}

function zeroScalar(scalar: Scalar): unknown {
  switch (scalar) {
    case 'string':
    case 'bytes':
      return '';
    case 'bool':
      return false;
    case 'int32':
    case 'int64':
    case 'double':
    case 'intstr':
      return 0;
    case 'quantity':
      return '0';
    default:
      return undefined;
  }
}

function readerOf(type: TypeRef): Reader {
  switch (type.kind) {
    case 'scalar':
      return scalarReader(type.scalar);
    case 'list':
      return listReader(type);
    case 'map':
      return mapReader(type);
    case 'ref': {
      const { scalar } = definition(type.name);
      if (scalar !== undefined) return scalarReader(scalar);
      const { name } = type;
      let struct: StructReader | undefined;
      return (value, walk) => {
        if (typeof value !== 'object' || Array.isArray(value)) throw mismatch(value, goType(type), walk);
        struct ??= structOf(name);
        return readStruct(struct, value as Json, walk);
      };
    }
  }
}

function readStruct(struct: StructReader, value: Json, walk: Walk): Json {
  const outer = walk.struct;
  walk.struct = struct.goName;
  let dropped: Set<string> | undefined;
  for (const name in value) {
    const field = struct.fields.get(name);
    if (field === undefined) {
      if (walk.problems.length < MAX_PROBLEMS) walk.problems.push(`unknown field "${pathText(walk.path, name)}"`);
      dropped = (dropped ?? new Set()).add(name);
      continue;
    }
    const before = value[name];
    if (before === null || before === undefined) {
      dropped = (dropped ?? new Set()).add(name);
      continue;
    }
    walk.path.push(name);
    const after = field.read(before, walk);
    walk.path.pop();
    if (after === undefined || (field.dropsZero && isZero(after))) dropped = (dropped ?? new Set()).add(name);
    else if (after !== before) value[name] = after;
  }
  walk.struct = outer;
  // Deleting makes objects slow; copying what is left is cheaper than that.
  let result = value;
  if (dropped !== undefined) {
    result = {};
    for (const name in value) if (!dropped.has(name)) result[name] = value[name];
  }
  for (const each of struct.always) if (result[each.name] === undefined) result[each.name] = each.create();
  return result;
}

function isZero(value: unknown): boolean {
  if (value === '' || value === 0 || value === false) return true;
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value) return false;
  return true;
}

function listReader(type: TypeRef & { kind: 'list' }): Reader {
  let read: Reader | undefined;
  const keepsNull = isFree(type.of);
  return (value, walk) => {
    if (!Array.isArray(value)) throw mismatch(value, goType(type), walk);
    read ??= readerOf(type.of);
    for (let i = 0; i < value.length; i++) {
      walk.path.push(i);
      const before = value[i];
      if (before === null) {
        if (!keepsNull) value[i] = zeroValue(type.of) ?? null;
      } else {
        const after = read(before, walk);
        if (after !== before) value[i] = after;
      }
      walk.path.pop();
    }
    return value;
  };
}

function mapReader(type: TypeRef & { kind: 'map' }, readMember?: Reader): Reader {
  let read = readMember;
  return (value, walk) => {
    if (typeof value !== 'object' || Array.isArray(value)) throw mismatch(value, goType(type), walk);
    read ??= readerOf(type.of);
    const map = value as Json;
    for (const key of Object.keys(map)) {
      walk.path.push(`.${key}`);
      const before = map[key];
      const after = before === null ? (zeroValue(type.of) ?? null) : read(before, walk);
      if (after !== before) setOwn(map, key, after);
      walk.path.pop();
    }
    return map;
  };
}

function isFree(type: TypeRef): boolean {
  const scalar = type.kind === 'scalar' ? type.scalar : type.kind === 'ref' ? definition(type.name).scalar : undefined;
  return scalar === 'any' || scalar === 'raw';
}

const INT64_LIMIT = 2 ** 63;

function scalarReader(scalar: Scalar): Reader {
  switch (scalar) {
    case 'string':
      return (value, walk) => {
        if (typeof value !== 'string') throw mismatch(value, 'string', walk);
        return value;
      };
    case 'bool':
      return (value, walk) => {
        if (typeof value !== 'boolean') throw mismatch(value, 'bool', walk);
        return value;
      };
    case 'int32':
      return (value, walk) => {
        if (typeof value !== 'number' || (value | 0) !== value) throw mismatch(value, 'int32', walk);
        return value;
      };
    case 'int64':
      return (value, walk) => {
        if (typeof value !== 'number' || !Number.isInteger(value) || value >= INT64_LIMIT || value < -INT64_LIMIT) {
          throw mismatch(value, 'int64', walk);
        }
        return value;
      };
    case 'double':
      return (value, walk) => {
        if (typeof value !== 'number') throw mismatch(value, 'float64', walk);
        return value;
      };
    case 'bytes':
      return readBytes;
    case 'time':
      return (value) => readTime(value, false);
    case 'microtime':
      return (value) => readTime(value, true);
    case 'quantity':
      return readQuantity;
    case 'intstr':
      return (value) => {
        if (typeof value === 'string') return value;
        if (typeof value !== 'number' || (value | 0) !== value) throw mismatch(value, 'int32');
        return value;
      };
    case 'raw':
    case 'any':
      return (value) => value;
    case 'object':
    case 'fields':
      return (value, walk) => {
        if (typeof value !== 'object' || Array.isArray(value)) throw mismatch(value, 'map[string]interface {}', walk);
        return value;
      };
  }
}

function readTime(value: unknown, micro: boolean): string {
  if (typeof value !== 'string') throw mismatch(value, 'string');
  try {
    return normalizeTime(value, micro);
  } catch (error) {
    if (error instanceof TimeError) throw new TypeMismatch(error.message);
    throw error;
  }
}

const readQuantity = (value: unknown): string => quantityBy(canonicalQuantity, value);
const readResource = (value: unknown): string => quantityBy(canonicalResource, value);

function quantityBy(canonical: typeof canonicalQuantity, value: unknown): string {
  try {
    return canonical(typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value));
  } catch (error) {
    if (error instanceof QuantityError) throw new TypeMismatch(error.message);
    throw error;
  }
}

function readBytes(value: unknown, walk: Walk): string {
  if (typeof value !== 'string') throw mismatch(value, '[]uint8', walk);
  const text = value.includes('\n') || value.includes('\r') ? value.replace(/[\r\n]/g, '') : value;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bad = text.slice(0, text.length - padding).search(/[^A-Za-z0-9+/]/);
  if (bad >= 0) throw new TypeMismatch(`illegal base64 data at input byte ${bad}`);
  if (text.length % 4 !== 0)
    throw new TypeMismatch(`illegal base64 data at input byte ${text.length - (text.length % 4)}`);
  return text;
}

function pathText(path: readonly (string | number)[], last?: string): string {
  let text = '';
  for (const each of path) {
    if (typeof each === 'number') text += `[${each}]`;
    else text += text === '' ? each.replace(/^\./, '') : each.startsWith('.') ? each : `.${each}`;
  }
  return last === undefined ? text : text === '' ? last : `${text}.${last}`;
}

/** In Go's words: with the struct and field when `walk` is given, else as a value on its own. */
function mismatch(value: unknown, type: string, walk?: Walk): TypeMismatch {
  const isNumber = /^(int|uint|float)\d+$/.test(type);
  const found = Array.isArray(value)
    ? 'array'
    : typeof value === 'boolean'
      ? 'bool'
      : typeof value === 'number' && isNumber
        ? `number ${value}`
        : typeof value;
  if (!walk) return new TypeMismatch(`json: cannot unmarshal ${found} into Go value of type ${type}`);
  const field = walk.path.filter((each) => typeof each === 'string' && !each.startsWith('.')).join('.');
  return new TypeMismatch(
    `json: cannot unmarshal ${found} into Go struct field ${walk.struct}.${field} of type ${type}`,
  );
}

const GO_SCALARS: Partial<Record<Scalar, string>> = {
  bytes: '[]uint8',
  double: 'float64',
  time: 'v1.Time',
  microtime: 'v1.MicroTime',
  quantity: 'resource.Quantity',
  intstr: 'intstr.IntOrString',
  raw: 'runtime.RawExtension',
};

function goType(type: TypeRef): string {
  switch (type.kind) {
    case 'scalar':
      return GO_SCALARS[type.scalar] ?? type.scalar;
    case 'list':
      return `[]${goType(type.of)}`;
    case 'map':
      return type.of.kind === 'scalar' && type.of.scalar === 'quantity'
        ? 'v1.ResourceList'
        : `map[string]${goType(type.of)}`;
    case 'ref': {
      const parts = type.name.split('.');
      const version = parts.length > 2 ? (parts.at(-2) as string) : 'v1';
      return `${version}.${parts.at(-1)}`;
    }
  }
}

/** How Go calls a definition: `v1.Pod`. */
export function goTypeName(def: Definition): string {
  return goType({ kind: 'ref', name: def.name });
}
