// Ordering: `<`, `<=`, `>`, `>=` of values that can be ordered.
import { noSuchOverload } from '../functions.ts';
import { CelDuration, CelError, CelTimestamp, type CelValue, compareNumbers, isNumber } from '../values.ts';

/** Negative, zero or positive; an error for values without order. NaN is an error too, as in cel-go. */
export function compare(name: string, left: CelValue, right: CelValue): number | CelError {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left === 'string') {
    return typeof right === 'string' ? compareStrings(left, right) : new CelError('no such overload');
  }
  if (isNumber(left)) {
    if (!isNumber(right)) return new CelError('no such overload');
    return compareNumbers(left, right) ?? new CelError('NaN values cannot be ordered');
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right);
  if (left instanceof CelTimestamp && right instanceof CelTimestamp) return sign(left.totalNanos - right.totalNanos);
  if (left instanceof CelDuration && right instanceof CelDuration) return sign(left.nanos - right.nanos);
  return noSuchOverload(name, [left, right]);
}

const sign = (difference: bigint) => (difference < 0n ? -1 : difference > 0n ? 1 : 0);

/** By code points, as Go compares UTF-8. */
export function compareStrings(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a === b) continue;
    // Surrogates stand for characters above all others.
    return rank(a) - rank(b);
  }
  return left.length - right.length;
}
const rank = (unit: number) => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

export function ordering(name: string, holds: (order: number) => boolean): (a: CelValue, b: CelValue) => CelValue {
  return (left, right) => {
    const order = compare(name, left, right);
    if (order instanceof CelError) return order.message.startsWith('NaN') ? false : order;
    return holds(order);
  };
}
