// What KMS plugins are asked and how long they take, under upstream's names (k8s.io/apiserver/pkg/storage/value).
import { createHash } from 'node:crypto';
import { type Counter, exponentialBuckets, type Gauge, MetricsRegistry } from '../../../lib/metrics.ts';

export interface KmsMetrics {
  called(provider: string, method: string, code: string, seconds: number): void;
  keyUsed(provider: string, direction: 'to_storage' | 'from_storage', keyId: string, nowMs: number): void;
  keyIdSeen(provider: string, keyId: string, problem: string | undefined): void;
  keyMade(ok: boolean): void;
  cacheMissed(): void;
}

const PREFIX = 'apiserver_envelope_encryption_';
/** Key ids that have series; the first of more goes. */
const KEYS = 10;

export function createKmsMetrics(registry: MetricsRegistry): KmsMetrics {
  const latency = registry.histogram({
    name: `${PREFIX}kms_operations_latency_seconds`,
    help: 'KMS operation duration with gRPC error code status total.',
    labels: ['provider_name', 'method_name', 'grpc_status_code'],
    buckets: exponentialBuckets(0.0001, 2, 20),
  });
  const of = ['transformation_type', 'provider_name', 'key_id_hash'];
  const total = registry.counter({
    name: `${PREFIX}key_id_hash_total`,
    help: 'Number of times a keyID is used split by transformation type, provider, and apiserver identity.',
    labels: of,
  });
  const last = registry.gauge({
    name: `${PREFIX}key_id_hash_last_timestamp_seconds`,
    help: 'The last time in seconds when a keyID was used.',
    labels: of,
  });
  const invalid = registry.counter({
    name: `${PREFIX}invalid_key_id_from_status_total`,
    help: 'Number of times an invalid keyID is returned by the Status RPC call split by error.',
    labels: ['provider_name', 'error'],
  });
  const failures = registry
    .counter({
      name: 'apiserver_storage_data_key_generation_failures_total',
      help: 'Total number of failed data encryption key(DEK) generation operations.',
    })
    .with();
  const misses = registry
    .counter({
      name: 'apiserver_storage_envelope_transformation_cache_misses_total',
      help: 'Total number of cache misses while accessing key decryption key(KEK).',
    })
    .with();
  const known = new Map<string, { total: Counter; last: Gauge; labels: string[] }>();
  return {
    called: (provider, method, code, seconds) => latency.with(provider, method, code).observe(seconds),
    keyUsed(provider, direction, keyId, nowMs) {
      const key = `${direction} ${provider} ${keyId}`;
      let series = known.get(key);
      if (!series) {
        if (known.size >= KEYS) {
          const [[oldest, { labels }]] = known as unknown as [[string, { labels: string[] }]];
          known.delete(oldest);
          total.delete(...labels);
          last.delete(...labels);
        }
        const labels = [direction, provider, `sha256:${createHash('sha256').update(keyId).digest('hex')}`];
        known.set(key, (series = { total: total.with(...labels), last: last.with(...labels), labels }));
      }
      series.total.inc();
      series.last.set(nowMs / 1000);
    },
    keyIdSeen(provider, keyId, problem) {
      if (problem) invalid.with(provider, keyId === '' ? 'empty' : 'too_long').inc();
    },
    keyMade: (ok) => void (ok || failures.inc()),
    cacheMissed: () => misses.inc(),
  };
}

/** Counted for nobody. */
export const DEFAULT_KMS_METRICS = createKmsMetrics(new MetricsRegistry());
