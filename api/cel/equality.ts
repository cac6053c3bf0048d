// When values are equal, and how numbers and lists of schemas compare.
import {
  CelDouble,
  CelDuration,
  CelList,
  type CelMap,
  CelOpaque,
  CelOptional,
  type CelStruct,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  isInt,
  isMap,
  isStruct,
  type ListIdentity,
} from './values.ts';

/** Heterogeneous equality: values of different types are unequal, numbers compare by what they count. */
export function equals(left: CelValue, right: CelValue): boolean {
  if (left === right) return true;
  switch (typeof left) {
    case 'boolean':
    case 'string':
      return false;
    case 'number':
    case 'bigint':
      return isNumber(right) && compareNumbers(left, right) === 0;
    default:
  }
  if (left === null || right === null || typeof right !== 'object') {
    return isNumber(left) && isNumber(right) && compareNumbers(left, right) === 0;
  }
  if (left instanceof CelUint || left instanceof CelDouble) return isNumber(right) && compareNumbers(left, right) === 0;
  if (left instanceof CelList) return right instanceof CelList && equalLists(left, right);
  if (isMap(left)) return isMap(right) && equalMaps(left, right);
  if (isStruct(left)) return isStruct(right) && equalStructs(left, right);
  if (left instanceof Uint8Array) return right instanceof Uint8Array && Buffer.compare(left, right) === 0;
  if (left instanceof CelTimestamp) return right instanceof CelTimestamp && left.totalNanos === right.totalNanos;
  if (left instanceof CelDuration) return right instanceof CelDuration && left.nanos === right.nanos;
  if (left instanceof CelTypeValue) return right instanceof CelTypeValue && left.name === right.name;
  if (left instanceof CelOptional) {
    if (!(right instanceof CelOptional)) return false;
    if (left.value === undefined || right.value === undefined) return left.value === right.value;
    return equals(left.value, right.value);
  }
  return left instanceof CelOpaque && left.equals(right);
}

type CelNumber = number | bigint | CelUint | CelDouble;
export const isNumber = (value: CelValue): value is CelNumber =>
  isInt(value) || value instanceof CelUint || value instanceof CelDouble;

/** An int or uint is compared with a double as a double; NaN compares as undefined. */
export function compareNumbers(left: CelNumber, right: CelNumber): number | undefined {
  const isDouble = left instanceof CelDouble || right instanceof CelDouble;
  const a = plainNumber(left, isDouble);
  const b = plainNumber(right, isDouble);
  if (a < b) return -1;
  if (a > b) return 1;
  return Number.isNaN(a) || Number.isNaN(b) ? undefined : 0;
}

function plainNumber(value: CelNumber, asDouble: boolean): number | bigint {
  const plain = value instanceof CelUint || value instanceof CelDouble ? value.value : value;
  return asDouble ? Number(plain) : plain;
}

function equalLists(left: CelList, right: CelList): boolean {
  if (left.length !== right.length) return false;
  const identity = left.identity ?? right.identity;
  if (identity) {
    for (let index = 0; index < left.length; index++) {
      const found = findSame(right, left.at(index), identity);
      if (found === undefined || !equals(left.at(index), found)) return false;
    }
    return true;
  }
  for (let index = 0; index < left.length; index++) if (!equals(left.at(index), right.at(index))) return false;
  return true;
}

function findSame(list: CelList, value: CelValue, identity: ListIdentity): CelValue | undefined {
  for (let index = 0; index < list.length; index++) {
    const candidate = list.at(index);
    if (isSame(candidate, value, identity)) return candidate;
  }
  return undefined;
}

function isSame(left: CelValue, right: CelValue, identity: ListIdentity): boolean {
  if (identity.kind === 'set') return equals(left, right);
  return identity.keys.every((key) => {
    const a = member(left, key);
    const b = member(right, key);
    return a === undefined || b === undefined ? a === b : equals(a, b);
  });
}

function member(value: CelValue, name: string): CelValue | undefined {
  return isMap(value) || isStruct(value) ? value.get(name) : undefined;
}

/** `left + right` of a set or a keyed list: elements of `left` keep their places, those of `right` win. */
export function mergeLists(left: CelList, right: CelList, identity: ListIdentity): CelList {
  const merged = [...left];
  for (const added of right) {
    const index = merged.findIndex((each) => isSame(each, added, identity));
    if (index < 0) merged.push(added);
    else if (identity.kind === 'map') merged[index] = added;
  }
  return new CelList(merged, undefined, identity);
}

function equalMaps(left: CelMap, right: CelMap): boolean {
  if (left.size !== right.size) return false;
  for (const key of left.keys()) {
    const other = right.get(key);
    if (other === undefined || !equals(left.get(key) as CelValue, other)) return false;
  }
  return true;
}

function equalStructs(left: CelStruct, right: CelStruct): boolean {
  const fields = [...left.fields()];
  if (fields.length !== [...right.fields()].length) return false;
  return fields.every((field) => {
    const other = right.get(field);
    return other !== undefined && equals(left.get(field) as CelValue, other);
  });
}
