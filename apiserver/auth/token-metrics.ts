// What is remembered of tokens and how often that helps, and which tokens service accounts use, under upstream's names
// (k8s.io/apiserver/pkg/authentication/token/cache and pkg/serviceaccount).
import { DEFAULT_BUCKETS, MetricsRegistry } from '../../lib/metrics.ts';

export interface TokenMetrics {
  /** A token was asked for among those that are remembered; `seconds` until there was an answer. */
  remembered(hit: boolean, seconds: number): void;
  /** It had to be found out what it says. */
  fetched(ok: boolean): void;
  /** Somebody else is being asked: `by` 1 when it begins, -1 when it is over. */
  fetching(by: 1 | -1): void;
  used(token: 'valid' | 'stale' | 'legacy'): void;
}

const CACHE = 'authentication_token_cache_';

export function createTokenMetrics(registry = new MetricsRegistry()): TokenMetrics {
  const labels = ['status'];
  const requests = registry.counter({ name: `${CACHE}request_total`, help: '', labels });
  const seconds = registry.histogram({
    name: `${CACHE}request_duration_seconds`,
    help: '',
    labels,
    buckets: DEFAULT_BUCKETS,
  });
  const fetches = registry.counter({ name: `${CACHE}fetch_total`, help: '', labels });
  const active = registry.gauge({ name: `${CACHE}active_fetch_count`, help: '', labels });
  const hit = { requests: requests.with('hit'), seconds: seconds.with('hit') };
  const miss = { requests: requests.with('miss'), seconds: seconds.with('miss') };
  const ok = fetches.with('ok');
  const failed = fetches.with('error');
  const inFlight = active.with('in_flight');
  active.with('blocked').set(0);
  const tokens = (name: string, help: string) =>
    registry.counter({ name: `serviceaccount_${name}_total`, help }).with();
  const valid = tokens('valid_tokens', 'Cumulative valid projected service account tokens used');
  const stale = tokens('stale_tokens', 'Cumulative stale projected service account tokens used');
  const legacy = tokens('legacy_tokens', 'Cumulative legacy service account tokens used');
  return {
    remembered(isHit, took) {
      const series = isHit ? hit : miss;
      series.requests.inc();
      series.seconds.observe(took);
    },
    fetched(isOk) {
      (isOk ? ok : failed).inc();
    },
    fetching(by) {
      inFlight.add(by);
    },
    used(token) {
      if (token === 'legacy') return legacy.inc();
      valid.inc();
      if (token === 'stale') stale.inc();
    },
  };
}
