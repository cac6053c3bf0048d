// EventRateLimit: how many events the server takes, in all, of a namespace, of a user, of a source about an object. Each limit
// is a bucket of tokens per key: `burst` of them at first, `qps` more a second. Buckets of keys that are seldom seen go first.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

export const LIMIT_TYPES = ['Server', 'Namespace', 'User', 'SourceAndObject'] as const;

export interface EventLimit {
  type: (typeof LIMIT_TYPES)[number];
  qps: number;
  burst: number;
  /** Keys that are remembered; 0: 4096. */
  cacheSize: number;
}

const DEFAULT_CACHE_SIZE = 4096;

/** Throws when there is no limit: the plugin would do nothing. */
export function eventRateLimit(limits: readonly EventLimit[], clock: Clock): AdmissionPlugin {
  if (limits.length === 0) throw new TypeError('EventRateLimit: limits: Invalid value: null: must not be empty');
  const buckets = limits.map((limit) => new Buckets(limit, clock));
  return {
    name: 'EventRateLimit',
    handles: (kind, subresource, operation) =>
      kind.kind === 'Event' && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'),
    validate(request) {
      if (request.dryRun) return;
      let refusal: string | undefined;
      // Each is told of the event, also when another refuses it.
      for (const [i, { type }] of limits.entries()) {
        const key = keyOf(type, request);
        if (!buckets[i]?.take(key)) refusal = `limit reached on type ${type} for key ${key}`;
      }
      if (refusal !== undefined) throw errors.tooManyRequests(refusal, 1);
    },
  };
}

class Buckets {
  #limit: EventLimit;
  #clock: Clock;
  /** In the order of their last use. */
  #byKey = new Map<string, { tokens: number; filledMs: number }>();

  constructor(limit: EventLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  take(key: string): boolean {
    const { burst, qps, cacheSize } = this.#limit;
    const nowMs = this.#clock.monotonic();
    const bucket = this.#byKey.get(key) ?? { tokens: burst, filledMs: nowMs };
    this.#byKey.delete(key);
    if (this.#byKey.size >= (cacheSize || DEFAULT_CACHE_SIZE)) {
      this.#byKey.delete(this.#byKey.keys().next().value as string);
    }
    this.#byKey.set(key, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.filledMs) / 1000) * qps);
    bucket.filledMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}

function keyOf(type: EventLimit['type'], { namespace, user, object }: AdmissionRequest): string {
  if (type === 'Server') return '';
  if (type === 'Namespace') return namespace;
  return type === 'User' ? user.name : sourceAndObject(object as KubeObject);
}

type Named = Record<'kind' | 'namespace' | 'name' | 'uid' | 'apiVersion' | 'component' | 'host', string | undefined>;

/** Of either version of events. */
function sourceAndObject(event: KubeObject): string {
  const either = (...names: string[]) =>
    (names.map((name) => (event as unknown as Record<string, Named | undefined>)[name]).find(Boolean) ?? {}) as Named;
  const source = either('source', 'deprecatedSource');
  const about = either('involvedObject', 'regarding');
  const parts = [source.component, source.host, about.kind, about.namespace, about.name, about.uid, about.apiVersion];
  return parts.map((each) => each ?? '').join('');
}
