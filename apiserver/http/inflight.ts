// Keeps one client from blocking the others: reads and writes in progress are bounded, a user who floods waits in a
// line of their own, lines are served round robin, and a full line is answered 429.
//
//   request ─► free seat and no line? ──────────► runs
//                     └► the user's line (bounded) ─► next free seat, users in turn
import { errors } from '../../api/errors.ts';

export interface InflightLimits {
  readOnly: number;
  mutating: number;
  /** Requests of one user that may wait. */
  lineLength: number;
}

export const DEFAULT_LIMITS: InflightLimits = { readOnly: 400, mutating: 200, lineLength: 200 };

interface Line {
  user: string;
  waiting: (() => void)[];
}

export type RequestKind = 'readOnly' | 'mutating';

export class InflightGate {
  #limits: InflightLimits;
  #seats: Record<RequestKind, Seats>;

  constructor(limits: InflightLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
    this.#seats = {
      readOnly: new Seats(limits.readOnly),
      mutating: new Seats(limits.mutating),
    };
  }

  /** Requests that run now. */
  running(kind: RequestKind): number {
    return this.#seats[kind].taken;
  }

  waiting(kind: RequestKind): number {
    return this.#seats[kind].waiting;
  }

  /** Takes a seat; undefined when there is one at once, else a promise. Throws 429 when the user's line is full. */
  enter(kind: RequestKind, user: string): Promise<void> | undefined {
    const seats = this.#seats[kind];
    if (seats.tryTake()) return undefined;
    if (seats.lineOf(user) >= this.#limits.lineLength) {
      throw errors.tooManyRequests('Too many requests, please try again later.', 1);
    }
    return seats.wait(user);
  }

  leave(kind: RequestKind): void {
    this.#seats[kind].release();
  }
}

class Seats {
  taken = 0;
  waiting = 0;
  #limit: number;
  /** In the order in which they are served next. */
  #lines = new Map<string, Line>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  tryTake(): boolean {
    if (this.taken >= this.#limit || this.waiting > 0) return false;
    this.taken++;
    return true;
  }

  lineOf(user: string): number {
    return this.#lines.get(user)?.waiting.length ?? 0;
  }

  wait(user: string): Promise<void> {
    let line = this.#lines.get(user);
    if (!line) {
      line = { user, waiting: [] };
      this.#lines.set(user, line);
    }
    this.waiting++;
    const { waiting } = line;
    return new Promise((resolve) => waiting.push(resolve));
  }

  /** The seat goes to the first of the next line, which then goes to the end. */
  release(): void {
    const next = this.#lines.values().next().value;
    if (!next) {
      this.taken--;
      return;
    }
    this.#lines.delete(next.user);
    const resolve = next.waiting.shift() as () => void;
    if (next.waiting.length > 0) this.#lines.set(next.user, next);
    this.waiting--;
    resolve();
  }
}
