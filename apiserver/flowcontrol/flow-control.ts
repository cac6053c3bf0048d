// Priority and fairness: which level a request belongs to, whether there is a seat for it now, later or never. Reconfigured as a
// whole when an object changes, so that a request only walks closures that are ready.
//
//   request ─► first FlowSchema that matches ─► its priority level ─► exempt: runs
//                                                                  ├► a seat is free: runs
//                                                                  ├► a queue of its flow: waits, a quarter of the request timeout at most
//                                                                  └► full: 429
import type { FlowSchema, PriorityLevelConfiguration } from '../../api/types/flowcontrol-v1.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Identity } from '../auth/identity.ts';
import type { RequestInfo } from '../http/request-info.ts';
import { FLOW_SCHEMAS, MANDATORY, PRIORITY_LEVELS } from './bootstrap.ts';
import { type CompiledSchema, compileSchemas } from './match.ts';
import type { FlowMetrics, FlowSeries } from './metrics.ts';
import { QueueSet, type QueueSetConfig, type RejectReason, type Ticket } from './queue-set.ts';
import { RetryAfter } from './retry-after.ts';
import type { WorkEstimate } from './width.ts';
import { adjustSeats, Demand, divideSeats, type SeatBounds } from './shares.ts';

export interface FlowControlOptions {
  /** Seats of the whole server. */
  seats: number;
  /** How long a request may wait for a seat. */
  waitLimitMs: number;
  clock: Clock;
  /** Milliseconds that only grow. */
  now: () => number;
  metrics: FlowMetrics;
}

/** A FlowSchema that is in force, with its level. */
export interface Flow {
  schema: CompiledSchema;
  level: Level;
  series: FlowSeries;
}

export interface Detail {
  user: Identity;
  info: RequestInfo;
  flow: Flow;
}

export type Seat = Ticket<Detail>;

