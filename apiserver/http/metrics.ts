// The server's own metrics under upstream's names, written by hand: an observation is a few additions, and a scrape
// walks arrays. Labels come from the scheme, never from a request's text, so their number is bounded.
import { MetricsRegistry } from '../../lib/metrics.ts';
import type { Exchange } from './exchange.ts';
import type { Seats } from './seats.ts';

/** Seconds; the last bucket is +Inf. */
const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

interface Series {
  labels: string;
  /** Requests by code. */
  codes: Map<number, number>;
  buckets: Float64Array;
  sumSeconds: number;
  count: number;
}

export interface RequestLabels {
  verb: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  scope: string;
  dryRun: boolean;
}

export class ServerMetrics {
  readonly registry = new MetricsRegistry();
  #series = new Map<string, Series>();
  #longRunning = new Map<string, number>();
  #gauges: (() => string)[] = [];

  /** `scope` and the rest must be known names, not the client's text. */
  observe(labels: RequestLabels, code: number, seconds: number): void {
    const key = `${labels.verb} ${labels.group} ${labels.version} ${labels.resource} ${labels.subresource} ${labels.scope} ${labels.dryRun}`;
    let series = this.#series.get(key);
    if (!series) {
      series = {
        labels: format({
          component: 'apiserver',
          dry_run: labels.dryRun ? 'All' : '',
          group: labels.group,
          resource: labels.resource,
          scope: labels.scope,
          subresource: labels.subresource,
          verb: labels.verb,
          version: labels.version,
        }),
        codes: new Map(),
        buckets: new Float64Array(BUCKETS.length),
        sumSeconds: 0,
        count: 0,
      };
      this.#series.set(key, series);
    }
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1);
    // Watches and logs live as long as they are wanted: their length is no latency.
    if (labels.verb === 'WATCH' || labels.verb === 'CONNECT') return;
    series.count++;
    series.sumSeconds += seconds;
    for (let i = 0; i < BUCKETS.length; i++) {
      if (seconds <= (BUCKETS[i] as number)) {
        series.buckets[i] = (series.buckets[i] as number) + 1;
        break;
      }
    }
  }

  longRunning(verb: string, resource: string, change: 1 | -1): void {
    const key = format({ component: 'apiserver', resource, verb });
    this.#longRunning.set(key, (this.#longRunning.get(key) ?? 0) + change);
  }

  /** Text that is added to each scrape. */
  addGauge(render: () => string): void {
    this.#gauges.push(render);
  }

  render(): string {
    const total: string[] = ['# TYPE apiserver_request_total counter'];
    const duration: string[] = ['# TYPE apiserver_request_duration_seconds histogram'];
    for (const series of this.#series.values()) {
      for (const [code, count] of series.codes) {
        total.push(`apiserver_request_total{code="${code}",${series.labels}} ${count}`);
      }
      if (series.count === 0) continue;
      let cumulative = 0;
      for (let i = 0; i < BUCKETS.length; i++) {
        cumulative += series.buckets[i] as number;
        duration.push(`apiserver_request_duration_seconds_bucket{${series.labels},le="${BUCKETS[i]}"} ${cumulative}`);
      }
      duration.push(
        `apiserver_request_duration_seconds_bucket{${series.labels},le="+Inf"} ${series.count}`,
        `apiserver_request_duration_seconds_sum{${series.labels}} ${series.sumSeconds}`,
        `apiserver_request_duration_seconds_count{${series.labels}} ${series.count}`,
      );
    }
    const long = ['# TYPE apiserver_longrunning_requests gauge'];
    for (const [labels, count] of this.#longRunning) long.push(`apiserver_longrunning_requests{${labels}} ${count}`);
    const parts = [
      ...total,
      ...duration,
      ...long,
      ...this.#gauges.map((render) => render()),
      processMetrics(),
      this.registry.render().trimEnd(),
    ];
    return `${parts.filter((each) => each !== '').join('\n')}\n`;
  }
}

export function inflightGauge(seats: Seats): string {
  return [
    '# TYPE apiserver_current_inflight_requests gauge',
    `apiserver_current_inflight_requests{request_kind="mutating"} ${seats.running.mutating}`,
    `apiserver_current_inflight_requests{request_kind="readOnly"} ${seats.running.readOnly}`,
    '# TYPE apiserver_current_inqueue_requests gauge',
    `apiserver_current_inqueue_requests{request_kind="mutating"} ${seats.waiting.mutating}`,
    `apiserver_current_inqueue_requests{request_kind="readOnly"} ${seats.waiting.readOnly}`,
  ].join('\n');
}

/** `resources`: plural names with how many objects the cache holds. */
export function storageGauge(resources: Iterable<{ resource: string; objects: number }>): string {
  const lines = ['# TYPE apiserver_storage_objects gauge'];
  for (const { resource, objects } of resources)
    lines.push(`apiserver_storage_objects{resource="${resource}"} ${objects}`);
  return lines.join('\n');
}

function processMetrics(): string {
  const cpu = process.cpuUsage();
  const memory = process.memoryUsage();
  const startedSeconds = (performance.timeOrigin / 1000).toFixed(2);
  return [
    '# TYPE process_cpu_seconds_total counter',
    `process_cpu_seconds_total ${(cpu.user + cpu.system) / 1e6}`,
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${memory.rss}`,
    '# TYPE process_start_time_seconds gauge',
    `process_start_time_seconds ${startedSeconds}`,
    '# TYPE nodejs_heap_size_used_bytes gauge',
    `nodejs_heap_size_used_bytes ${memory.heapUsed}`,
  ].join('\n');
}

const format = (labels: Record<string, string>) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(',');

/** The verb as upstream's metrics name it. */
export function metricVerb(exchange: Exchange): string {
  const { verb, isResource } = exchange.info;
  if (!isResource) return exchange.method;
  switch (verb) {
    case 'create':
      return 'POST';
    case 'update':
      return 'PUT';
    default:
      return verb.toUpperCase();
  }
}

export function metricScope(exchange: Exchange): string {
  const { isResource, name, namespace } = exchange.info;
  if (!isResource) return '';
  if (name !== '') return 'resource';
  return namespace !== '' ? 'namespace' : 'cluster';
}
