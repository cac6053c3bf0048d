// Cron schedules: five fields, the @macros and @every, in any time zone. Pure.
// A wall-clock time that daylight saving skips does not happen; one that it repeats happens twice, as upstream's library has it.

export interface Schedule {
  /** The first instant after `afterMs`; undefined when there is none within five years (31 February). */
  next(afterMs: number): number | undefined;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const macros: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

interface Field {
  values: ReadonlySet<number>;
  /** Begins with `*` or `?`: says nothing by itself. */
  isStar: boolean;
}

function parseField(text: string, low: number, high: number, names: readonly string[] = [], firstName = 0): Field {
  const values = new Set<number>();
  let isStar = false;
  const number = (word: string): number => {
    const name = names.indexOf(word.toLowerCase());
    if (name >= 0) return name + firstName;
    if (!/^\d{1,4}$/.test(word)) throw new Error(`failed to parse int from ${word}`);
    return Number(word);
  };
  for (const part of text.split(',')) {
    const [range = '', stepText, ...tooMuch] = part.split('/');
    if (tooMuch.length > 0) throw new Error(`too many slashes: ${part}`);
    let from: number;
    let to: number;
    if (range === '*' || range === '?') {
      [from, to] = [low, high];
      if (stepText === undefined || stepText === '1') isStar = true;
    } else {
      const ends = range.split('-');
      if (ends.length > 2) throw new Error(`too many hyphens: ${part}`);
      from = number(ends[0] as string);
      to = ends[1] === undefined ? (stepText === undefined ? from : high) : number(ends[1]);
    }
    const step = stepText === undefined ? 1 : number(stepText);
    if (step === 0) throw new Error(`step of range should be a positive number: ${part}`);
    if (from < low) throw new Error(`beginning of range (${from}) below minimum (${low}): ${part}`);
    if (to > high) throw new Error(`end of range (${to}) above maximum (${high}): ${part}`);
    if (from > to) throw new Error(`beginning of range (${from}) beyond end of range (${to}): ${part}`);
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return { values, isStar };
}

const units: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: minuteMs, h: 3_600_000 };

/** `1h30m` in milliseconds. */
function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map((each) => each[0]).join('') !== text)
    throw new Error(`failed to parse duration @every ${text}: time: invalid duration "${text}"`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit as string] as number), 0);
}

/** Throws with what is wrong with the schedule; a RangeError when the time zone is unknown. */
export function parseSchedule(text: string, timeZone: string | undefined): Schedule {
  const zone = createZone(timeZone);
  if (text.startsWith('@every ')) {
    const everyMs = Math.max(1000, Math.floor(parseDuration(text.slice(7)) / 1000) * 1000);
    return { next: (afterMs) => Math.floor(afterMs / 1000) * 1000 + everyMs };
  }
  const line = text.startsWith('@') ? macros[text] : text;
  if (line === undefined) throw new Error(`unrecognized descriptor: ${text}`);
  const words = line.trim().split(/\s+/);
  if (words.length !== 5) throw new Error(`expected exactly 5 fields, found ${words.length}: [${words.join(' ')}]`);
  const minute = parseField(words[0] as string, 0, 59);
  const hour = parseField(words[1] as string, 0, 23);
  const day = parseField(words[2] as string, 1, 31);
  const month = parseField(words[3] as string, 1, 12, months, 1);
  const weekday = parseField(words[4] as string, 0, 6, days);

  /** Both given: either will do. */
  function isDay(wall: Date): boolean {
    const isDate = day.values.has(wall.getUTCDate());
    const isWeekday = weekday.values.has(wall.getUTCDay());
    return day.isStar || weekday.isStar ? isDate && isWeekday : isDate || isWeekday;
  }

  return {
    next(afterMs) {
      let at = Math.floor(afterMs / minuteMs) * minuteMs + minuteMs;
      const limit = afterMs + 5 * 366 * dayMs;
      while (at <= limit) {
        const wallMs = zone.wallOf(at);
        const wall = new Date(wallMs);
        let skipTo = at;
        if (!month.values.has(wall.getUTCMonth() + 1))
          skipTo = zone.instantOf(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 1));
        else if (!isDay(wall)) skipTo = zone.instantOf(Math.floor(wallMs / dayMs) * dayMs + dayMs);
        else if (!hour.values.has(wall.getUTCHours())) skipTo = at + (60 - wall.getUTCMinutes()) * minuteMs;
        else if (!minute.values.has(wall.getUTCMinutes())) skipTo = at + minuteMs;
        else return at;
        at = Math.max(skipTo, at + minuteMs);
      }
      return undefined;
    },
  };
}

interface Zone {
  /** The wall clock at an instant, as if it were UTC. */
  wallOf(ms: number): number;
  /** The instant of a wall clock; one that is skipped is the instant right after the gap. */
  instantOf(wallMs: number): number;
}

function createZone(timeZone: string | undefined): Zone {
  if (timeZone === 'UTC' || timeZone === 'Etc/UTC') return { wallOf: (ms) => ms, instantOf: (ms) => ms };
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const wallOf = (ms: number) => {
    const part: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(ms)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
  return {
    wallOf,
    instantOf(wallMs) {
      const before = wallMs - (wallOf(wallMs - dayMs) - (wallMs - dayMs));
      const after = wallMs - (wallOf(wallMs + dayMs) - (wallMs + dayMs));
      const earlier = Math.min(before, after);
      return wallOf(earlier) === wallMs ? earlier : Math.max(before, after);
    },
  };
}
