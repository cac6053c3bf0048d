// The queues of one priority level and the seats it may use: fair queuing by virtual time. Each queue gets an equal share of
// the level's seats while it has work; within its hand a flow goes to the queue with the least work. Time comes in through
// `now`. The law is Kubernetes' KEP-1040.
//
//   R, virtual time: seat-seconds that each active queue could have used so far
//   a queue's `nextR`: the R at which its next request would start in a perfectly fair world
//   dispatched is the head whose nextR + seats * G + final work comes first; G is a guess, made good when the request ends
import { Dealer } from './dealer.ts';
import { ONE_SEAT, type WorkEstimate } from './width.ts';

export interface QueueSetConfig {
  /** Absent: what finds no seat is rejected. */
  queuing?: { queues: number; handSize: number; queueLengthLimit: number };
}

export type RejectReason = 'concurrency-limit' | 'queue-full' | 'time-out' | 'cancelled';

/** One request: waiting in a queue, executing, or over. */
export interface Ticket<T> {
  readonly flow: string;
  /** All that it holds, from its start to the end of its last phase. */
  readonly seats: number;
  readonly work: WorkEstimate;
  readonly arrivedMs: number;
  readonly queue: Queue<T>;
  readonly detail: T;
  /** NaN until it executes. */
  startedMs: number;
  /** A write that is answered may hold its seats a little longer, and is over all the same. */
  state: 'waiting' | 'executing' | 'over';
  /** Called once when a waiting one starts, or is thrown out. */
  settle: ((reason: RejectReason | undefined) => void) | undefined;
}

export interface Queue<T> {
  readonly index: number;
  readonly waiting: Ticket<T>[];
  readonly executing: Set<Ticket<T>>;
  nextR: number;
  seatsInUse: number;
  seatsWaiting: number;
}

/** Seconds that a request is taken to last before it is known. */
const GUESS_SECONDS = 0.003;

export class QueueSet<T> {
  #now: () => number;
  #dealer: Dealer | undefined;
  #lengthLimit = 0;
  #queues: Queue<T>[] = [];
  #limit = 0;
  /** Where the search for the next queue starts, so that ties are broken in turn. */
  #robin = 0;
  #r = 0;
  #syncedMs: number;
  seatsInUse = 0;
  seatsWaiting = 0;
  executing = 0;
  waiting = 0;
  activeQueues = 0;
  /** Seats that somebody wants: executing and waiting. Told on every change. */
  #onDemand: (seats: number) => void;
  #after: (ms: number, then: () => void) => void;

  /** `now`: milliseconds that only grow, fractions welcome. `after` calls back that much later; it may cut that short. */
  constructor(
    now: () => number,
    onDemand: (seats: number) => void = () => {},
    after: (ms: number, then: () => void) => void = (_ms, then) => then(),
  ) {
    this.#now = now;
    this.#after = after;
    this.#syncedMs = now();
    this.#onDemand = onDemand;
  }

  get limit(): number {
    return this.#limit;
  }

  get virtualTime(): number {
    return this.#r;
  }

  get queues(): readonly Queue<T>[] {
    return this.#queues;
  }

