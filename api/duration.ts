// Ages as kubectl prints them (k8s.io/apimachinery/pkg/util/duration): two units at most, none where they say nothing.

const SECOND = 1;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

const two = (first: number, firstUnit: string, second: number, secondUnit: string) =>
  second === 0 ? `${first}${firstUnit}` : `${first}${firstUnit}${second}${secondUnit}`;

/** `5s`, `2m30s`, `5h10m`, `3d4h`, `2y3d`. Negative by less than two seconds is `0s`, more is `<invalid>`. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 2 * MINUTE) return `${seconds}s`;
  const minutes = Math.floor(seconds / MINUTE);
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 3 * 60) return `${minutes}m`;
  const hours = Math.floor(seconds / HOUR);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (hours < 8 * 24) return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
  if (hours < 2 * 365 * 24) return `${Math.floor(hours / 24)}d`;
  if (hours < 8 * 365 * 24) return two(Math.floor(seconds / YEAR), 'y', Math.floor(hours / 24) % 365, 'd');
  return `${Math.floor(seconds / YEAR)}y`;
}

/** The shorter form of some columns (job duration in old clients, events): one unit. */
export function shortHumanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < MINUTE) return `${seconds}s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}m`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)}h`;
  if (seconds < YEAR) return `${Math.floor(seconds / DAY)}d`;
  return `${Math.floor(seconds / YEAR)}y`;
}

/** The age of an RFC 3339 timestamp; `<unknown>` when it is absent. */
export function age(timestamp: string | null | undefined, nowMs: number): string {
  if (!timestamp) return '<unknown>';
  const then = Date.parse(timestamp);
  return Number.isNaN(then) ? '<unknown>' : humanDuration(nowMs - then);
}
