// Timestamps and durations: reading and writing them, and their parts in any time zone.
import { duration, failure, timestamp } from './arithmetic.ts';
import type { CelDuration, CelTimestamp, CelValue } from '../values.ts';

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

export function parseTimestamp(text: string): CelValue {
  const match = RFC3339.exec(text);
  if (!match) return failure(`parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse`);
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours, offsetMinutes] = match;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  const isReal = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
  if (!isReal || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) {
    return failure(`parsing time ${JSON.stringify(text)}: out of range`);
  }
  const offset = sign ? (sign === '-' ? -1 : 1) * (Number(offsetHours) * 3600 + Number(offsetMinutes) * 60) : 0;
  const seconds = date.getTime() / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offset;
  return timestamp(seconds, Number(fraction.slice(0, 9).padEnd(9, '0')));
}

/** A schema's `date`: a day as the instant it begins. */
export function parseDate(text: string): CelValue {
  return /^\d{4}-\d\d-\d\d$/.test(text)
    ? parseTimestamp(`${text}T00:00:00Z`)
    : failure(`parsing time ${JSON.stringify(text)} as "2006-01-02": cannot parse`);
}

const UNITS: Record<string, bigint> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;

/** As Go's time.ParseDuration: `1h30m`, `-1.5s`, `0`. */
export function parseDuration(text: string): CelValue {
  if (text.length > 100 || !DURATION.test(text)) return failure(`time: invalid duration ${JSON.stringify(text)}`);
  let total = 0n;
  for (const [, whole = '', fraction = '', unit] of text.matchAll(/(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g)) {
    const scale = UNITS[unit as string] as bigint;
    total += BigInt(whole || '0') * scale;
    if (fraction) total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
  }
  const value = duration(text.startsWith('-') ? -total : total);
  return 'nanos' in (value as object) ? value : failure(`time: invalid duration ${JSON.stringify(text)}`);
}

interface Parts {
  year: number;
  month: number;
  day: number;
  weekday: number;
  hour: number;
  minute: number;
  second: number;
}

const formats = new Map<string, Intl.DateTimeFormat | undefined>();

/** Undefined for a zone that does not exist. `zone` is a name of the tz database or `+02:00`; default UTC. */
function partsIn({ seconds }: CelTimestamp, zone: string | undefined): Parts | undefined {
  if (zone === undefined || zone === 'UTC' || zone === '') return utcParts(seconds);
  const fixed = /^([+-]?)(\d?\d):(\d\d)$/.exec(zone);
  if (fixed) {
    const offset = (Number(fixed[2]) * 60 + Number(fixed[3])) * 60;
    return utcParts(fixed[1] === '-' ? seconds - offset : seconds + offset);
  }
  const format = zoneFormat(zone);
  if (!format) return undefined;
  const part = (name: string, of: Intl.DateTimeFormatPart[]) => Number(of.find(({ type }) => type === name)?.value);
  const parts = format.formatToParts(new Date(seconds * 1000));
  const local = Date.UTC(
    part('year', parts),
    part('month', parts) - 1,
    part('day', parts),
    part('hour', parts) % 24,
    part('minute', parts),
    part('second', parts),
  );
  return utcParts(local / 1000);
}

function zoneFormat(zone: string): Intl.DateTimeFormat | undefined {
  if (formats.has(zone)) return formats.get(zone);
  let format: Intl.DateTimeFormat | undefined;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    format = undefined;
  }
  if (formats.size > 100) formats.clear();
  formats.set(zone, format);
  return format;
}

function utcParts(seconds: number): Parts {
  const date = new Date(seconds * 1000);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth(),
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

function dayOfYear({ year, month, day }: Parts): number {
  return Math.round((Date.UTC(2000, month, day) - Date.UTC(2000, 0, 1)) / 86_400_000) - leapCorrection(year, month);
}
/** The day above is counted in a leap year. */
const leapCorrection = (year: number, month: number) =>
  month > 1 && !(year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) ? 1 : 0;

const timestampParts: Record<string, (parts: Parts, at: CelTimestamp) => number> = {
  getFullYear: ({ year }) => year,
  getMonth: ({ month }) => month,
  getDayOfYear: dayOfYear,
  getDate: ({ day }) => day,
  getDayOfMonth: ({ day }) => day - 1,
  getDayOfWeek: ({ weekday }) => weekday,
  getHours: ({ hour }) => hour,
  getMinutes: ({ minute }) => minute,
  getSeconds: ({ second }) => second,
  getMilliseconds: (_parts, { nanos }) => Math.floor(nanos / 1_000_000),
};

export function timestampPart(name: string): (at: CelTimestamp, zone?: string) => CelValue {
  const select = timestampParts[name] as (parts: Parts, at: CelTimestamp) => number;
  return (at, zone) => {
    const parts = partsIn(at, zone);
    return parts ? select(parts, at) : failure(`unknown time zone ${zone}`);
  };
}

const durationUnits: Record<string, bigint> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
};

export function durationPart(name: string): (of: CelDuration) => CelValue {
  const unit = durationUnits[name];
  return ({ nanos }) => Number(unit ? nanos / unit : (nanos / 1_000_000n) % 1_000n);
}
