// Optional values, and what the two-variable comprehensions insert with.
import { type CelType, types } from '../types.ts';
import { fn, type Library, member, operator, overload } from '../functions.ts';
import {
  CelDouble,
  CelDuration,
  CelList,
  type CelMap,
  CelOpaque,
  CelOptional,
  CelUint,
  type CelValue,
  EntryMap,
  isMap,
  isStruct,
  MapBuilder,
} from '../values.ts';
import { failure } from './arithmetic.ts';

const A = types.param('A');
const B = types.param('B');
const optionalA = types.optional(A);
const { bool, dyn } = types;

/** Empty, zero, false and null: what `optional.ofNonZeroValue` takes for nothing. */
function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === '' || value === 0) return true;
  if (value instanceof CelList || value instanceof Uint8Array) return value.length === 0;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelDouble) return value.value === 0;
  if (value instanceof CelDuration) return value.nanos === 0n;
  if (value instanceof CelOptional) return value.value === undefined;
  if (typeof value !== 'object' || value instanceof CelOpaque) return false;
  if (isMap(value)) return value.size === 0;
  return isStruct(value) && [...value.fields()].length === 0;
}

/** Interpreted in place: the engine never calls these. */
const special = () => failure('internal: the interpreter does this itself');
const listA = types.list(A);
const mapAB = types.map(A, B);
const optional = (type: CelType) => types.optional(type);

export const optionalsLibrary: Library = {
  name: 'optional',
  functions: [
    fn(
      'optional.of',
      overload('optional_of', [A], optionalA, (value: CelValue) => new CelOptional(value)),
    ),
    fn(
      'optional.ofNonZeroValue',
      overload('optional_ofNonZeroValue', [A], optionalA, (value: CelValue) =>
        isZero(value) ? CelOptional.none : new CelOptional(value),
      ),
    ),
    fn(
      'optional.none',
      overload('optional_none', [], optionalA, () => CelOptional.none),
    ),
    fn(
      'value',
      member('optional_value', [optionalA], A, ({ value }: CelOptional) =>
        value === undefined ? failure('optional.none() dereference') : value,
      ),
    ),
    fn(
      'hasValue',
      member('optional_hasValue', [optionalA], bool, ({ value }: CelOptional) => value !== undefined),
    ),
    fn('or', member('optional_or_optional', [optionalA, optionalA], optionalA, special)),
    fn('orValue', member('optional_orValue_value', [optionalA, A], A, special)),
    operator('_?._', special, [['select_optional_field', [dyn, types.string], optional(dyn)]]),
    operator('_[?_]', special, [
      ['list_optindex_optional_int', [listA, types.int], optional(A)],
      ['optional_list_optindex_optional_int', [optional(listA), types.int], optional(A)],
      ['map_optindex_optional_value', [mapAB, A], optional(B)],
      ['optional_map_optindex_optional_value', [optional(mapAB), A], optional(B)],
    ]),
    operator('_[_]', special, [
      ['optional_list_index_int', [optional(listA), types.int], optional(A)],
      ['optional_map_index_value', [optional(mapAB), A], optional(B)],
    ]),
  ],
  types: [types.optional(dyn)],
};

function insertEntry(map: CelMap, key: CelValue, value: CelValue): CelValue {
  if (map instanceof MapBuilder && map.isOpen) return map.add(key, value) ? map : duplicate(key);
  const copy = new EntryMap();
  for (const each of map.keys()) copy.add(each, map.get(each) as CelValue);
  return copy.add(key, value) ? copy : duplicate(key);
}

function insertMap(map: CelMap, added: CelMap): CelValue {
  let result: CelValue = map;
  for (const key of added.keys()) {
    result = insertEntry(result as CelMap, key, added.get(key) as CelValue);
    if (!isMap(result)) return result;
  }
  return result;
}

const duplicate = (key: CelValue) => failure(`insert failed: key ${String(key)} already exists`);

export const comprehensionsLibrary: Library = {
  name: 'cel.lib.ext.comprev2',
  functions: [
    fn(
      'cel.@mapInsert',
      overload('@mapInsert_map_map', [mapAB, mapAB], mapAB, insertMap),
      overload('@mapInsert_map_key_value', [mapAB, A, B], mapAB, insertEntry),
    ),
  ],
};
