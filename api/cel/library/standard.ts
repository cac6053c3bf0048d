// The standard functions and operators of CEL (https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions).
import { type CelType, types } from '../types.ts';
import { add, divide, failure, modulo, multiply, negate, subtract } from './arithmetic.ts';
import { ordering } from './comparison.ts';
import { withPattern } from './regex.ts';
import { toBool, toDouble, toDuration, toInt, toText, toTimestamp, toUint } from './conversions.ts';
import { durationPart, timestampPart } from './time.ts';
import { fn, type FunctionDecl, type Library, member, noSuchOverload, operator, overload } from '../functions.ts';
import {
  CelError,
  CelList,
  type CelMap,
  CelTypeValue,
  type CelValue,
  codePoints,
  equals,
  isMap,
  typeName,
} from '../values.ts';

const { bool, int, uint, double, string, bytes, timestamp, duration, dyn } = types;
const A = types.param('A');
const B = types.param('B');
const listA = types.list(A);
const mapAB = types.map(A, B);

type Signature = [id: string, args: readonly CelType[], result: CelType];
const binary = (id: string, left: CelType, right: CelType, result: CelType): Signature => [id, [left, right], result];

/** The operators of the interpreter itself: it never calls these. */
const special = () => failure('internal: the interpreter does this itself');

function comparisons(name: string, prefix: string, holds: (order: number) => boolean): FunctionDecl {
  const of = (id: string, left: CelType, right: CelType) => binary(`${prefix}_${id}`, left, right, bool);
  return operator(name, ordering(name, holds), [
    of('bool', bool, bool),
    of('int64', int, int),
    of('int64_double', int, double),
    of('int64_uint64', int, uint),
    of('uint64', uint, uint),
    of('uint64_double', uint, double),
    of('uint64_int64', uint, int),
    of('double', double, double),
    of('double_int64', double, int),
    of('double_uint64', double, uint),
    of('string', string, string),
    of('bytes', bytes, bytes),
    of('timestamp', timestamp, timestamp),
    of('duration', duration, duration),
  ]);
}

const operators: FunctionDecl[] = [
  operator('_?_:_', special, [['conditional', [bool, A, A], A]]),
  operator('_&&_', special, [['logical_and', [bool, bool], bool]]),
  operator('_||_', special, [['logical_or', [bool, bool], bool]]),
  operator('!_', (value: CelValue) => (typeof value === 'boolean' ? !value : failure('no such overload')), [
    ['logical_not', [bool], bool],
  ]),
  operator('@not_strictly_false', special, [['not_strictly_false', [bool], bool]]),
  operator('_==_', equals, [['equals', [A, A], bool]]),
  operator('_!=_', (left: CelValue, right: CelValue) => !equals(left, right), [['not_equals', [A, A], bool]]),
  operator('_+_', add, [
    binary('add_bytes', bytes, bytes, bytes),
    binary('add_double', double, double, double),
    binary('add_duration_duration', duration, duration, duration),
    binary('add_duration_timestamp', duration, timestamp, timestamp),
    binary('add_timestamp_duration', timestamp, duration, timestamp),
    binary('add_int64', int, int, int),
    binary('add_list', listA, listA, listA),
    binary('add_string', string, string, string),
    binary('add_uint64', uint, uint, uint),
  ]),
  operator('_/_', divide, [
    binary('divide_double', double, double, double),
    binary('divide_int64', int, int, int),
    binary('divide_uint64', uint, uint, uint),
  ]),
  operator('_%_', modulo, [binary('modulo_int64', int, int, int), binary('modulo_uint64', uint, uint, uint)]),
  operator('_*_', multiply, [
    binary('multiply_double', double, double, double),
    binary('multiply_int64', int, int, int),
    binary('multiply_uint64', uint, uint, uint),
  ]),
  operator('-_', negate, [
    ['negate_double', [double], double],
    ['negate_int64', [int], int],
  ]),
  operator('_-_', subtract, [
    binary('subtract_double', double, double, double),
    binary('subtract_duration_duration', duration, duration, duration),
    binary('subtract_int64', int, int, int),
    binary('subtract_timestamp_duration', timestamp, duration, timestamp),
    binary('subtract_timestamp_timestamp', timestamp, timestamp, duration),
    binary('subtract_uint64', uint, uint, uint),
  ]),
  comparisons('_<_', 'less', (order) => order < 0),
  comparisons('_<=_', 'less_equals', (order) => order <= 0),
  comparisons('_>_', 'greater', (order) => order > 0),
  comparisons('_>=_', 'greater_equals', (order) => order >= 0),
  operator('_[_]', special, [
    ['index_list', [listA, int], A],
    ['index_map', [mapAB, A], B],
  ]),
  operator('@in', isIn, [
    ['in_list', [A, listA], bool],
    ['in_map', [A, mapAB], bool],
  ]),
];

function isIn(value: CelValue, container: CelValue): CelValue {
  if (container instanceof CelList) {
    for (let index = 0; index < container.length; index++) if (equals(value, container.at(index))) return true;
    return false;
  }
  if (isMap(container)) return container.get(value) !== undefined;
  return noSuchOverload('@in', [value, container]);
}

