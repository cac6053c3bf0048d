// Kubernetes' quantities.
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  QuantityError,
  quantityFromInt,
  subtractQuantities,
} from '../../quantity.ts';
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelDouble, CelError, CelOpaque, type CelValue, MAX_INT, MIN_INT, normalInt } from '../values.ts';
import { failure } from './arithmetic.ts';

const quantityType = types.opaque('kubernetes.Quantity');
const { string, bool, int, double } = types;
const NANO = 1_000_000_000n;

class CelQuantity extends CelOpaque {
  readonly typeName = 'kubernetes.Quantity';
  readonly value: Quantity;
  constructor(value: Quantity) {
    super();
    this.value = value;
  }
  equals(other: CelValue): boolean {
    return other instanceof CelQuantity && compareQuantities(this.value, other.value) === 0;
  }
  override toString(): string {
    return formatQuantity(this.value);
  }
}

function toQuantity(text: string): CelQuantity | CelError {
  try {
    return new CelQuantity(parseQuantity(text));
  } catch (error) {
    if (error instanceof QuantityError) return failure(error.message);
    throw error;
  }
}

/** Undefined for a fraction, and beyond 64 bits. */
function integer({ value: { nanos } }: CelQuantity): number | bigint | undefined {
  const whole = nanos / NANO;
  return nanos % NANO !== 0n || whole > MAX_INT || whole < MIN_INT ? undefined : normalInt(whole);
}

const order = (left: CelQuantity, right: CelQuantity) => Math.sign(compareQuantities(left.value, right.value));
const fromInt = (value: number | bigint) => quantityFromInt(value, 'DecimalExponent');

export const quantityLibrary: Library = {
  name: 'kubernetes.quantity',
  types: [quantityType],
  functions: [
    fn('quantity', overload('string_to_quantity', [string], quantityType, toQuantity)),
    fn(
      'isQuantity',
      overload('is_quantity_string', [string], bool, (text: string) => toQuantity(text) instanceof CelQuantity),
    ),
    fn(
      'sign',
      overload('quantity_sign', [quantityType], int, ({ value: { nanos } }: CelQuantity) =>
        nanos < 0n ? -1 : nanos > 0n ? 1 : 0,
      ),
    ),
    fn(
      'isGreaterThan',
      member(
        'quantity_is_greater_than',
        [quantityType, quantityType],
        bool,
        (a: CelQuantity, b: CelQuantity) => order(a, b) > 0,
      ),
    ),
    fn(
      'isLessThan',
      member(
        'quantity_is_less_than',
        [quantityType, quantityType],
        bool,
        (a: CelQuantity, b: CelQuantity) => order(a, b) < 0,
      ),
    ),
    fn('compareTo', member('quantity_compare_to', [quantityType, quantityType], int, order)),
    fn(
      'asApproximateFloat',
      member(
        'quantity_get_float',
        [quantityType],
        double,
        ({ value: { nanos } }: CelQuantity) => new CelDouble(Number(nanos) / 1e9),
      ),
    ),
    fn(
      'asInteger',
      member(
        'quantity_get_int',
        [quantityType],
        int,
        (quantity: CelQuantity) => integer(quantity) ?? failure('cannot convert value to integer'),
      ),
    ),
    fn(
      'isInteger',
      member('quantity_is_integer', [quantityType], bool, (q: CelQuantity) => integer(q) !== undefined),
    ),
    fn(
      'add',
      member(
        'quantity_add',
        [quantityType, quantityType],
        quantityType,
        (a: CelQuantity, b: CelQuantity) => new CelQuantity(addQuantities(a.value, b.value)),
      ),
      member(
        'quantity_add_int',
        [quantityType, int],
        quantityType,
        (a: CelQuantity, b: number) => new CelQuantity(addQuantities(a.value, fromInt(b))),
      ),
    ),
    fn(
      'sub',
      member(
        'quantity_sub',
        [quantityType, quantityType],
        quantityType,
        (a: CelQuantity, b: CelQuantity) => new CelQuantity(subtractQuantities(a.value, b.value)),
      ),
      member(
        'quantity_sub_int',
        [quantityType, int],
        quantityType,
        (a: CelQuantity, b: number) => new CelQuantity(subtractQuantities(a.value, fromInt(b))),
      ),
    ),
  ],
};
