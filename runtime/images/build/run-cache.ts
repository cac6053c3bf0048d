// What RUN steps made, by what they started from and ran: a file beside the blobs, replaced whole.
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../../lib/files.ts';
import type { StoredLayer } from '../compose.ts';

/** Older entries go: a step that is built again is remembered again. */
const LIMIT = 1_000;

interface Remembered {
  /** Undefined: the step changed nothing. */
  layer?: StoredLayer;
}

export class RunCache {
  #path: string;
  #entries: Map<string, Remembered>;

  constructor(path: string) {
    this.#path = path;
    let entries: Record<string, Remembered> = {};
    try {
      entries = JSON.parse(readFileSync(path, 'utf8')) as Record<string, Remembered>;
    } catch {
      // None yet, or unreadable: everything runs again.
    }
    this.#entries = new Map(Object.entries(entries));
  }

  get(key: string): Remembered | undefined {
    return this.#entries.get(key);
  }

  put(key: string, remembered: Remembered): void {
    this.#entries.delete(key);
    this.#entries.set(key, remembered);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= LIMIT) break;
      this.#entries.delete(oldest);
    }
    writeFileAtomic(this.#path, JSON.stringify(Object.fromEntries(this.#entries)));
  }
}
