// /debug, when it is enabled: a CPU profile and a heap snapshot as Chrome's developer tools read them, the flags, and what priority and
// fairness holds. Who may get them is a matter of authorization, as for every path. One profile at a time.
import { Session } from 'node:inspector/promises';
import type { HeapProfiler } from 'node:inspector';
import { pipeline } from 'node:stream/promises';
import { errors } from '../../api/errors.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { dumpFlows } from '../flowcontrol/dump.ts';
import type { FlowControl } from '../flowcontrol/flow-control.ts';
import type { Exchange } from './exchange.ts';

export interface DebugContext {
  flows: FlowControl;
  /** Values of the command line. */
  flags: Readonly<Record<string, unknown>>;
  clock: Clock;
}

const MAX_PROFILE_SECONDS = 300;
const FLOWS = '/debug/api_priority_and_fairness/';

export class Debug {
  #context: DebugContext;
  #isProfiling = false;

  constructor(context: DebugContext) {
    this.#context = context;
  }

  readonly paths: readonly string[] = [
    '/debug/flags',
    '/debug/pprof',
    '/debug/pprof/heap',
    '/debug/pprof/profile',
    ...['dump_priority_levels', 'dump_queues', 'dump_requests'].map((each) => FLOWS + each),
  ];

  /** False when there is nothing at the path. */
  async serve(exchange: Exchange, path: string): Promise<boolean> {
    const { flows, flags } = this.#context;
    const { query } = exchange.info;
    if (path.startsWith(FLOWS)) {
      const text = dumpFlows(flows, path.slice(FLOWS.length), query);
      if (text === undefined) return false;
      await exchange.sendText(200, text);
      return true;
    }
    switch (path) {
      case '/debug/pprof':
        await exchange.sendText(200, 'profiles:\nheap\nprofile?seconds=30\n');
        return true;
      case '/debug/flags':
        await exchange.sendText(
          200,
          Object.entries(flags)
            .map(([name, value]) => `${name}=${JSON.stringify(value)}\n`)
            .join(''),
        );
        return true;
      case '/debug/pprof/profile':
        await this.#profile(exchange, seconds(query.get('seconds')));
        return true;
      case '/debug/pprof/heap':
        await this.#alone(() => this.#heap(exchange));
        return true;
      default:
        return false;
    }
  }

  #profile(exchange: Exchange, length: number): Promise<void> {
    return this.#alone(async () => {
      const session = new Session();
      session.connect();
      try {
        await session.post('Profiler.enable');
        await session.post('Profiler.start');
        await sleep(this.#context.clock, length * 1000, exchange.signal);
        const { profile } = await session.post('Profiler.stop');
        await exchange.send(200, 'application/json', Buffer.from(JSON.stringify(profile)), attachment('cpuprofile'));
      } finally {
        session.disconnect();
      }
    });
  }

  /** Stops everything else while it is taken. */
  async #heap(exchange: Exchange): Promise<void> {
    if (exchange.info.query.get('sampled') === '1') return this.#sampledHeap(exchange);
    exchange.startStream(200, 'application/octet-stream');
    // Rarely wanted, and a start would wait for it.
    const { getHeapSnapshot } = await import('node:v8');
    await pipeline(getHeapSnapshot(), exchange.response);
    return undefined;
  }

  /** Who allocates, over some seconds: cheap, unlike a snapshot. */
  async #sampledHeap(exchange: Exchange): Promise<void> {
    const session = new Session();
    session.connect();
    try {
      await session.post('HeapProfiler.startSampling');
      await sleep(this.#context.clock, seconds(exchange.info.query.get('seconds')) * 1000, exchange.signal);
      const { profile } = (await session.post('HeapProfiler.stopSampling')) as HeapProfiler.StopSamplingReturnType;
      await exchange.send(200, 'application/json', Buffer.from(JSON.stringify(profile)), attachment('heapprofile'));
    } finally {
      session.disconnect();
    }
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    if (this.#isProfiling) throw errors.tooManyRequests('a profile is being taken already', 5);
    this.#isProfiling = true;
    try {
      await work();
    } finally {
      this.#isProfiling = false;
    }
  }
}

const attachment = (extension: string) => ({
  'content-disposition': `attachment; filename="profile.${extension}"`,
  'x-content-type-options': 'nosniff',
});

function seconds(text: string | null): number {
  if (text === null || text === '') return 30;
  const value = Number(text);
  if (!(value > 0 && value <= MAX_PROFILE_SECONDS)) {
    throw errors.badRequest(`seconds: ${JSON.stringify(text)} is not between 0 and ${MAX_PROFILE_SECONDS}`);
  }
  return value;
}
