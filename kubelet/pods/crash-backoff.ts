// How long a crashed container waits: the first restart is at once, then 10 s doubling to 300 s counted from the exit;
// a container that ran for more than 10 minutes starts over (upstream client-go flowcontrol.Backoff). All times are of the
// monotonic clock. Pure state.

export const CRASH_INITIAL_MS = 10_000;
export const CRASH_MAX_MS = 300_000;

interface Entry {
  delayMs: number;
  updatedMs: number;
}

export interface Backoffs {
  /** When a container that ended at `endedMs` may start again; <= now means now. */
  readyAt(key: string, endedMs: number): number;
  /** The delay in force, 0 when there is none. */
  delayMs(key: string): number;
}

export class BackoffTable implements Backoffs {
  #entries = new Map<string, Entry>();
  #initialMs: number;
  #maxMs: number;

  constructor(initialMs = CRASH_INITIAL_MS, maxMs = CRASH_MAX_MS) {
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }

  readyAt(key: string, endedMs: number): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#isExpired(entry, endedMs)) return endedMs;
    return endedMs + entry.delayMs;
  }

  delayMs(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }

  /** Counts a restart made at `nowMs` after an exit at `endedMs`: the next one waits longer. */
  countRestart(key: string, endedMs: number, nowMs: number): void {
    const entry = this.#entries.get(key);
    const delayMs =
      !entry || this.#isExpired(entry, endedMs) ? this.#initialMs : Math.min(entry.delayMs * 2, this.#maxMs);
    this.#entries.set(key, { delayMs, updatedMs: nowMs });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  #isExpired(entry: Entry, eventMs: number): boolean {
    return eventMs - entry.updatedMs > 2 * this.#maxMs;
  }
}

/** `10s`, `1m20s`, `5m0s`: Go's way to write a duration of whole seconds. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
