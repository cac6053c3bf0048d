// Arithmetic with Kubernetes' overflow errors: 64-bit integers, doubles, times.
import { noSuchOverload } from '../functions.ts';
import {
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelTimestamp,
  CelUint,
  type CelValue,
  isInt,
  ListBuilder,
  MAX_INT,
  MAX_UINT,
  MIN_INT,
  normalInt,
} from '../values.ts';

const NO_SUCH_OVERLOAD = 'no such overload';
const INT_OVERFLOW = 'integer overflow';
const UINT_OVERFLOW = 'unsigned integer overflow';
const NANOS = 1_000_000_000n;
/** Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;

export const failure = (message: string): CelError => new CelError(message);

function int(value: bigint): CelValue {
  return value > MAX_INT || value < MIN_INT ? failure(INT_OVERFLOW) : normalInt(value);
}
function uint(value: bigint): CelValue {
  return value > MAX_UINT || value < 0n ? failure(UINT_OVERFLOW) : new CelUint(value);
}
const safe = (value: number) => value <= 9_007_199_254_740_991 && value >= -9_007_199_254_740_991;

export function timestamp(seconds: number, nanos: number): CelValue {
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) return failure('timestamp overflow');
  return new CelTimestamp(seconds, nanos);
}
export function timestampFromNanos(total: bigint): CelValue {
  let seconds = total / NANOS;
  let nanos = total % NANOS;
  if (nanos < 0n) {
    nanos += NANOS;
    seconds -= 1n;
  }
  return timestamp(Number(seconds), Number(nanos));
}
export function duration(nanos: bigint): CelValue {
  return nanos > MAX_INT || nanos < MIN_INT ? failure('integer overflow') : new CelDuration(nanos);
}

export function add(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right;
    return safe(sum) ? sum : int(BigInt(left) + BigInt(right));
  }
  if (isInt(left)) return isInt(right) ? int(BigInt(left) + BigInt(right)) : failure(NO_SUCH_OVERLOAD);
  if (typeof left === 'string') return typeof right === 'string' ? left + right : failure(NO_SUCH_OVERLOAD);
  if (left instanceof CelUint && right instanceof CelUint) return uint(left.value + right.value);
  if (left instanceof CelDouble && right instanceof CelDouble) return new CelDouble(left.value + right.value);
  if (left instanceof ListBuilder && left.isOpen && right instanceof CelList) {
    for (const each of right) left.push(each);
    return left;
  }
  if (left instanceof CelList && right instanceof CelList) return left.concat(right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Uint8Array.from(Buffer.concat([left, right]));
  if (left instanceof CelDuration) {
    if (right instanceof CelDuration) return duration(left.nanos + right.nanos);
    if (right instanceof CelTimestamp) return timestampFromNanos(right.totalNanos + left.nanos);
  }
  if (left instanceof CelTimestamp && right instanceof CelDuration) {
    return timestampFromNanos(left.totalNanos + right.nanos);
  }
  return noOverload('_+_', left, right);
}

export function subtract(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'number' && typeof right === 'number') {
    const difference = left - right;
    return safe(difference) ? difference : int(BigInt(left) - BigInt(right));
  }
  if (isInt(left)) return isInt(right) ? int(BigInt(left) - BigInt(right)) : failure(NO_SUCH_OVERLOAD);
  if (left instanceof CelUint && right instanceof CelUint) return uint(left.value - right.value);
  if (left instanceof CelDouble && right instanceof CelDouble) return new CelDouble(left.value - right.value);
  if (left instanceof CelDuration && right instanceof CelDuration) return duration(left.nanos - right.nanos);
  if (left instanceof CelTimestamp) {
    if (right instanceof CelDuration) return timestampFromNanos(left.totalNanos - right.nanos);
    if (right instanceof CelTimestamp) return duration(left.totalNanos - right.totalNanos);
  }
  return noOverload('_-_', left, right);
}

export function multiply(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'number' && typeof right === 'number') {
    const product = left * right;
    return safe(product) ? product + 0 : int(BigInt(left) * BigInt(right));
  }
  if (isInt(left)) return isInt(right) ? int(BigInt(left) * BigInt(right)) : failure(NO_SUCH_OVERLOAD);
  if (left instanceof CelUint && right instanceof CelUint) return uint(left.value * right.value);
  if (left instanceof CelDouble && right instanceof CelDouble) return new CelDouble(left.value * right.value);
  return noOverload('_*_', left, right);
}

export function divide(left: CelValue, right: CelValue): CelValue {
  if (isInt(left)) {
    if (!isInt(right)) return failure(NO_SUCH_OVERLOAD);
    if (right === 0) return failure('division by zero');
    if (typeof left === 'number' && typeof right === 'number') return Math.trunc(left / right) + 0;
    return int(BigInt(left) / BigInt(right));
  }
  if (left instanceof CelUint && right instanceof CelUint) {
    return right.value === 0n ? failure('division by zero') : new CelUint(left.value / right.value);
  }
  if (left instanceof CelDouble && right instanceof CelDouble) return new CelDouble(left.value / right.value);
  return noOverload('_/_', left, right);
}

export function modulo(left: CelValue, right: CelValue): CelValue {
  if (isInt(left)) {
    if (!isInt(right)) return failure(NO_SUCH_OVERLOAD);
    if (right === 0) return failure('modulus by zero');
    if (left === MIN_INT && right === -1) return failure(INT_OVERFLOW);
    if (typeof left === 'number' && typeof right === 'number') return (left % right) + 0;
    return normalInt(BigInt(left) % BigInt(right));
  }
  if (left instanceof CelUint && right instanceof CelUint) {
    return right.value === 0n ? failure('modulus by zero') : new CelUint(left.value % right.value);
  }
  return noOverload('_%_', left, right);
}

export function negate(value: CelValue): CelValue {
  if (typeof value === 'number') return 0 - value;
  if (typeof value === 'bigint') return int(-value);
  if (value instanceof CelDouble) return new CelDouble(-value.value);
  return noSuchOverload('-_', [value]);
}

const ARITHMETIC = [CelUint, CelDouble, CelDuration, CelTimestamp, CelList, Uint8Array];

/** A left operand that could be operated on with something else refuses the right one without naming it. */
function noOverload(name: string, left: CelValue, right: CelValue): CelError {
  return ARITHMETIC.some((each) => left instanceof each)
    ? failure(NO_SUCH_OVERLOAD)
    : noSuchOverload(name, [left, right]);
}
