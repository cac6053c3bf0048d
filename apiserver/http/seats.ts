// Where a request takes its seat: what priority and fairness is asked for each request, and how many run and wait now. Logs,
// terminals and proxied connections take none; a watch keeps its seat until its initial events are out.
import type { Flow, FlowControl, Seat } from '../flowcontrol/flow-control.ts';
import { listWork, ONE_SEAT, type WorkEstimate, writeWork } from '../flowcontrol/width.ts';
import type { Exchange } from './exchange.ts';
import { isTrue, type RequestInfo } from './request-info.ts';

export type RequestKind = 'readOnly' | 'mutating';

/** Of a resource that is served from a cache that runs. */
export interface Population {
  objects: number;
  bytes: number;
  /** That may be told of a write there. */
  watchersOf(namespace: string, name: string): number;
}

export class Seats {
  readonly running: Record<RequestKind, number> = { readOnly: 0, mutating: 0 };
  readonly waiting: Record<RequestKind, number> = { readOnly: 0, mutating: 0 };
  #flows: FlowControl;
  #populationOf: (info: RequestInfo) => Population | undefined;

  constructor(flows: FlowControl, populationOf: (info: RequestInfo) => Population | undefined) {
    this.#flows = flows;
    this.#populationOf = populationOf;
  }

  /** Runs `work` when there is a seat. Throws TooManyRequestsError. */
  async run(exchange: Exchange, work: () => Promise<void>): Promise<void> {
    const { info, user } = exchange;
    const flows = this.#flows;
    const flow = flows.classify(user, info);
    exchange.flow = flow;
    const kind = isReadOnly(info.verb, exchange.method) ? 'readOnly' : 'mutating';
    let seat = flows.enter(flow, user, info, this.#work(exchange, flow), () => exchange.signal);
    if (seat instanceof Promise) {
      this.waiting[kind]++;
      try {
        seat = await seat;
      } finally {
        this.waiting[kind]--;
      }
    }
    exchange.waitedSeconds += Math.max(0, (seat.startedMs - seat.arrivedMs) / 1000);
    let held: Seat | undefined = seat;
    this.running[kind]++;
    const leave = () => {
      if (!held) return;
      flows.leave(held);
      held = undefined;
      this.running[kind]--;
    };
    if (info.verb === 'watch') exchange.onInitialized = leave;
    try {
      await work();
    } finally {
      leave();
    }
  }

  #work({ info }: Exchange, { level, series }: Flow): WorkEstimate {
    const { verb, query } = info;
    if (!info.isResource || verb === 'get') return ONE_SEAT;
    const isWrite = WRITES.has(verb);
    const isListed = verb === 'list' || (verb === 'watch' && isTrue(query.get('sendInitialEvents')));
    const population = isWrite || isListed ? this.#populationOf(info) : undefined;
    if (!population) return ONE_SEAT;
    const { nominal } = level.bounds;
    if (isWrite) {
      const watchers = population.watchersOf(info.namespace, info.name);
      series.watchers.observe(watchers);
      return writeWork(watchers, nominal);
    }
    const has = (name: string) => Boolean(query.get(name));
    const revision = query.get('resourceVersion') ?? '';
    const match = query.get('resourceVersionMatch');
    const limit = Number(query.get('limit')) || 0;
    const isExact =
      match === 'Exact' || (!match && (has('continue') || (limit > 0 && revision !== '' && revision !== '0')));
    return listWork(
      {
        limit,
        isFromCache: verb === 'watch' || !isExact,
        hasSelector: has('labelSelector') || has('fieldSelector'),
        isByName: info.name !== '',
      },
      population,
      nominal,
    );
  }
}

const WRITES = new Set(['create', 'update', 'patch', 'delete']);

const isReadOnly = (verb: string, method: string) =>
  verb === 'get' || verb === 'list' || verb === 'watch' || method === 'GET' || method === 'HEAD';
