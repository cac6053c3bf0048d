// The recent changes of a resource, from which watches resume. Bounded by count, bytes and age; whole revisions are dropped.
import type { Change } from './change.ts';

export interface RingLimits {
  count: number;
  bytes: number;
  /** Changes older than this go, except the newest `keep`. */
  ageMs: number;
  keep: number;
}

export const defaultRingLimits: RingLimits = { count: 10_000, bytes: 16 << 20, ageMs: 5 * 60_000, keep: 100 };

export class Ring {
  #changes: Change[] = [];
  #head = 0;
  #bytes = 0;
  /** Every change after this revision is here, except inside the gaps. */
  #since: number;
  #gaps: { after: number; until: number }[] = [];
  #limits: RingLimits;

  constructor(since: number, limits: RingLimits) {
    this.#since = since;
    this.#limits = limits;
  }

  get size(): number {
    return this.#changes.length - this.#head;
  }

  /** The oldest revision from which a watch may resume. */
  get since(): number {
    return this.#since;
  }

  push(change: Change): void {
    this.#changes.push(change);
    this.#bytes += change.entry.bytes.length;
  }

  /** Drops what is beyond the limits. */
  trim(nowMs: number): void {
    const { count, bytes, ageMs, keep } = this.#limits;
    for (;;) {
      const oldest = this.#changes[this.#head];
      if (!oldest) return;
      const isOld = this.size > keep && nowMs - oldest.timeMs > ageMs;
      if (this.size <= count && (this.#bytes <= bytes || this.size <= 1) && !isOld) return;
      this.#drop(oldest.revision);
    }
  }

  /**
   * Between these two revisions changes were missed and only their sum is known: a watch may resume from `after` or
   * `until`, not from between.
   */
  addGap(after: number, until: number): void {
    if (until > after + 1) this.#gaps.push({ after, until });
  }

  /** The oldest revision a watch from `revision` would need, when that is gone; undefined when it can be served. */
  missing(revision: number): number | undefined {
    if (revision < this.#since) return this.#since;
    return this.#gaps.find((gap) => revision > gap.after && revision < gap.until)?.until;
  }

  /** Changes after `revision`, in order. */
  after(revision: number): Change[] {
    let low = this.#head;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle] as Change).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#changes.slice(low);
  }

  #drop(revision: number): void {
    for (let oldest = this.#changes[this.#head]; oldest?.revision === revision; oldest = this.#changes[this.#head]) {
      this.#bytes -= oldest.entry.bytes.length;
      this.#changes[this.#head++] = undefined as unknown as Change;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#changes.length) {
      this.#changes = this.#changes.slice(this.#head);
      this.#head = 0;
    }
    this.#since = Math.max(this.#since, revision);
    if (this.#gaps.length > 0) this.#gaps = this.#gaps.filter((gap) => gap.until > this.#since);
  }
}
