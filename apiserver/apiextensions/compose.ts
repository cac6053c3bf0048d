// Custom resources as a part of the server: one follower, when the scheme has definitions at all.
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { DEFAULT_BUCKETS, type MetricsRegistry } from '../../lib/metrics.ts';
import { type Follower, follow } from '../auth/follow.ts';
import type { RuleObserver } from '../../api/custom/rules.ts';
import type { Identity } from '../auth/identity.ts';
import type { Registry } from '../registry/registry.ts';
import type { WebhookClient } from '../webhooks/client.ts';
import { Definitions } from './definitions.ts';

export interface ApiExtensionsOptions {
  registry: Registry;
  webhooks: WebhookClient;
  user: Identity;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  metrics: MetricsRegistry;
}

/** Resolves `synced` when every established definition is served. */
export function followDefinitions(options: ApiExtensionsOptions): Follower[] {
  const { scheme, caches } = options.registry.context;
  const kind = scheme.byGroupResource('apiextensions.k8s.io', 'customresourcedefinitions');
  if (!kind) return [];
  const definitions = new Definitions({ ...options, kind, rules: observeRules(options.metrics) });
  const { synced, done } = follow(
    caches.of(kind),
    (_namespace, name, object) => definitions.apply(name, object),
    options,
  );
  return [{ synced, done: done.then(() => definitions.done()) }];
}

/** How long the rules of custom resources take, under upstream's names. */
function observeRules(registry: MetricsRegistry): RuleObserver {
  const seconds = (what: 'compilation' | 'evaluation') =>
    registry
      .histogram({
        name: `apiserver_cel_${what}_duration_seconds`,
        help: `CEL ${what} time in seconds.`,
        stability: 'BETA',
        buckets: DEFAULT_BUCKETS,
      })
      .with();
  const compilation = seconds('compilation');
  const evaluation = seconds('evaluation');
  return {
    now: () => performance.now(),
    compiled: (ms) => compilation.observe(ms / 1000),
    evaluated: (ms) => evaluation.observe(ms / 1000),
  };
}
