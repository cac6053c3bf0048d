// Small pieces of table cells, as upstream prints them.

/** `a,b,c + 2 more...`: at most three are named; `none` when there is nothing. */
export function firstThree(all: readonly string[], none: string): string {
  if (all.length === 0) return none;
  const shown = all.slice(0, 3).join(',');
  return all.length > 3 ? `${shown} + ${all.length - 3} more...` : shown;
}

/** `host:port`, an IPv6 host in brackets. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
