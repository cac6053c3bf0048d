// Timestamps as metadata and conditions carry them: RFC 3339 with whole seconds.

export const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Milliseconds since the epoch; 0 when absent or unreadable. */
export function parseTime(text: string | undefined): number {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}
