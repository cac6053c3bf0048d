// Where a request takes its seat: what priority and fairness is asked for each request, and how many run and wait now. Logs,
// terminals and proxied connections take none; a watch keeps its seat until its initial events are out.
import type { FlowControl, Seat } from '../flowcontrol/flow-control.ts';
import { widthOf } from '../flowcontrol/width.ts';
import type { Exchange } from './exchange.ts';
import { isTrue, type RequestInfo } from './request-info.ts';

export type RequestKind = 'readOnly' | 'mutating';

/** Of a resource that is served from a cache that runs. */
export interface Population {
  objects: number;
  watchers: number;
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
    let seat = flows.enter(flow, user, info, this.#width(exchange, flow.level.bounds.nominal), () => exchange.signal);
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

  #width(exchange: Exchange, nominal: number): number {
    const { info } = exchange;
    if (!info.isResource || info.verb === 'get') return 1;
    const population = this.#populationOf(info);
    if (!population) return 1;
    const { query } = info;
    const isWatch = info.verb === 'watch';
    const revision = isWatch ? query.get('resourceVersion') : null;
    return widthOf(
      {
        verb: info.verb,
        hasInitialEvents:
          isWatch &&
          (isTrue(query.get('sendInitialEvents')) || revision === null || revision === '' || revision === '0'),
        limit: isWatch ? 0 : Number(query.get('limit')) || 0,
        isByName: info.name !== '',
      },
      () => population.objects,
      () => population.watchers,
      nominal,
    );
  }
}

const isReadOnly = (verb: string, method: string) =>
  verb === 'get' || verb === 'list' || verb === 'watch' || method === 'GET' || method === 'HEAD';
