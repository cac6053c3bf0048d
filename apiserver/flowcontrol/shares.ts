// How the server's seats are divided among priority levels: by their shares, and again every ten seconds by what they need, within
// what each may lend and borrow. Pure. Rules: KEP-1040, "Dispatching" and "Borrowing".

export interface LevelShares {
  name: string;
  exempt: boolean;
  shares: number;
  lendablePercent: number;
  /** Undefined: it may borrow all there is. */
  borrowingLimitPercent: number | undefined;
}

export interface SeatBounds {
  nominal: number;
  /** What stays when all that may be lent is lent. */
  min: number;
  max: number;
}

export function divideSeats(serverSeats: number, levels: readonly LevelShares[]): Map<string, SeatBounds> {
  const sum = levels.reduce((total, each) => total + each.shares, 0);
  const bounds = new Map<string, SeatBounds>();
  for (const each of levels) {
    const nominal = sum === 0 ? 0 : Math.ceil((serverSeats * each.shares) / sum);
    const lendable = Math.round((nominal * each.lendablePercent) / 100);
    const borrowable =
      each.borrowingLimitPercent === undefined ? serverSeats : Math.round((nominal * each.borrowingLimitPercent) / 100);
    bounds.set(each.name, { nominal, min: nominal - lendable, max: nominal + borrowable });
  }
  return bounds;
}

/** The demand for seats over a period, and its smoothed envelope over periods. */
export class Demand {
  #value = 0;
  #sinceMs: number;
  #startMs: number;
  #area = 0;
  #squares = 0;
  #high = 0;
  average = 0;
  deviation = 0;
  highWatermark = 0;
  smoothed = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
    this.#startMs = nowMs;
  }

  set(value: number, nowMs: number): void {
    this.#add(nowMs);
    this.#value = value;
    if (value > this.#high) this.#high = value;
  }

  /** Ends the period. Rises at once, falls slowly (half of it in five minutes of ten-second periods). */
  endPeriod(nowMs: number): void {
    this.#add(nowMs);
    const length = nowMs - this.#startMs;
    this.average = length > 0 ? this.#area / length : this.#value;
    this.deviation = length > 0 ? Math.sqrt(Math.max(0, this.#squares / length - this.average ** 2)) : 0;
    this.highWatermark = this.#high;
    const envelope = Math.min(this.highWatermark, this.average + this.deviation);
    this.smoothed = Math.max(envelope, SMOOTHING * this.smoothed + (1 - SMOOTHING) * envelope);
    this.#startMs = nowMs;
    this.#area = 0;
    this.#squares = 0;
    this.#high = this.#value;
  }

  #add(nowMs: number): void {
    const span = nowMs - this.#sinceMs;
    if (span > 0) {
      this.#area += this.#value * span;
      this.#squares += this.#value ** 2 * span;
      this.#sinceMs = nowMs;
    }
  }
}

const SMOOTHING = 0.977;

export interface LevelNeeds extends SeatBounds {
  name: string;
  exempt: boolean;
  highWatermark: number;
  smoothed: number;
}

/** Seats of each level until the next adjustment, and the fraction of its target that each got between its bounds. */
export function adjustSeats(levels: readonly LevelNeeds[]): { seats: Map<string, number>; fairFraction: number } {
  const seats = new Map<string, number>();
  let left = levels.reduce((total, each) => total + each.nominal, 0);
  for (const each of levels) {
    if (!each.exempt) continue;
    // Nobody limits it: what it uses is not there for others.
    const used = Math.max(each.min, each.highWatermark);
    seats.set(each.name, used);
    left -= used;
  }
  const limited = levels
    .filter((each) => !each.exempt)
    .map((each) => {
      const lower = Math.max(each.min, Math.min(each.nominal, each.highWatermark));
      return { ...each, lower, target: Math.max(lower, each.smoothed, 0.01) };
    });
  const minSum = limited.reduce((total, each) => total + each.min, 0);
  const lowerSum = limited.reduce((total, each) => total + each.lower, 0);
  if (left <= minSum) {
    for (const each of limited) seats.set(each.name, each.min);
    return { seats, fairFraction: 0 };
  }
  if (left <= lowerSum) {
    const fraction = (left - minSum) / Math.max(lowerSum - minSum, 1e-9);
    for (const each of limited) seats.set(each.name, Math.round(each.min + (each.lower - each.min) * fraction));
    return { seats, fairFraction: fraction };
  }
  const fraction = fractionFor(left, limited);
  for (const each of limited) {
    seats.set(each.name, Math.round(clamp(each.target * fraction, each.lower, each.max)));
  }
  return { seats, fairFraction: fraction };
}

interface Item {
  target: number;
  lower: number;
  max: number;
}

/** The fraction at which all targets, each held between its bounds, sum up to `sum`; the sum grows with the fraction. */
function fractionFor(sum: number, items: readonly Item[]): number {
  let low = 0;
  let high = Math.max(1, ...items.map((each) => each.max / each.target));
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    const total = items.reduce((all, each) => all + clamp(each.target * middle, each.lower, each.max), 0);
    if (total < sum) low = middle;
    else high = middle;
  }
  return high;
}

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
