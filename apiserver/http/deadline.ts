// How long a request may take: `--request-timeout`, or less when the client says so with `timeout=10s`. Pure.
import { errors } from '../../api/errors.ts';

/** Throws 400 with upstream's words. Watches and the like read the parameter in their own way. */
export function deadlineMs(timeout: string | null, maxMs: number): number {
  if (timeout === null || timeout === '') return maxMs;
  const asked = parseGoDuration(timeout);
  if (typeof asked === 'string') throw errors.badRequest(`invalid timeout specified in the request URL - ${asked}`);
  return asked > 0 && asked < maxMs ? asked : maxMs;
}

const UNITS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds, or what is wrong as Go's time.ParseDuration says it. */
export function parseGoDuration(text: string): number | string {
  const quoted = JSON.stringify(text.slice(0, 100));
  const sign = /^[-+]/.exec(text)?.[0] ?? '';
  const rest = text.slice(sign.length);
  if (rest === '0') return 0;
  if (!/^[\d.]/.test(rest)) return `time: invalid duration ${quoted}`;
  let total = 0;
  for (let at = 0; at < rest.length; ) {
    const match = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest.slice(at));
    if (!match) return `time: invalid duration ${quoted}`;
    const [whole, number = '', unit = ''] = match;
    if (unit === '') return `time: missing unit in duration ${quoted}`;
    if (!Object.hasOwn(UNITS, unit))
      return `time: unknown unit ${JSON.stringify(unit.slice(0, 20))} in duration ${quoted}`;
    total += Number(number) * (UNITS[unit] as number);
    at += whole.length;
  }
  if (total > 9.2e12) return `time: invalid duration ${quoted}`;
  return sign === '-' ? -total : total;
}
