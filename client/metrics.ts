// Metrics of a component under upstream's names: its work queues and its requests. One registry per process, as queues are made in
// many places; components that share a process share it.
import { type Counter, exponentialBuckets, type Histogram, MetricsRegistry } from '../lib/metrics.ts';

export const componentMetrics = new MetricsRegistry();

const QUEUE_SECONDS = exponentialBuckets(1e-8, 10, 10);
const named = (name: string, help: string) => ({ name: `workqueue_${name}`, help, labels: ['name'] });

const adds = componentMetrics.counter(named('adds_total', 'Total number of adds handled by workqueue'));
const retries = componentMetrics.counter(named('retries_total', 'Total number of retries handled by workqueue'));
const queued = componentMetrics.histogram({
  ...named('queue_duration_seconds', 'How long in seconds an item stays in workqueue before being requested.'),
  buckets: QUEUE_SECONDS,
});
const worked = componentMetrics.histogram({
  ...named('work_duration_seconds', 'How long in seconds processing an item from workqueue takes.'),
  buckets: QUEUE_SECONDS,
});
const queues = new Map<string, QueueMetrics>();
const eachQueue = (value: (queue: QueueMetrics) => number) =>
  [...queues].map(([name, queue]) => [[name], value(queue)] as const);
componentMetrics.collected('gauge', named('depth', 'Current depth of workqueue'), () =>
  eachQueue((each) => each.depth),
);
componentMetrics.collected(
  'gauge',
  named(
    'unfinished_work_seconds',
    "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
  ),
  () => eachQueue((each) => each.unfinishedSeconds()),
);
componentMetrics.collected(
  'gauge',
  named(
    'longest_running_processor_seconds',
    'How many seconds has the longest running processor for workqueue been running.',
  ),
  () => eachQueue((each) => each.longestSeconds()),
);

/** What a work queue tells of each key. */
export class QueueMetrics {
  #waiting = new Map<unknown, number>();
  #working = new Map<unknown, number>();
  #adds: Counter;
  #retries: Counter;
  #queued: Histogram;
  #worked: Histogram;

  constructor(name: string) {
    this.#adds = adds.with(name);
    this.#retries = retries.with(name);
    this.#queued = queued.with(name);
    this.#worked = worked.with(name);
    queues.set(name, this);
  }

  get depth(): number {
    return this.#waiting.size;
  }

  added(key: unknown): void {
    this.#adds.inc();
    this.#waiting.set(key, performance.now());
  }

  taken(key: unknown): void {
    const now = performance.now();
    this.#queued.observe((now - (this.#waiting.get(key) ?? now)) / 1000);
    this.#waiting.delete(key);
    this.#working.set(key, now);
  }

  done(key: unknown): void {
    const started = this.#working.get(key);
    if (started !== undefined) this.#worked.observe((performance.now() - started) / 1000);
    this.#working.delete(key);
  }

  /** Nothing waits any more. */
  cleared(): void {
    this.#waiting.clear();
  }

  retried(): void {
    this.#retries.inc();
  }

  unfinishedSeconds(): number {
    const now = performance.now();
    let sum = 0;
    for (const started of this.#working.values()) sum += (now - started) / 1000;
    return sum;
  }

  longestSeconds(): number {
    const first = Math.min(...this.#working.values());
    return Number.isFinite(first) ? (performance.now() - first) / 1000 : 0;
  }
}

const requests = componentMetrics.counter({
  name: 'rest_client_requests_total',
  help: 'Number of HTTP requests, partitioned by status code, method, and host.',
  labels: ['code', 'host', 'method'],
});
const latency = componentMetrics.histogram({
  name: 'rest_client_request_duration_seconds',
  help: 'Request latency in seconds. Broken down by verb, and host.',
  labels: ['host', 'verb'],
  buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
});

/** Counts the requests of a client; `code` is `<error>` when there was no answer. */
export function measureRequests(server: string): (method: string, code: number | '<error>', seconds: number) => void {
  const host = URL.canParse(server) ? new URL(server).host : '';
  const known = new Map<string, { count: Counter; seconds: Histogram }>();
  return (method, code, seconds) => {
    const key = `${method} ${code}`;
    let series = known.get(key);
    if (!series) {
      series = { count: requests.with(String(code), host, method), seconds: latency.with(host, method) };
      known.set(key, series);
    }
    series.count.inc();
    series.seconds.observe(seconds);
  };
}
