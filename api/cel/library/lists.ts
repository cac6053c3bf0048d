// Kubernetes' functions of lists, and the sets extension.
import { type CelType, types } from '../types.ts';
import { fn, type Library, member, type Overload, overload } from '../functions.ts';
import { CelDouble, CelDuration, CelError, CelList, CelUint, type CelValue, equals } from '../values.ts';
import { add, failure } from './arithmetic.ts';
import { compare } from './comparison.ts';

const A = types.param('A');
const listA = types.list(A);
const { bool, int, uint, double, string, bytes, timestamp, duration } = types;

const ordered: Record<string, CelType> = { int, uint, double, bool, duration, timestamp, string, bytes };
const zeroes: Record<string, [type: CelType, zero: CelValue]> = {
  int: [int, 0],
  uint: [uint, new CelUint(0n)],
  double: [double, new CelDouble(0)],
  duration: [duration, new CelDuration(0n)],
};

function forOrdered(id: (name: string) => string, result: (type: CelType) => CelType, call: Overload['call']) {
  return Object.entries(ordered).map(([name, type]) => member(id(name), [types.list(type)], result(type), call));
}

function isSorted(list: CelValue): CelValue {
  const of = list as CelList;
  for (let index = 1; index < of.length; index++) {
    const order = compare('isSorted', of.at(index - 1), of.at(index));
    if (order instanceof CelError) return order;
    if (order > 0) return false;
  }
  return true;
}

function extreme(name: string, isBetter: (order: number) => boolean): Overload['call'] {
  return (list) => {
    const of = list as CelList;
    if (of.length === 0) return failure(`${name} called on empty list`);
    let best = of.at(0);
    for (let index = 1; index < of.length; index++) {
      const order = compare(name, of.at(index), best);
      if (order instanceof CelError) return order;
      if (isBetter(order)) best = of.at(index);
    }
    return best;
  };
}

function sum(zero: CelValue): Overload['call'] {
  return (list) => {
    const of = list as CelList;
    if (of.length === 0) return zero;
    let total = of.at(0);
    for (let index = 1; index < of.length; index++) {
      total = add(total, of.at(index));
      if (total instanceof CelError) return total;
    }
    return total;
  };
}

function indexOf(list: CelList, value: CelValue): number {
  for (let index = 0; index < list.length; index++) if (equals(list.at(index), value)) return index;
  return -1;
}

function lastIndexOf(list: CelList, value: CelValue): number {
  for (let index = list.length - 1; index >= 0; index--) if (equals(list.at(index), value)) return index;
  return -1;
}

export const listsLibrary: Library = {
  name: 'kubernetes.lists',
  functions: [
    fn(
      'isSorted',
      ...forOrdered(
        (name) => `list_${name}_is_sorted_bool`,
        () => bool,
        isSorted,
      ),
    ),
    fn(
      'sum',
      ...Object.entries(zeroes).map(([name, [type, zero]]) =>
        member(`list_${name}_sum_${name}`, [types.list(type)], type, sum(zero)),
      ),
    ),
    fn(
      'max',
      ...forOrdered(
        (name) => `list_${name}_max_${name}`,
        (type) => type,
        extreme('max', (order) => order > 0),
      ),
    ),
    fn(
      'min',
      ...forOrdered(
        (name) => `list_${name}_min_${name}`,
        (type) => type,
        extreme('min', (order) => order < 0),
      ),
    ),
    fn('indexOf', member('list_a_index_of_int', [listA, A], int, indexOf)),
    fn('lastIndexOf', member('list_a_last_index_of_int', [listA, A], int, lastIndexOf)),
  ],
};

function containsAll(list: CelList, wanted: CelList): boolean {
  for (const each of wanted) if (indexOf(list, each) < 0) return false;
  return true;
}

function intersects(left: CelList, right: CelList): boolean {
  for (const each of right) if (indexOf(left, each) >= 0) return true;
  return false;
}

export const setsLibrary: Library = {
  name: 'sets',
  functions: [
    fn('sets.contains', overload('list_sets_contains_list', [listA, listA], bool, containsAll)),
    fn(
      'sets.equivalent',
      overload(
        'list_sets_equivalent_list',
        [listA, listA],
        bool,
        (left: CelList, right: CelList) => containsAll(left, right) && containsAll(right, left),
      ),
    ),
    fn('sets.intersects', overload('list_sets_intersects_list', [listA, listA], bool, intersects)),
  ],
};