export class TooManyRequestsError extends Error {
  readonly retryAfterSeconds: number;
  constructor(retryAfterSeconds: number) {
    super('Too many requests, please try again later.');
    this.name = 'TooManyRequestsError';
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

class Level {
  readonly name: string;
  uid = '';
  exempt = false;
  bounds: SeatBounds = { nominal: 0, min: 0, max: 0 };
  currentSeats = 0;
  targetSeats = 0;
  readonly queues: QueueSet<Detail>;
  readonly demand: Demand;
  readonly retryAfter = new RetryAfter();
  dispatched = 0;
  rejected = 0;
  timedOut = 0;
  cancelled = 0;

  constructor(name: string, now: () => number, after: (ms: number, then: () => void) => void) {
    this.name = name;
    const demand = new Demand(now());
    this.demand = demand;
    this.queues = new QueueSet<Detail>(now, (seats) => demand.set(seats, now()), after);
  }
}

const ADJUST_MS = 10_000;
/** What an exempt level is limited to: never. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

export class FlowControl {
  #options: FlowControlOptions;
  #levels = new Map<string, Level>();
  #flows: Flow[] = [];
  #catchAll!: Flow;
  #timer: Timer | undefined;
  fairFraction = 1;

  constructor(options: FlowControlOptions) {
    this.#options = options;
    this.configure([], []);
  }

  /** Adjusts the levels' seats to their demand from now on, until `stop`. */
  start(): void {
    this.#timer = this.#options.clock.after(
      ADJUST_MS,
      () => {
        this.adjust();
        this.start();
      },
      { background: true },
    );
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** All objects as they are now; mandatory ones that are missing are there anyway. */
  configure(schemas: readonly FlowSchema[], levels: readonly PriorityLevelConfiguration[]): void {
    const { clock } = this.#options;
    const allLevels = withMandatory(levels, PRIORITY_LEVELS);
    const present = new Set(allLevels.map((each) => each.metadata.name as string));
    for (const name of this.#levels.keys()) if (!present.has(name)) this.#levels.delete(name);
    const shares = allLevels.map(sharesOf);
    const bounds = divideSeats(this.#options.seats, shares);
    for (const each of allLevels) {
      const name = each.metadata.name as string;
      let level = this.#levels.get(name);
      const isNew = !level;
      level ??= new Level(name, this.#options.now, (ms, then) => void clock.after(ms, then, { background: true }));
      this.#levels.set(name, level);
      level.uid = each.metadata.uid ?? '';
      level.exempt = each.spec?.type === 'Exempt';
      level.bounds = bounds.get(name) as SeatBounds;
      level.queues.configure(queuingOf(each));
      const { nominal, min, max } = level.bounds;
      level.currentSeats = isNew ? nominal : Math.min(Math.max(level.currentSeats, min), max);
      level.targetSeats = level.currentSeats;
      level.queues.setLimit(level.exempt ? NO_LIMIT : level.currentSeats);
    }
    this.#flows = compileSchemas(withMandatory(schemas, FLOW_SCHEMAS)).flatMap((schema) => {
      const level = this.#levels.get(schema.level);
      return level ? [{ schema, level, series: this.#options.metrics(schema.name, level.name) }] : [];
    });
    this.#catchAll = this.#flows.find((each) => each.schema.name === 'catch-all') as Flow;
  }

  /** Seats move to the levels that need them. */
  adjust(): void {
    const nowMs = this.#options.now();
    const levels = [...this.#levels.values()];
    for (const each of levels) each.demand.endPeriod(nowMs);
    const { seats, fairFraction } = adjustSeats(
      levels.map(({ name, exempt, bounds, demand }) => ({
        name,
        exempt,
        ...bounds,
        highWatermark: demand.highWatermark,
        smoothed: demand.smoothed,
      })),
    );
    this.fairFraction = fairFraction;
    for (const each of levels) {
      each.currentSeats = seats.get(each.name) ?? each.bounds.nominal;
      each.targetSeats = Math.max(each.bounds.min, each.demand.smoothed);
      if (!each.exempt) each.queues.setLimit(each.currentSeats);
    }
  }

  classify(user: Identity, info: RequestInfo): Flow {
    for (const flow of this.#flows) if (flow.schema.matches(user, info)) return flow;
    return this.#catchAll;
  }

  /**
   * A seat at once, or a promise of one. Throws, or rejects with, TooManyRequestsError. `signal` is asked for only when the
   * request has to wait. Every seat must be given back with `leave`.
   */
  enter(
    flow: Flow,
    user: Identity,
    info: RequestInfo,
    work: WorkEstimate | number,
    signal: () => AbortSignal,
  ): Seat | Promise<Seat> {
    const { level, schema, series } = flow;
    const entered = level.queues.enter(`${schema.name}/${schema.distinguisher(user, info)}`, work, {
      user,
      info,
      flow,
    });
    if (typeof entered === 'string') throw this.#rejected(flow, entered);
    series.seats.observe(entered.seats);
    if (entered.state === 'executing') {
      level.dispatched++;
      series.dispatched.inc();
      series.waited.observe(0);
      return entered;
    }
    return this.#wait(flow, entered, signal());
  }

  /** Gives the seat back; later calls do nothing. */
  leave(seat: Seat): void {
    if (seat.state !== 'executing') return;
    const { flow, info } = seat.detail;
    flow.level.queues.leave(seat);
    const { regular, watch } = flow.series.execution;
    (info.verb === 'watch' ? watch : regular).observe((this.#options.now() - seat.startedMs) / 1000);
  }

  levels(): readonly Level[] {
    return [...this.#levels.values()];
  }

  /** By FlowSchema, from what runs and waits now. */
  uses(): { level: string; schema: string; waiting: number; executing: number; seats: number }[] {
    const byName = new Map(
      this.#flows.map(({ schema, level }) => [
        schema.name,
        { level: level.name, schema: schema.name, waiting: 0, executing: 0, seats: 0 },
      ]),
    );
    for (const level of this.#levels.values()) {
      for (const queue of level.queues.queues) {
        for (const each of queue.waiting) {
          const use = byName.get(each.detail.flow.schema.name);
          if (use) use.waiting++;
        }
        for (const each of queue.executing) {
          const use = byName.get(each.detail.flow.schema.name);
          if (!use) continue;
          use.executing++;
          use.seats += each.seats;
        }
      }
    }
    return [...byName.values()];
  }

  #wait(flow: Flow, seat: Seat, signal: AbortSignal): Promise<Seat> {
    const { level, series } = flow;
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(this.#options.waitLimitMs, () => level.queues.leave(seat, 'time-out'));
      const leave = () => level.queues.leave(seat, 'cancelled');
      seat.settle = (reason) => {
        timer.cancel();
        signal.removeEventListener('abort', leave);
        if (reason !== undefined) {
          reject(this.#rejected(flow, reason));
          return;
        }
        level.dispatched++;
        series.dispatched.inc();
        series.waited.observe((seat.startedMs - seat.arrivedMs) / 1000);
        resolve(seat);
      };
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave);
    });
  }

  #rejected(flow: Flow, reason: RejectReason): TooManyRequestsError {
    const { level } = flow;
    if (reason === 'time-out') level.timedOut++;
    else if (reason === 'cancelled') level.cancelled++;
    else level.rejected++;
    flow.series.rejected(reason);
    return new TooManyRequestsError(level.retryAfter.next(this.#options.now()));
  }
}

function withMandatory<T extends { metadata: { name?: string } }>(objects: readonly T[], defaults: readonly T[]): T[] {
  const names = new Set(objects.map((each) => each.metadata.name));
  return [...objects, ...defaults.filter(({ metadata: { name = '' } }) => MANDATORY.has(name) && !names.has(name))];
}

function sharesOf({ metadata, spec }: PriorityLevelConfiguration) {
  const exempt = spec?.type === 'Exempt';
  const { nominalConcurrencyShares, lendablePercent } = (exempt ? spec?.exempt : spec?.limited) ?? {};
  return {
    name: metadata.name as string,
    exempt,
    shares: nominalConcurrencyShares ?? (exempt ? 0 : 30),
    lendablePercent: lendablePercent ?? 0,
    borrowingLimitPercent: exempt ? undefined : spec?.limited?.borrowingLimitPercent,
  };
}

function queuingOf({ spec }: PriorityLevelConfiguration): QueueSetConfig {
  const response = spec?.limited?.limitResponse;
  if (spec?.type === 'Exempt' || response?.type !== 'Queue') return {};
  const { queues = 64, handSize = 8, queueLengthLimit = 50 } = response.queuing ?? {};
  return { queuing: { queues, handSize, queueLengthLimit } };
}
