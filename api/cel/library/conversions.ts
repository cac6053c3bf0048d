// `int(x)`, `string(x)` and their like, with the errors of Go's conversions.
import { duration, failure, timestamp } from './arithmetic.ts';
import { parseDuration, parseTimestamp } from './time.ts';
import {
  CelDouble,
  CelDuration,
  CelTimestamp,
  CelUint,
  type CelValue,
  formatDuration,
  formatTimestamp,
  isInt,
  MAX_INT,
  MAX_UINT,
  MIN_INT,
  normalInt,
} from '../values.ts';

const unparsable = (what: string, text: string, why: string) =>
  failure(`strconv.${what}: parsing ${JSON.stringify(text)}: ${why}`);

export function toInt(value: CelValue): CelValue {
  if (isInt(value)) return value;
  if (value instanceof CelUint) return value.value > MAX_INT ? failure('integer overflow') : normalInt(value.value);
  if (value instanceof CelDouble) {
    // 2^63 itself is a double that does not fit.
    if (!(value.value > -(2 ** 63) && value.value < 2 ** 63)) return failure('integer overflow');
    return normalInt(BigInt(Math.trunc(value.value)));
  }
  if (value instanceof CelTimestamp) return value.seconds;
  if (value instanceof CelDuration) return normalInt(value.nanos);
  const text = value as string;
  if (!/^[+-]?[0-9]+$/.test(text)) return unparsable('ParseInt', text, 'invalid syntax');
  if (text.length > 40) return unparsable('ParseInt', text, 'value out of range');
  const parsed = BigInt(text.replace(/^\+/, ''));
  if (parsed > MAX_INT || parsed < MIN_INT) return unparsable('ParseInt', text, 'value out of range');
  return normalInt(parsed);
}

export function toUint(value: CelValue): CelValue {
  if (value instanceof CelUint) return value;
  if (isInt(value)) return value < 0 ? failure('unsigned integer overflow') : new CelUint(BigInt(value));
  if (value instanceof CelDouble) {
    if (!(value.value >= 0 && value.value < 2 ** 64)) return failure('unsigned integer overflow');
    return new CelUint(BigInt(Math.trunc(value.value)));
  }
  const text = value as string;
  if (!/^[0-9]+$/.test(text)) return unparsable('ParseUint', text, 'invalid syntax');
  if (text.length > 40 || BigInt(text) > MAX_UINT) return unparsable('ParseUint', text, 'value out of range');
  return new CelUint(BigInt(text));
}

export function toDouble(value: CelValue): CelValue {
  if (value instanceof CelDouble) return value;
  if (isInt(value)) return new CelDouble(Number(value));
  if (value instanceof CelUint) return new CelDouble(Number(value.value));
  const text = value as string;
  const named = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (named) {
    if (/nan/i.test(named[2] as string)) return new CelDouble(Number.NaN);
    return new CelDouble(named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  }
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) {
    return unparsable('ParseFloat', text, 'invalid syntax');
  }
  const number = Number(text);
  return Number.isFinite(number) ? new CelDouble(number) : unparsable('ParseFloat', text, 'value out of range');
}

export function toText(value: CelValue): CelValue {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || isInt(value)) return String(value);
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelDouble) return formatDouble(value.value);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value as Uint8Array);
  } catch {
    return failure('invalid UTF-8 in bytes, cannot convert to string');
  }
}

/** As Go's 'g' format with the fewest digits: `1`, `0.5`, `1e+21`. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (Object.is(value, -0)) return '-0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 21) {
    return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  return String(value);
}

export function toBool(value: CelValue): CelValue {
  if (typeof value === 'boolean') return value;
  const text = value as string;
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return unparsable('ParseBool', text, 'invalid syntax');
}

export function toTimestamp(value: CelValue): CelValue {
  if (value instanceof CelTimestamp) return value;
  return isInt(value) ? timestamp(Number(value), 0) : parseTimestamp(value as string);
}

export function toDuration(value: CelValue): CelValue {
  if (value instanceof CelDuration) return value;
  return isInt(value) ? duration(BigInt(value)) : parseDuration(value as string);
}
