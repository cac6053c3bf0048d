// Timestamps as Kubernetes holds them: RFC 3339 in UTC, whole seconds (Time) or microseconds (MicroTime).
// Errors are worded as Go's time.Parse words them.

const LAYOUT = '2006-01-02T15:04:05Z07:00';
const MICRO_LAYOUT = '2006-01-02T15:04:05.000000Z07:00';
const SHAPE = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})$/;
const STEPS: readonly [RegExp, string][] = [
  [/^\d{4}/, '2006'],
  [/^-/, '-'],
  [/^\d{2}/, '01'],
  [/^-/, '-'],
  [/^\d{2}/, '02'],
  [/^T/, 'T'],
  [/^\d{1,2}/, '15'],
  [/^:/, ':'],
  [/^\d{2}/, '04'],
  [/^:/, ':'],
  [/^\d{2}(?:[.,]\d+)?/, '05'],
  [/^(?:Z|[+-]\d{2}:\d{2})/, 'Z07:00'],
];

export class TimeError extends Error {}

/** A Time, from milliseconds since the epoch. */
export const formatTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const pad = (value: number, width = 2) => String(value).padStart(width, '0');

/** Parses and writes back in the stored form. Throws TimeError. */
export function normalizeTime(text: string, micro = false): string {
  // The form nearly every client sends is already the stored one.
  const match = SHAPE.exec(text);
  if (!match) throw explain(text, micro);
  const [, year, month, day, hour, minute, second, fraction = '', zone] = match as unknown as string[];
  const parts = [year, month, day, hour, minute, second].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const wrong = outOfRange(parts);
  if (wrong) throw new TimeError(`parsing time ${JSON.stringify(text)}: ${wrong} out of range`);
  if (zone === 'Z') {
    if (!micro) return fraction === '' ? text : `${text.slice(0, 19)}Z`;
    return `${text.slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
  }
  const sign = zone?.startsWith('-') ? -1 : 1;
  const offsetMinutes = sign * (Number(zone?.slice(1, 3)) * 60 + Number(zone?.slice(4, 6)));
  const at = new Date(0);
  at.setUTCFullYear(parts[0], parts[1] - 1, parts[2]);
  at.setUTCHours(parts[3], parts[4] - offsetMinutes, parts[5]);
  const base = `${pad(at.getUTCFullYear(), 4)}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())}T${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
  return micro ? `${base}.${fraction.slice(0, 6).padEnd(6, '0')}Z` : `${base}Z`;
}

function outOfRange([year, month, day, hour, minute, second]: [
  number,
  number,
  number,
  number,
  number,
  number,
]): string {
  if (month < 1 || month > 12) return 'month';
  if (hour > 23) return 'hour';
  if (minute > 59) return 'minute';
  if (second > 59) return 'second';
  const days = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
  return day < 1 || day > days ? 'day' : '';
}

function explain(text: string, micro: boolean): TimeError {
  const head = `parsing time ${JSON.stringify(text)}`;
  let rest = text;
  for (const [pattern, layout] of STEPS) {
    const match = pattern.exec(rest);
    if (!match) {
      const name = micro ? MICRO_LAYOUT : LAYOUT;
      return new TimeError(
        `${head} as ${JSON.stringify(name)}: cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(layout)}`,
      );
    }
    rest = rest.slice(match[0].length);
  }
  return new TimeError(`${head}: extra text: ${JSON.stringify(rest)}`);
}

/** Milliseconds since the epoch in the stored form. */
export function timeFromMs(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

export function microTimeFromMs(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}

/** Seconds and nanoseconds as protobuf carries them. */
export function timeFromSeconds(seconds: number, nanos: number, micro: boolean): string {
  const base = new Date(seconds * 1000).toISOString();
  const head = base.slice(0, base.indexOf('.'));
  return micro ? `${head}.${pad(Math.floor(nanos / 1000), 6)}Z` : `${head}Z`;
}