  /** Takes over a configuration; what waits or executes stays in the queue it is in. */
  configure(config: QueueSetConfig): void {
    const wanted = config.queuing?.queues ?? 1;
    this.#dealer = config.queuing && new Dealer(config.queuing.queues, config.queuing.handSize);
    this.#lengthLimit = config.queuing?.queueLengthLimit ?? 0;
    while (this.#queues.length < wanted) this.#queues.push(newQueue(this.#queues.length));
    // Queues beyond the number wanted get nothing new, and go when they are empty.
    this.#trim(wanted);
  }

  setLimit(seats: number): void {
    this.#sync();
    this.#limit = seats;
    this.#dispatch();
  }

  /** A ticket that executes, one that waits (its `settle` is to be set at once), or why there is none. */
  enter(flow: string, work: WorkEstimate | number, detail: T): Ticket<T> | RejectReason {
    const estimate = typeof work === 'number' ? { ...ONE_SEAT, seats: work } : work;
    const seats = Math.max(estimate.seats, estimate.finalSeats);
    this.#sync();
    const queue = this.#queueFor(flow);
    const canStart = this.waiting === 0 && this.#fits(seats);
    if (!canStart) {
      if (!this.#dealer) return 'concurrency-limit';
      if (queue.waiting.length >= this.#lengthLimit) return 'queue-full';
    }
    const ticket: Ticket<T> = {
      flow,
      seats,
      work: estimate,
      arrivedMs: this.#syncedMs,
      queue,
      detail,
      startedMs: Number.NaN,
      state: 'waiting',
      settle: undefined,
    };
    if (queue.waiting.length === 0 && queue.executing.size === 0) {
      // What it did not use while it was idle is gone.
      queue.nextR = this.#r;
      this.activeQueues++;
    }
    if (canStart) this.#start(ticket);
    else {
      queue.waiting.push(ticket);
      queue.seatsWaiting += seats;
      this.seatsWaiting += seats;
      this.waiting++;
      // Another queue's head may fit although this one does not.
      this.#dispatch();
    }
    this.#onDemand(this.seatsInUse + this.seatsWaiting);
    return ticket;
  }

  /** Ends an executing one, or takes a waiting one out (then `reason` is given to its `settle`). Idempotent. */
  leave(ticket: Ticket<T>, reason: RejectReason = 'cancelled'): void {
    if (ticket.state === 'over') return;
    this.#sync();
    const { queue, seats, work } = ticket;
    if (ticket.state === 'executing') {
      queue.executing.delete(ticket);
      this.executing--;
      queue.nextR -= (GUESS_SECONDS - (this.#syncedMs - ticket.startedMs) / 1000) * work.seats;
      if (work.finalMs > 0) {
        ticket.state = 'over';
        if (queue.waiting.length === 0 && queue.executing.size === 0) this.activeQueues--;
        this.#after(work.finalMs, () => {
          this.#sync();
          this.#release(ticket);
          this.#dispatch();
          this.#onDemand(this.seatsInUse + this.seatsWaiting);
        });
        return;
      }
      this.#release(ticket);
    } else {
      queue.waiting.splice(queue.waiting.indexOf(ticket), 1);
      queue.seatsWaiting -= seats;
      this.seatsWaiting -= seats;
      this.waiting--;
    }
    const was = ticket.state;
    ticket.state = 'over';
    if (queue.waiting.length === 0 && queue.executing.size === 0) this.activeQueues--;
    if (was === 'waiting') ticket.settle?.(reason);
    this.#dispatch();
    this.#onDemand(this.seatsInUse + this.seatsWaiting);
  }

  #release({ queue, seats }: Ticket<T>): void {
    queue.seatsInUse -= seats;
    this.seatsInUse -= seats;
  }

  /** Virtual time goes on at the rate at which each active queue can get seats. */
  #sync(): void {
    const nowMs = this.#now();
    const elapsed = (nowMs - this.#syncedMs) / 1000;
    this.#syncedMs = nowMs;
    if (this.activeQueues === 0 || elapsed <= 0) return;
    this.#r += (elapsed * Math.min(this.seatsInUse + this.seatsWaiting, this.#limit)) / this.activeQueues;
  }

  #queueFor(flow: string): Queue<T> {
    if (!this.#dealer) return this.#queues[0] as Queue<T>;
    let best: Queue<T> | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const index of this.#dealer.hand(flow)) {
      const queue = this.#queues[index] as Queue<T>;
      const work = queue.seatsWaiting + queue.seatsInUse;
      if (work < least) {
        least = work;
        best = queue;
      }
    }
    return best as Queue<T>;
  }

  /** One that is wider than the whole level runs alone. */
  #fits(seats: number): boolean {
    return this.seatsInUse + seats <= this.#limit || (this.seatsInUse === 0 && this.#limit > 0);
  }

  #dispatch(): void {
    while (this.waiting > 0) {
      const queue = this.#next();
      const head = queue.waiting[0] as Ticket<T>;
      // No overtaking by narrower ones: a wide request would never start.
      if (!this.#fits(head.seats)) return;
      queue.waiting.shift();
      queue.seatsWaiting -= head.seats;
      this.seatsWaiting -= head.seats;
      this.waiting--;
      this.#start(head);
      head.settle?.(undefined);
    }
  }

  #next(): Queue<T> {
    let best: Queue<T> | undefined;
    let first = Number.POSITIVE_INFINITY;
    const count = this.#queues.length;
    for (let i = 1; i <= count; i++) {
      const queue = this.#queues[(this.#robin + i) % count] as Queue<T>;
      const head = queue.waiting[0];
      if (!head) continue;
      const finish = queue.nextR + workOf(head);
      if (finish < first) {
        first = finish;
        best = queue;
      }
    }
    const chosen = best as Queue<T>;
    this.#robin = chosen.index;
    return chosen;
  }

  #start(ticket: Ticket<T>): void {
    const { queue, seats } = ticket;
    ticket.startedMs = this.#syncedMs;
    ticket.state = 'executing';
    queue.executing.add(ticket);
    queue.seatsInUse += seats;
    queue.nextR += workOf(ticket);
    this.seatsInUse += seats;
    this.executing++;
  }

  #trim(wanted: number): void {
    for (let last = this.#queues.at(-1); last && last.index >= wanted; last = this.#queues.at(-1)) {
      if (last.waiting.length > 0 || last.executing.size > 0) return;
      this.#queues.pop();
    }
  }
}

/** Seat-seconds, as far as they are known beforehand. */
const workOf = ({ work }: Ticket<unknown>) => work.seats * GUESS_SECONDS + (work.finalSeats * work.finalMs) / 1000;

const newQueue = <T>(index: number): Queue<T> => ({
  index,
  waiting: [],
  executing: new Set(),
  nextR: 0,
  seatsInUse: 0,
  seatsWaiting: 0,
});
