// The server's metrics of requests under upstream's names. Labels come from the scheme, never from a request's text, so their
// number is bounded; the series of a request are found with one look-up.
import { readdirSync, readFileSync } from 'node:fs';
import {
  type Counter,
  exponentialBuckets,
  type Family,
  type Gauge,
  type Histogram,
  MetricsRegistry,
} from '../../lib/metrics.ts';
import type { Identity } from '../auth/identity.ts';
import type { Exchange } from './exchange.ts';
import type { Seats } from './seats.ts';

const SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const FAST_SECONDS = exponentialBuckets(0.001, 2, 15);
const WHERE = ['component', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'];

interface Series {
  byCode: Map<number, Counter>;
  total: (code: number) => Counter;
  duration: Histogram;
  sli: Histogram;
  sizes: Histogram;
  bodies: Histogram;
}

export class ServerMetrics {
  readonly registry = new MetricsRegistry();
  #total: Family<Counter>;
  #duration: Family<Histogram>;
  #sli: Family<Histogram>;
  #sizes: Family<Histogram>;
  #long: Family<Gauge>;
  #deprecated: Family<Gauge>;
  #terminations: Family<Counter>;
  #watchEvents: Family<Counter>;
  #watchSizes: Family<Histogram>;
  #series = new Map<string, Series>();
  #watchSeries = new WeakMap<object, { events: Counter; sizes: Histogram }>();
  #authentication: Record<'success' | 'failure' | 'error', { attempts: Counter; seconds: Histogram }>;
  #authorization: Record<'allowed' | 'no-opinion' | 'error', { attempts: Counter; seconds: Histogram }>;
  #users: Family<Counter>;
  #bodies: Family<Histogram>;
  #filters: Record<Filter, Histogram>;
  #watchLists: Family<Histogram>;
  #fieldValidation: Record<string, Histogram>;
  #certificates: Histogram;
  readonly tlsErrors: Counter;

  constructor() {
    const { registry } = this;
    this.#total = registry.counter({
      name: 'apiserver_request_total',
      help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
      labels: [
        'code',
        'component',
        'dry_run',
        'group',
        'resource',
        'scope',
        'subresource',
        'system_client',
        'verb',
        'version',
      ],
      stability: 'STABLE',
    });
    this.#duration = registry.histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
      labels: ['component', 'dry_run', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'],
      stability: 'STABLE',
      buckets: SECONDS,
    });
    this.#sli = registry.histogram({
      name: 'apiserver_request_sli_duration_seconds',
      help: 'Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.',
      labels: WHERE,
      buckets: SECONDS.slice(2),
    });
    this.#sizes = registry.histogram({
      name: 'apiserver_response_sizes',
      help: 'Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.',
      labels: WHERE,
      stability: 'STABLE',
      buckets: exponentialBuckets(1000, 10, 7),
    });
    this.#long = registry.gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.',
      labels: WHERE,
      stability: 'STABLE',
    });
    this.#deprecated = registry.gauge({
      name: 'apiserver_requested_deprecated_apis',
      help: 'Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.',
      labels: ['group', 'removed_release', 'resource', 'subresource', 'version'],
      stability: 'STABLE',
    });
    this.#terminations = registry.counter({
      name: 'apiserver_request_terminations_total',
      help: 'Number of requests which apiserver terminated in self-defense.',
      labels: ['code', ...WHERE],
    });
    this.#watchEvents = registry.counter({
      name: 'apiserver_watch_events_total',
      help: 'Number of events sent in watch clients',
      labels: ['group', 'resource', 'version'],
    });
    this.#watchSizes = registry.histogram({
      name: 'apiserver_watch_events_sizes',
      help: 'Watch event size distribution in bytes',
      labels: ['group', 'resource', 'version'],
      buckets: exponentialBuckets(1024, 2, 8),
    });
    const filters = registry.histogram({
      name: 'apiserver_request_filter_duration_seconds',
      help: 'Request filter latency distribution in seconds, for each filter type',
      labels: ['filter'],
      buckets: [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 5, 10, 15, 30],
    });
    this.#filters = byName(FILTERS, (name) => filters.with(name));
    this.#watchLists = registry.histogram({
      name: 'apiserver_watch_list_duration_seconds',
      help: 'Response latency distribution in seconds for watch list requests broken by group, version, resource and scope.',
      labels: ['group', 'version', 'resource', 'scope'],
      buckets: [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60],
    });
    const validation = registry.histogram({
      name: 'field_validation_request_duration_seconds',
      help: 'Response latency distribution in seconds for each field validation value',
      labels: ['field_validation'],
      buckets: FIELD_VALIDATION_SECONDS,
    });
    this.#fieldValidation = byName(FIELD_VALIDATIONS, (name) => validation.with(name));
    this.#certificates = registry
      .histogram({
        name: 'apiserver_client_certificate_expiration_seconds',
        help: 'Distribution of the remaining lifetime on the certificate used to authenticate a request.',
        buckets: CERTIFICATE_SECONDS,
      })
      .with();
    this.tlsErrors = registry
      .counter({
        name: 'apiserver_tls_handshake_errors_total',
        help: "Number of requests dropped with 'TLS handshake error from' error",
      })
      .with();
    const timed = <Result extends string>(
      attempts: Family<Counter>,
      seconds: Family<Histogram>,
      results: readonly Result[],
    ) =>
      Object.fromEntries(
        results.map((each) => [each, { attempts: attempts.with(each), seconds: seconds.with(each) }]),
      ) as Record<Result, { attempts: Counter; seconds: Histogram }>;
    this.#authentication = timed(
      registry.counter({
        name: 'authentication_attempts',
        help: 'Counter of authenticated attempts.',
        labels: ['result'],
      }),
      registry.histogram({
        name: 'authentication_duration_seconds',
        help: 'Authentication duration in seconds broken out by result.',
        labels: ['result'],
        buckets: FAST_SECONDS,
      }),
      ['success', 'failure', 'error'],
    );
    this.#authorization = timed(
      registry.counter({
        name: 'authorization_attempts_total',
        help: 'Counter of authorization attempts broken down by result. It can be either of allowed, denied, no-opinion or error.',
        labels: ['result'],
      }),
      registry.histogram({
        name: 'authorization_duration_seconds',
        help: 'Authorization duration in seconds broken out by result.',
        labels: ['result'],
        buckets: FAST_SECONDS,
      }),
      ['allowed', 'no-opinion', 'error'],
    );
    this.#bodies = registry.histogram({
      name: 'apiserver_request_body_size_bytes',
      help: 'Apiserver request body size in bytes broken out by resource and verb.',
      labels: ['group', 'resource', 'verb'],
      buckets: Array.from({ length: 31 }, (_, i) => 50_000 + i * 100_000),
    });
    this.#users = registry.counter({
      name: 'authenticated_user_requests',
      help: 'Counter of authenticated requests broken out by username.',
      labels: ['username'],
    });
    exposeProcess(registry);
  }

  /** `known`: the labels of the request name things that exist. */
  observe(exchange: Exchange, known: boolean, seconds: number): void {
    const { info } = exchange;
    const verb = known || !info.isResource ? metricVerb(exchange) : 'other';
    const scope = known ? metricScope(exchange) : '';
    const dryRun = known && info.query.has('dryRun');
    const key = known
      ? `${verb} ${info.group} ${info.version} ${info.resource} ${info.subresource} ${scope} ${dryRun}`
      : verb;
    let series = this.#series.get(key);
    if (!series) {
      const { group, version, resource, subresource } = known ? info : NOTHING;
      const where = ['apiserver', group, resource, scope, subresource, verb, version];
      const [component = '', ...rest] = where;
      const dry = dryRun ? 'All' : '';
      series = {
        byCode: new Map(),
        total: (code) =>
          this.#total.with(String(code), component, dry, group, resource, scope, subresource, '', verb, version),
        duration: this.#duration.with(component, dry, ...rest),
        sli: this.#sli.with(...where),
        sizes: this.#sizes.with(...where),
        bodies: this.#bodies.with(group, resource, verb.toLowerCase()),
      };
      if (this.#series.size < 20_000) this.#series.set(key, series);
      const removed = known ? DEPRECATED.get(`${resource}.${group}`) : undefined;
      if (removed !== undefined) this.#deprecated.with(group, removed, resource, subresource, version).set(1);
    }
    let total = series.byCode.get(exchange.code);
    if (!total) series.byCode.set(exchange.code, (total = series.total(exchange.code)));
    total.inc();
    if (exchange.receivedBytes > 0) series.bodies.observe(exchange.receivedBytes);
    // Watches and logs live as long as they are wanted: their length is no latency.
    if (verb === 'WATCH' || verb === 'CONNECT') return;
    series.duration.observe(seconds);
    if (info.isResource) this.#fieldValidation[fieldValidationOf(info.query)]?.observe(seconds);
    series.sli.observe(Math.max(0, seconds - exchange.waitedSeconds));
    if (exchange.method === 'GET') series.sizes.observe(exchange.sentBytes);
  }

  longRunning(exchange: Exchange): Gauge {
    const { group, version, resource, subresource } = exchange.info;
    const where = ['apiserver', group, resource, metricScope(exchange), subresource, metricVerb(exchange), version];
    return this.#long.with(...where);
  }

  /** A watch has sent the state that it begins with, after `seconds`. */
  watchListed(exchange: Exchange, seconds: number): void {
    const { group, version, resource } = exchange.info;
    this.#watchLists.with(group, version, resource, metricScope(exchange)).observe(seconds);
  }

  /** How long a step of the pipeline took. */
  filtered(filter: Filter, seconds: number): void {
    this.#filters[filter].observe(seconds);
  }

  /** The server gave up on a request, to protect itself or because it took too long. */
  terminated(exchange: Exchange, known: boolean, code: number): void {
    const { group, version, resource, subresource } = known ? exchange.info : NOTHING;
    const verb = known ? metricVerb(exchange) : 'other';
    const scope = known ? metricScope(exchange) : '';
    this.#terminations.with(String(code), 'apiserver', group, resource, scope, subresource, verb, version).inc();
  }

  /** Series of a kind's watches. */
  watchEvents(kind: { group: string; version: string; resource: string }): { events: Counter; sizes: Histogram } {
    let found = this.#watchSeries.get(kind);
    if (!found) {
      const labels = [kind.group, kind.resource, kind.version];
      found = { events: this.#watchEvents.with(...labels), sizes: this.#watchSizes.with(...labels) };
      this.#watchSeries.set(kind, found);
    }
    return found;
  }

  authenticated(result: 'success' | 'failure' | 'error', seconds: number, user?: Identity): void {
    const { attempts, seconds: histogram } = this.#authentication[result];
    attempts.inc();
    histogram.observe(seconds);
    this.#filters.authentication.observe(seconds);
    if (user) this.#users.with(compressName(user.name)).inc();
  }

  authorized(result: 'allowed' | 'no-opinion' | 'error', seconds: number): void {
    const { attempts, seconds: histogram } = this.#authorization[result];
    attempts.inc();
    histogram.observe(seconds);
    this.#filters.authorization.observe(seconds);
  }

  /** A client certificate was good, and is for so long. */
  certificateUsed(seconds: number): void {
    this.#certificates.observe(seconds);
  }
}

const FILTERS = ['authentication', 'impersonation', 'audit', 'priorityandfairness', 'authorization'] as const;
export type Filter = (typeof FILTERS)[number];

const byName = <Name extends string, T>(names: readonly Name[], make: (name: Name) => T) =>
  Object.fromEntries(names.map((name) => [name, make(name)])) as Record<Name, T>;

const HOUR = 3600;
const CERTIFICATE_SECONDS = [0, 0.5, 1, 2, 6, 12, 24, 48, 96, 168, 720, 2160, 4320, 8640].map((hours) => hours * HOUR);

const FIELD_VALIDATIONS = ['', 'Ignore', 'Warn', 'Strict', 'invalid'];
const FIELD_VALIDATION_SECONDS = [
  0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5,
  5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

function fieldValidationOf(query: URLSearchParams): string {
  const value = query.size === 0 ? '' : (query.get('fieldValidation') ?? '');
  return FIELD_VALIDATIONS.includes(value) ? value : 'invalid';
}

const NOTHING = { group: '', version: '', resource: '', subresource: '' };

/** Resources whose use clients are warned of, with the release that removes them; none has been named yet. */
const DEPRECATED: ReadonlyMap<string, string> = new Map([
  ['endpoints.', ''],
  ['componentstatuses.', ''],
]);

/** Few names, whoever comes. */
function compressName(name: string): string {
  switch (name) {
    case 'admin':
    case 'client':
    case 'kube_proxy':
    case 'kubelet':
    case 'system:serviceaccount:kube-system:default':
      return name;
    default:
      return name.includes('@') ? 'email_id' : 'other';
  }
}

export function exposeSeats(registry: MetricsRegistry, seats: Seats): void {
  const both = (values: { mutating: number; readOnly: number }) =>
    [
      [['mutating'], values.mutating],
      [['readOnly'], values.readOnly],
    ] as const;
  const labels = ['request_kind'];
  registry.collected(
    'gauge',
    {
      name: 'apiserver_current_inflight_requests',
      help: 'Maximal number of currently used inflight request limit of this apiserver per request kind in last second.',
      labels,
      stability: 'STABLE',
    },
    () => both(seats.running),
  );
  registry.collected(
    'gauge',
    {
      name: 'apiserver_current_inqueue_requests',
      help: 'Maximal number of queued requests in this apiserver per request kind in last second.',
      labels,
    },
    () => both(seats.waiting),
  );
}

/** As Prometheus' client library has them, without a mark of stability; Linux. */
function exposeProcess(registry: MetricsRegistry): void {
  const one = (type: 'gauge' | 'counter', name: string, help: string, value: () => number | undefined) =>
    registry.collected(type, { name, help, stability: '' }, () => {
      const found = value();
      return found === undefined ? [] : [[[], found] as const];
    });
  const started = Math.round(performance.timeOrigin / 10) / 100;
  one('counter', 'process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  one('gauge', 'process_max_fds', 'Maximum number of open file descriptors.', () => {
    const match = /^Max open files\s+(\d+)/m.exec(readOrNothing('/proc/self/limits'));
    return match ? Number(match[1]) : undefined;
  });
  one('gauge', 'process_open_fds', 'Number of open file descriptors.', () => {
    try {
      return readdirSync('/proc/self/fd').length;
    } catch {
      return undefined;
    }
  });
  one('gauge', 'process_resident_memory_bytes', 'Resident memory size in bytes.', () => process.memoryUsage.rss());
  one('gauge', 'process_start_time_seconds', 'Start time of the process since unix epoch in seconds.', () => started);
  one('gauge', 'process_virtual_memory_bytes', 'Virtual memory size in bytes.', () => {
    const pages = Number(readOrNothing('/proc/self/statm').split(' ')[0]);
    return pages > 0 ? pages * 4096 : undefined;
  });
  one('gauge', 'process_virtual_memory_max_bytes', 'Maximum amount of virtual memory available in bytes.', () => {
    const match = /^Max address space\s+(\S+)/m.exec(readOrNothing('/proc/self/limits'));
    return match?.[1] === 'unlimited' ? 2 ** 64 : Number(match?.[1] ?? -1);
  });
  const network = (direction: string, column: number) =>
    one(
      'counter',
      `process_network_${direction}_bytes_total`,
      `Number of bytes ${direction === 'receive' ? 'received' : 'sent'} by the process over the network.`,
      () => {
        const lines = readOrNothing('/proc/self/net/dev').split('\n').slice(2);
        const bytes = lines.map((line) => Number(line.split(':')[1]?.trim().split(/\s+/)[column] ?? 0));
        return bytes.reduce((sum, each) => sum + each, 0);
      },
    );
  network('receive', 0);
  network('transmit', 8);
  registry.collected(
    'gauge',
    { name: 'nodejs_heap_size_used_bytes', help: 'Used bytes of the JavaScript heap.', stability: '' },
    () => [[[], process.memoryUsage().heapUsed]],
  );
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The verb as upstream's metrics name it. */
export function metricVerb(exchange: Exchange): string {
  const { verb, isResource } = exchange.info;
  if (!isResource) return METHODS.has(exchange.method) ? exchange.method : 'other';
  switch (verb) {
    case 'create':
      return 'POST';
    case 'update':
      return 'PUT';
    case 'patch':
      return exchange.header('content-type') === 'application/apply-patch+yaml' ? 'APPLY' : 'PATCH';
    case '':
      return 'other';
    default:
      return verb.toUpperCase();
  }
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT']);

export function metricScope(exchange: Exchange): string {
  const { isResource, name, namespace } = exchange.info;
  if (!isResource) return '';
  if (name !== '') return 'resource';
  return namespace !== '' ? 'namespace' : 'cluster';
}
