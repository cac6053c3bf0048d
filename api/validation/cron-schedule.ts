// Schedules of CronJobs: five fields or a descriptor, with the messages of the parser that upstream uses (robfig/cron v3).
// Time zones are names of the IANA database, as Node knows them.

/** Which minutes, hours, days, months and weekdays (0 is Sunday) a schedule names. */
export interface CronFields {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** A day matches when both match; if neither is written as a star, when either does. */
  anyDay: boolean;
  anyWeekday: boolean;
}

/** `{ everyMs }` for `@every`; `timeZone` when the text begins with `TZ=` or `CRON_TZ=`. */
export type CronSchedule = ({ fields: CronFields } | { everyMs: number }) & { timeZone?: string };

/** The message says what is wrong, as upstream words it. */
export class CronError extends Error {}

interface Bounds {
  low: number;
  high: number;
  names: readonly string[];
}

const MINUTES: Bounds = { low: 0, high: 59, names: [] };
const HOURS: Bounds = { low: 0, high: 23, names: [] };
const DAYS: Bounds = { low: 1, high: 31, names: [] };
const MONTHS: Bounds = { low: 1, high: 12, names: 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ') };
const WEEKDAYS: Bounds = { low: 0, high: 6, names: 'sun mon tue wed thu fri sat'.split(' ') };

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** Throws CronError. */
export function parseCron(text: string): CronSchedule {
  if (text === '') throw new CronError('empty spec string');
  const zone = /^(?:CRON_)?TZ=(\S*)(?:\s+|$)/.exec(text);
  if (!zone) return parseSchedule(text);
  const timeZone = zone[1] as string;
  if (!isTimeZone(timeZone)) {
    throw new CronError(`provided bad location ${timeZone}: unknown time zone ${timeZone}`);
  }
  return { ...parseSchedule(text.slice(zone[0].length)), timeZone };
}

function parseSchedule(text: string): CronSchedule {
  if (!text.startsWith('@')) return { fields: parseFields(text) };
  const expanded = Object.hasOwn(DESCRIPTORS, text) ? DESCRIPTORS[text] : undefined;
  if (expanded) return { fields: parseFields(expanded) };
  const every = '@every ';
  if (!text.startsWith(every)) throw new CronError(`unrecognized descriptor: ${text}`);
  const everyMs = durationMs(text.slice(every.length));
  if (everyMs === undefined) {
    const duration = JSON.stringify(text.slice(every.length));
    throw new CronError(`failed to parse duration ${text}: time: invalid duration ${duration}`);
  }
  return { everyMs: Math.max(1000, everyMs - (everyMs % 1000)) };
}

function parseFields(text: string): CronFields {
  const parts = text.split(/\s+/).filter((each) => each !== '');
  if (parts.length !== 5) {
    throw new CronError(`expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`);
  }
  const [minutes, hours, days, months, weekdays] = parts as [string, string, string, string, string];
  return {
    minutes: parseField(minutes, MINUTES),
    hours: parseField(hours, HOURS),
    days: parseField(days, DAYS),
    months: parseField(months, MONTHS),
    weekdays: parseField(weekdays, WEEKDAYS),
    anyDay: hasStar(days),
    anyWeekday: hasStar(weekdays),
  };
}

const hasStar = (text: string): boolean => text.split(',').some((each) => /^[*?](\/1)?$/.test(each));

function parseField(text: string, bounds: Bounds): Set<number> {
  const found = new Set<number>();
  for (const part of text.split(',').filter((each) => each !== '')) addRange(found, part, bounds);
  return found;
}

function addRange(found: Set<number>, text: string, { low, high, names }: Bounds): void {
  const rangeAndStep = text.split('/');
  const ends = (rangeAndStep[0] as string).split('-');
  const isSingle = ends.length === 1;
  let start = low;
  let end = high;
  if (ends[0] !== '*' && ends[0] !== '?') {
    start = numberOrName(ends[0] as string, names);
    if (ends.length > 2) throw new CronError(`too many hyphens: ${text}`);
    end = isSingle ? start : numberOrName(ends[1] as string, names);
  }
  if (rangeAndStep.length > 2) throw new CronError(`too many slashes: ${text}`);
  let step = 1;
  if (rangeAndStep.length === 2) {
    step = wholeNumber(rangeAndStep[1] as string);
    if (isSingle) end = high;
  }
  if (start < low) throw new CronError(`beginning of range (${start}) below minimum (${low}): ${text}`);
  if (end > high) throw new CronError(`end of range (${end}) above maximum (${high}): ${text}`);
  if (start > end) throw new CronError(`beginning of range (${start}) beyond end of range (${end}): ${text}`);
  if (step === 0) throw new CronError(`step of range should be a positive number: ${text}`);
  for (let value = start; value <= end; value += step) found.add(value);
}

function numberOrName(text: string, names: readonly string[]): number {
  const at = names.indexOf(text.toLowerCase());
  if (at < 0) return wholeNumber(text);
  return names.length === 12 ? at + 1 : at;
}

function wholeNumber(text: string): number {
  if (!/^[+-]?[0-9]{1,15}$/.test(text)) {
    throw new CronError(
      `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }
  const value = Number(text);
  if (value < 0) throw new CronError(`negative number (${value}) not allowed: ${text}`);
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's durations: `1h30m`, `1.5s`. */
function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  if (text.length > 64 || !/^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(amount) * (UNIT_MS[unit as string] as number);
  }
  return text.startsWith('-') ? -sum : sum;
}

/** `UTC`, `Europe/Berlin`; no offsets. */
export function isTimeZone(name: string): boolean {
  if (name === '' || name === 'UTC') return true;
  if (/^[+-]?[0-9]/.test(name) || !/^[A-Za-z0-9_+/-]{1,64}$/.test(name)) return false;
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
