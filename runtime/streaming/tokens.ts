// One-time tokens: each stands for one stream, is good for a minute, and is gone when it was used.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';

export const tokenLifeMs = 60_000;
const maxTokens = 1000;

export class TokenCache<T> {
  #clock: Clock;
  #entries = new Map<string, { target: T; expiresAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws when too many are waiting to be used. A token is a secret, so it does not come from a seeded `Random`. */
  issue(target: T): string {
    this.#expire();
    if (this.#entries.size >= maxTokens) throw new Error(`more than ${maxTokens} streams are waiting to be opened`);
    const token = randomBytes(16).toString('base64url');
    this.#entries.set(token, { target, expiresAtMs: this.#clock.monotonic() + tokenLifeMs });
    return token;
  }

  /** The target, once; undefined for a token that is unknown, used or expired. */
  consume(token: string): T | undefined {
    this.#expire();
    const entry = this.#entries.get(token);
    this.#entries.delete(token);
    return entry?.target;
  }

  #expire(): void {
    for (const [token, entry] of this.#entries) {
      if (entry.expiresAtMs > this.#clock.monotonic()) return;
      this.#entries.delete(token);
    }
  }
}
