// /healthz, /livez and /readyz: named checks, each also at its own path; `?verbose` lists them, `?exclude=` skips some. What
// they found is counted for /metrics/slis.
import { MetricsRegistry } from '../../lib/metrics.ts';
import type { Exchange } from './exchange.ts';

export interface HealthCheck {
  name: string;
  /** Throws what is wrong. */
  check(): void | Promise<void>;
  /** Which endpoints run it; absent: all three. */
  on?: readonly Endpoint[];
  /** False: not among the checks now. */
  applies?(): boolean;
}

export type Endpoint = 'healthz' | 'livez' | 'readyz';
export const ENDPOINTS: readonly Endpoint[] = ['healthz', 'livez', 'readyz'];

/** How long one check may take. */
const CHECK_MS = 10_000;

export class Health {
  readonly checks: readonly HealthCheck[];
  readonly registry = new MetricsRegistry();
  #state = this.registry.gauge({
    name: 'kubernetes_healthcheck',
    help: 'This metric records the result of a single healthcheck.',
    labels: ['name', 'type'],
    stability: 'STABLE',
  });
  #total = this.registry.counter({
    name: 'kubernetes_healthchecks_total',
    help: 'This metric records the results of all healthcheck.',
    labels: ['name', 'status', 'type'],
    stability: 'STABLE',
  });

  constructor(checks: readonly HealthCheck[]) {
    this.checks = checks;
  }

  of(endpoint: Endpoint): readonly HealthCheck[] {
    return this.checks.filter((each) => (!each.on || each.on.includes(endpoint)) && (each.applies?.() ?? true));
  }

  /** True when the path was one of ours and is answered. */
  async serve(exchange: Exchange): Promise<boolean> {
    const [, first = '', ...rest] = exchange.info.path.replace(/\/+$/, '').split('/');
    const endpoint = first as Endpoint;
    if (!ENDPOINTS.includes(endpoint)) return false;
    const offered = this.of(endpoint);
    const name = rest.join('/');
    if (name !== '') {
      const one = offered.find((each) => each.name === name);
      if (!one) return false;
      const problem = await this.#run(endpoint, one);
      await (problem === undefined
        ? exchange.sendText(200, 'ok')
        : exchange.sendText(500, `internal server error: ${problem}\n`));
      return true;
    }
    const excluded = new Set(exchange.info.query.getAll('exclude').filter((each) => each !== ''));
    const lines: string[] = [];
    let failed = 0;
    for (const each of offered) {
      if (excluded.delete(each.name)) {
        lines.push(`[+]${each.name} excluded: ok`);
        continue;
      }
      const problem = await this.#run(endpoint, each);
      if (problem !== undefined) failed++;
      lines.push(problem === undefined ? `[+]${each.name} ok` : `[-]${each.name} failed: reason withheld`);
    }
    if (excluded.size > 0) {
      const names = [...excluded].sort().map((each) => JSON.stringify(each));
      lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(', ')}`);
    }
    if (failed > 0) await exchange.sendText(500, `${lines.join('\n')}\n${endpoint} check failed\n`);
    else if (exchange.info.query.has('verbose')) {
      await exchange.sendText(200, `${lines.join('\n')}\n${endpoint} check passed\n`);
    } else await exchange.sendText(200, 'ok');
    return true;
  }

  async #run(endpoint: Endpoint, { name, check }: HealthCheck): Promise<string | undefined> {
    let problem: string | undefined;
    try {
      const checking = check();
      if (checking) await withLimit(checking);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    this.#state.with(name, endpoint).set(problem === undefined ? 1 : 0);
    this.#total.with(name, problem === undefined ? 'success' : 'error', endpoint).inc();
    return problem;
  }
}

function withLimit(checking: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timed out')), CHECK_MS);
    timer.unref();
    checking.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** What a server knows of itself while it starts, serves and stops. */
export interface ServerState {
  /** The bootstrap objects are there. */
  isStarted(): boolean;
  isStopping(): boolean;
  /** Rejects when the store does not answer. */
  store(): Promise<unknown>;
  /** Undefined: there is no key management service. */
  kmsProblems?(): readonly string[] | undefined;
}

const LIVE: readonly Endpoint[] = ['healthz', 'livez'];

/** Upstream's hooks whose work this server does, in upstream's order. */
const HOOKS = [
  'start-apiserver-admission-initializer',
  'generic-apiserver-start-informers',
  'priority-and-fairness-config-consumer',
  'priority-and-fairness-filter',
  'storage-object-count-tracker-hook',
  'start-apiextensions-informers',
  'start-apiextensions-controllers',
  'crd-informer-synced',
  'start-system-namespaces-controller',
  'start-cluster-authentication-info-controller',
  'storage-readiness',
  'start-service-ip-repair-controllers',
  'rbac/bootstrap-roles',
  'scheduling/bootstrap-system-priority-classes',
  'priority-and-fairness-config-producer',
  'bootstrap-controller',
  'aggregator-reload-proxy-client-cert',
  'start-kube-aggregator-informers',
  'apiservice-status-local-available-controller',
  'apiservice-status-remote-available-controller',
  'apiservice-registration-controller',
  'apiservice-wait-for-first-sync',
  'apiservice-discovery-controller',
  'kube-apiserver-autoregistration',
];

export function healthChecks(state: ServerState): HealthCheck[] {
  const started = (problem: string) => () => {
    if (!state.isStarted()) throw new Error(problem);
  };
  const hook = (name: string): HealthCheck => ({ name: `poststarthook/${name}`, check: started('not finished') });
  const storage = async () => void (await state.store());
  return [
    { name: 'ping', check() {} },
    { name: 'log', check() {} },
    { name: 'etcd', on: LIVE, check: storage },
    {
      name: 'kms-providers',
      applies: () => state.kmsProblems?.() !== undefined,
      check() {
        const problems = state.kmsProblems?.() ?? [];
        if (problems.length > 0) throw new Error(problems.join(', '));
      },
    },
    { name: 'informer-sync', on: ['readyz'], check: started('not synced') },
    ...HOOKS.map((name) =>
      name === 'storage-readiness'
        ? { name: `poststarthook/${name}`, check: () => (state.isStarted() ? storage() : started('not finished')()) }
        : hook(name),
    ),
    { name: 'autoregister-completion', check: started('not finished') },
    hook('apiservice-openapi-controller'),
    hook('apiservice-openapiv3-controller'),
    {
      name: 'shutdown',
      on: ['readyz'],
      check() {
        if (state.isStopping()) throw new Error('process is shutting down');
      },
    },
  ];
}
