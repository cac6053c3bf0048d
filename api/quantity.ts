// Resource quantities (`100m`, `1.5Gi`, `2e3`): exact arithmetic and upstream's canonical form
// (k8s.io/apimachinery/pkg/api/resource). Values are held in billionths, the finest unit Kubernetes knows.

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

export interface Quantity {
  /** The value times 10^9. */
  nanos: bigint;
  /** Which suffixes it is written with. */
  format: QuantityFormat;
  /** Set when the text it came from is already what upstream prints. */
  text?: string;
}

export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuantityError';
  }
}

const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER = 'unable to parse numeric part of quantity';
const WRONG_SUFFIX = "unable to parse quantity's suffix";

const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL_NAMES = new Map(Object.entries(DECIMAL).map(([name, exponent]) => [exponent, name]));
const BINARY_NAMES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const NANO = 1_000_000_000n;
const MAX_BINARY = ((1n << 63n) - 1n) * NANO;
/** Digits that any sane quantity has; longer input is refused before big arithmetic. */
const MAX_LENGTH = 128;

const SHAPE = /^([+-]?)([0-9]*)(?:(\.)([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;

/** Quantities by text: the same few come in every object. */
const parsed = new Map<string, Readonly<Quantity>>();
const PARSED_LIMIT = 1_000;

/** Throws QuantityError with upstream's message. The result is shared: do not change it. */
export function parseQuantity(text: string): Readonly<Quantity> {
  const known = parsed.get(text);
  if (known) return known;
  const quantity = parse(text);
  if (parsed.size >= PARSED_LIMIT) parsed.clear();
  parsed.set(text, quantity);
  return quantity;
}

function parse(text: string): Quantity {
  if (text === '' || text.length > MAX_LENGTH) throw new QuantityError(WRONG_FORMAT);
  if (text === '0') return { nanos: 0n, format: 'DecimalSI', text };
  const match = SHAPE.exec(text);
  if (!match) throw new QuantityError(WRONG_FORMAT);
  const negative = match[1] === '-';
  const whole = (match[2] as string).replace(/^0+/, '');
  const fraction = match[4] ?? '';
  const suffix = match[5] as string;
  const { format, exponent } = parseSuffix(suffix);
  // A lone sign or dot has no number in it.
  if (match[2] === '' && fraction === '' && (match[3] !== undefined || suffix !== ''))
    throw new QuantityError(WRONG_NUMBER);

  const digits = (whole === '' ? '0' : whole) + fraction;
  const mantissa = BigInt(digits);
  let nanos: bigint;
  let textIsCanonical = false;
  if (format === 'BinarySI') {
    nanos = roundUp(mantissa * (1n << BigInt(exponent)) * NANO, 10n ** BigInt(fraction.length));
    if (nanos > MAX_BINARY) nanos = MAX_BINARY;
    textIsCanonical =
      fraction === '' && digits.length + exponent * 0.3 < 14 && exponent % 10 === 0 && (mantissa & 7n) !== 0n;
  } else {
    const scale = exponent - fraction.length;
    const power = scale + 9;
    nanos = power >= 0 ? mantissa * 10n ** BigInt(power) : roundUp(mantissa, 10n ** BigInt(-power));
    textIsCanonical =
      power >= 0 && digits.length <= 18 && scale % 3 === 0 && !digits.endsWith('000') && !digits.startsWith('0');
  }
  const quantity: Quantity = {
    nanos: negative ? -nanos : nanos,
    format: format === 'BinarySI' && nanos > 0n && nanos < NANO ? 'DecimalSI' : format,
  };
  if (textIsCanonical) quantity.text = text;
  return quantity;
}

function parseSuffix(suffix: string): { format: QuantityFormat; exponent: number } {
  const decimal = DECIMAL[suffix];
  if (decimal !== undefined) return { format: 'DecimalSI', exponent: decimal };
  const binary = BINARY[suffix];
  if (binary !== undefined) return { format: 'BinarySI', exponent: binary };
  const match = /^[eE]([-+]?[0-9]+)$/.exec(suffix);
  const exponent = match ? Number(match[1]) : Number.NaN;
  // Beyond this nothing fits; upstream refuses what is not an int64, we refuse what would need megabytes.
  if (Number.isNaN(exponent) || Math.abs(exponent) > 512) throw new QuantityError(WRONG_SUFFIX);
  return { format: 'DecimalExponent', exponent };
}

/** Division of non-negative numbers, away from zero. */
function roundUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

/** What upstream prints: no fraction, the largest suffix that loses nothing. */
export function formatQuantity(quantity: Quantity): string {
  if (quantity.text !== undefined) return quantity.text;
  const { nanos } = quantity;
  if (nanos === 0n) return '0';
  const sign = nanos < 0n ? '-' : '';
  const magnitude = nanos < 0n ? -nanos : nanos;
  if (quantity.format === 'BinarySI' && magnitude >= 1024n * NANO && magnitude % NANO === 0n) {
    let value = magnitude / NANO;
    let step = 0;
    while (step < BINARY_NAMES.length - 1 && value % 1024n === 0n) {
      value /= 1024n;
      step++;
    }
    return `${sign}${value}${BINARY_NAMES[step]}`;
  }
  let value = magnitude;
  let exponent = -9;
  while (value % 1000n === 0n) {
    value /= 1000n;
    exponent += 3;
  }
  if (quantity.format === 'DecimalExponent' || exponent > 18) {
    return `${sign}${value}${exponent === 0 ? '' : `e${exponent}`}`;
  }
  return `${sign}${value}${DECIMAL_NAMES.get(exponent)}`;
}

/** A JSON value as it would be stored: `"0.5"` → `"500m"`, `1` → `"1"`. Throws QuantityError. */
export function canonicalQuantity(value: string | number): string {
  const text = typeof value === 'number' ? String(value) : value;
  return formatQuantity(parseQuantity(text.trim()));
}

const MILLI = 1_000_000n;

/** The same in a list of resources, which knows thousandths: what is finer is rounded up (SetDefaults_ResourceList). */
export function canonicalResource(value: string | number): string {
  const text = typeof value === 'number' ? String(value) : value;
  const quantity = parseQuantity(text.trim());
  if (quantity.nanos % MILLI === 0n) return formatQuantity(quantity);
  const { nanos, format } = quantity;
  const millis = nanos < 0n ? -roundUp(-nanos, MILLI) : roundUp(nanos, MILLI);
  return formatQuantity({ nanos: millis * MILLI, format });
}

/** Lenient reader for values that were validated before; undefined and malformed are zero. */
export function quantityOf(value: string | number | null | undefined): Quantity {
  if (value === undefined || value === null) return { nanos: 0n, format: 'DecimalSI' };
  try {
    return parseQuantity(String(value).trim());
  } catch {
    return { nanos: 0n, format: 'DecimalSI' };
  }
}

/** Negative, zero or positive. */
export function compareQuantities(left: Quantity, right: Quantity): number {
  return left.nanos < right.nanos ? -1 : left.nanos > right.nanos ? 1 : 0;
}

/** The result is written in the format of `left`, or of `right` when `left` is zero, as upstream. */
export function addQuantities(left: Quantity, right: Quantity): Quantity {
  return { nanos: left.nanos + right.nanos, format: left.nanos === 0n ? right.format : left.format };
}

export function subtractQuantities(left: Quantity, right: Quantity): Quantity {
  return { nanos: left.nanos - right.nanos, format: left.nanos === 0n ? right.format : left.format };
}

/** Thousandths, rounded up: CPU in millicores. */
export function milliValue(quantity: Quantity): number {
  return Number(ceil(quantity.nanos, 1_000_000n));
}

/** Whole units, rounded up: bytes, pods. */
export function intValue(quantity: Quantity): number {
  return Number(ceil(quantity.nanos, NANO));
}

function ceil(dividend: bigint, divisor: bigint): bigint {
  return dividend >= 0n ? roundUp(dividend, divisor) : -roundUp(-dividend, divisor);
}

/** Millicores of a JSON value such as `"250m"` or `2`; 0 when absent. */
export const cpuMillis = (value: string | number | null | undefined): number => milliValue(quantityOf(value));

/** Whole units of a JSON value such as `"1Gi"`; 0 when absent. */
export const quantityInt = (value: string | number | null | undefined): number => intValue(quantityOf(value));

/** A quantity from a number of millis or of units. */
export function quantityFromMilli(millis: number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return { nanos: BigInt(Math.round(millis)) * 1_000_000n, format };
}

export function quantityFromInt(value: number | bigint, format: QuantityFormat = 'DecimalSI'): Quantity {
  return { nanos: BigInt(value) * NANO, format };
}