const sizes: FunctionDecl = fn(
  'size',
  ...(
    [
      ['bytes', bytes, (value: Uint8Array) => value.length],
      ['list', listA, (value: CelList) => value.length],
      ['map', mapAB, (value: CelMap) => value.size],
      ['string', string, codePoints],
    ] as [string, CelType, (value: never) => number][]
  ).flatMap(([name, type, size]) => [
    overload(`size_${name}`, [type], int, size),
    member(`${name}_size`, [type], int, size),
  ]),
);

/** `type(x)` of what the conversion gives, by what it is given. */
function conversion(name: string, result: CelType, call: (value: never) => CelValue, from: Record<string, CelType>) {
  return fn(name, ...Object.entries(from).map(([id, type]) => overload(id, [type], result, call)));
}

const conversions: FunctionDecl[] = [
  fn(
    'type',
    overload('type', [A], types.type(A), (value: CelValue) =>
      value instanceof CelError ? value : new CelTypeValue(typeName(value)),
    ),
  ),
  conversion('bool', bool, toBool, { bool_to_bool: bool, string_to_bool: string }),
  conversion(
    'bytes',
    bytes,
    (value: CelValue) => (typeof value === 'string' ? new TextEncoder().encode(value) : value),
    { bytes_to_bytes: bytes, string_to_bytes: string },
  ),
  conversion('double', double, toDouble, {
    double_to_double: double,
    int64_to_double: int,
    string_to_double: string,
    uint64_to_double: uint,
  }),
  conversion('duration', duration, toDuration, {
    duration_to_duration: duration,
    int64_to_duration: int,
    string_to_duration: string,
  }),
  conversion('dyn', dyn, (value: CelValue) => value, { to_dyn: A }),
  conversion('int', int, toInt, {
    int64_to_int64: int,
    double_to_int64: double,
    duration_to_int64: duration,
    string_to_int64: string,
    timestamp_to_int64: timestamp,
    uint64_to_int64: uint,
  }),
  conversion('string', string, toText, {
    string_to_string: string,
    bool_to_string: bool,
    bytes_to_string: bytes,
    double_to_string: double,
    duration_to_string: duration,
    int64_to_string: int,
    timestamp_to_string: timestamp,
    uint64_to_string: uint,
  }),
  conversion('timestamp', timestamp, toTimestamp, {
    timestamp_to_timestamp: timestamp,
    int64_to_timestamp: int,
    string_to_timestamp: string,
  }),
  conversion('uint', uint, toUint, {
    uint64_to_uint64: uint,
    double_to_uint64: double,
    int64_to_uint64: int,
    string_to_uint64: string,
  }),
];

const strings: FunctionDecl[] = [
  fn(
    'contains',
    member('contains_string', [string, string], bool, (text: string, part: string) => text.includes(part)),
  ),
  fn(
    'endsWith',
    member('ends_with_string', [string, string], bool, (text: string, end: string) => text.endsWith(end)),
  ),
  fn(
    'startsWith',
    member('starts_with_string', [string, string], bool, (text: string, start: string) => text.startsWith(start)),
  ),
  fn(
    'matches',
    overload('matches', [string, string], bool, matches),
    member('matches_string', [string, string], bool, matches),
  ),
];

function matches(text: string, pattern: string): CelValue {
  return withPattern(pattern, '', (compiled) => compiled.test(text));
}

const times: FunctionDecl[] = [
  ['getFullYear', 'timestamp_to_year'],
  ['getMonth', 'timestamp_to_month'],
  ['getDayOfYear', 'timestamp_to_day_of_year'],
  ['getDayOfMonth', 'timestamp_to_day_of_month'],
  ['getDate', 'timestamp_to_day_of_month_1_based'],
  ['getDayOfWeek', 'timestamp_to_day_of_week'],
  ['getHours', 'timestamp_to_hours', 'duration_to_hours'],
  ['getMinutes', 'timestamp_to_minutes', 'duration_to_minutes'],
  ['getSeconds', 'timestamp_to_seconds', 'duration_to_seconds'],
  ['getMilliseconds', 'timestamp_to_milliseconds', 'duration_to_milliseconds'],
].map(([name, id, durationId]) => {
  const call = timestampPart(name as string);
  return fn(
    name as string,
    member(id as string, [timestamp], int, call),
    member(`${id}_with_tz`, [timestamp, string], int, call),
    ...(durationId ? [member(durationId, [duration], int, durationPart(name as string))] : []),
  );
});

export const standardLibrary: Library = {
  name: 'standard',
  functions: [...operators, sizes, ...conversions, ...strings, ...times],
};

/** What the names of the standard types mean. */
export const standardTypes: ReadonlyMap<string, CelType> = new Map<string, CelType>([
  ['bool', bool],
  ['bytes', bytes],
  ['double', double],
  ['duration', duration],
  ['google.protobuf.Duration', duration],
  ['int', int],
  ['list', types.list(dyn)],
  ['map', types.map(dyn, dyn)],
  ['null_type', types.null],
  ['string', string],
  ['timestamp', timestamp],
  ['google.protobuf.Timestamp', timestamp],
  ['type', types.type()],
  ['uint', uint],
  ['optional_type', types.optional(dyn)],
]);
