// `'%s has %d'.format([a, b])`: the clauses of the strings extension.
import {
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  type CelMap,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  formatDuration,
  formatTimestamp,
  isInt,
  isMap,
  typeName,
} from '../values.ts';
import { failure } from './arithmetic.ts';

const CLAUSE = /%(?:%|(?:\.([0-9]*))?(.)?)/gsu;
const MAX_PRECISION = 1000;

export function formatString(text: string, args: CelList): CelValue {
  let next = 0;
  let problem: CelError | undefined;
  const result = text.replaceAll(CLAUSE, (all: string, digits: string | undefined, clause: string | undefined) => {
    if (all === '%%' || problem) return '%';
    if (clause === undefined) {
      problem = failure('unexpected end of string');
      return '';
    }
    const precision = digits ? Number(digits) : 6;
    if (precision > MAX_PRECISION) {
      problem = failure(`precision ${precision} out of range: maximum is ${MAX_PRECISION}`);
      return '';
    }
    if (next >= args.length) {
      problem = failure(`index ${next} out of range`);
      return '';
    }
    const written = formatClause(clause, args.at(next++), precision);
    if (written instanceof CelError) {
      problem = written;
      return '';
    }
    return written;
  });
  return problem ?? result;
}

function formatClause(clause: string, value: CelValue, precision: number): string | CelError {
  switch (clause) {
    case 's':
      return plain(value);
    case 'd':
      if (isInt(value)) return String(value);
      if (value instanceof CelUint) return String(value.value);
      if (value instanceof CelDouble && !Number.isFinite(value.value)) return special(value.value);
      return wrong('decimal clause can only be used on integers', value);
    case 'f':
      return fraction(value, (number) => fixedPoint(number, Math.min(90, precision)));
    case 'e':
      return fraction(value, (number) =>
        number.toExponential(Math.min(100, precision)).replace(/e([+-])(\d)$/, 'e$10$2'),
      );
    case 'b':
      if (typeof value === 'boolean') return value ? '1' : '0';
      return integer(value, 2) ?? wrong('only integers and bools can be formatted as binary', value);
    case 'o':
      return integer(value, 8) ?? wrong('octal clause can only be used on integers', value);
    case 'x':
      return hexadecimal(value);
    case 'X': {
      const written = hexadecimal(value);
      return written instanceof CelError ? written : written.toUpperCase();
    }
    default:
      return failure(`could not parse formatting clause: unrecognized formatting clause "${clause}"`);
  }
}

const wrong = (rule: string, value: CelValue) =>
  failure(`error during formatting: ${rule}, was given ${typeName(value)}`);

const special = (value: number) => (Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity');

function fraction(value: CelValue, write: (value: number) => string): string | CelError {
  const number =
    value instanceof CelDouble
      ? value.value
      : isInt(value)
        ? Number(value)
        : value instanceof CelUint
          ? Number(value.value)
          : undefined;
  if (number === undefined) return wrong('fixed-point clause can only be used on doubles', value);
  return Number.isFinite(number) ? write(number) : special(number);
}

/** Rounds halves to even, as Go; JavaScript rounds them up. */
function fixedPoint(value: number, digits: number): string {
  const written = value.toFixed(digits);
  if (Math.abs(value) >= 1e21) return written;
  const exact = Math.abs(value).toFixed(100);
  const at = exact.indexOf('.') + 1 + digits;
  if (!/^50*$/.test(exact.slice(at))) return written;
  const kept = exact.slice(0, at).replace(/\.$/, '');
  return Number(kept.at(-1)) % 2 === 0 ? (value < 0 ? `-${kept}` : kept) : written;
}

function integer(value: CelValue, base: number): string | undefined {
  if (isInt(value)) return value.toString(base);
  return value instanceof CelUint ? value.value.toString(base) : undefined;
}

function hexadecimal(value: CelValue): string | CelError {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return integer(value, 16) ?? wrong('only integers, byte buffers, and strings can be formatted as hex', value);
}

function plain(value: CelValue): string | CelError {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || isInt(value)) return String(value);
  if (value === null) return 'null';
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelDouble) return Number.isFinite(value.value) ? String(value.value) : special(value.value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelTypeValue) return value.name;
  if (value instanceof CelList) return all([...value], (parts) => `[${parts.join(', ')}]`);
  if (isMap(value)) return mapText(value);
  return wrong(
    'string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps',
    value,
  );
}

function mapText(map: CelMap): string | CelError {
  const entries: [string, string][] = [];
  for (const key of map.keys()) {
    if (!(typeof key === 'string' || typeof key === 'boolean' || isInt(key) || key instanceof CelUint)) {
      return wrong('map keys must be strings, bools, ints or uints', key);
    }
    const texts = [plain(key), plain(map.get(key) as CelValue)];
    const problem = texts.find((each) => each instanceof CelError);
    if (problem) return problem;
    entries.push(texts as [string, string]);
  }
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, value]) => `${key}: ${value}`).join(', ')}}`;
}

function all(values: CelValue[], write: (parts: string[]) => string): string | CelError {
  const parts = values.map(plain);
  const problem = parts.find((each) => each instanceof CelError);
  return problem ?? write(parts as string[]);
}
