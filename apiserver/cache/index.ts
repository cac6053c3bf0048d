// The watch caches of a server, one per kind, started on first use.
import { type Clock, type Random, systemClock, type Timer } from '../../lib/clock.ts';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { Store } from '../storage/port.ts';
import { type Decode, decodeJson } from './entry.ts';
import type { CacheMetrics } from './metrics.ts';
import type { CacheSet } from './port.ts';
import { KindCache } from './resource-cache.ts';
import { defaultRingLimits, type RingLimits } from './ring.ts';

export type * from './port.ts';

export interface CacheSetOptions {
  store: Store;
  clock?: Clock;
  log?: Logger;
  random?: Random;
  /** Decodes stored bytes (decryption belongs here). Absent: JSON. Must return an object that is the caller's to change. */
  decode?: Decode;
  /** Fields with an index, by resource. Default: pods by spec.nodeName. */
  indexed?: Readonly<Record<string, readonly string[]>>;
  ring?: Partial<RingLimits>;
  /** Events that may wait for one watch. Default 10,000. */
  watchLimit?: number;
  /** Default 60,000. */
  bookmarkIntervalMs?: number;
  metrics?: CacheMetrics;
}

const DEFAULT_INDEXED = { pods: ['spec.nodeName'] };

const nameOf = (kind: Kind) => `${kind.group}/${kind.version}/${kind.resource}`;

export function createCacheSet(options: CacheSetOptions): CacheSet {
  const { store } = options;
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLogger;
  const indexed: Readonly<Record<string, readonly string[]>> = options.indexed ?? DEFAULT_INDEXED;
  const intervalMs = options.bookmarkIntervalMs ?? 60_000;
  const caches = new Map<string, KindCache>();
  const freshRevision = sharedRead(() => store.revision());
  /** Of kinds that are retired: who took their place, if anybody did. */
  const successors = new WeakMap<Kind, Kind | undefined>();
  let bookmarkTimer: Timer | undefined;
  let stopped = false;

  function armBookmarks(): void {
    bookmarkTimer = clock.after(
      intervalMs,
      () => {
        for (const cache of caches.values()) void cache.sendBookmarks();
        if (!stopped) armBookmarks();
      },
      { background: true },
    );
  }

  return {
    of(asked) {
      let kind = asked;
      while (successors.has(kind)) {
        const next = successors.get(kind);
        if (!next) throw errors.unknownPath();
        kind = next;
      }
      const name = nameOf(kind);
      const known = caches.get(name);
      if (known) return known;
      if (stopped) throw new Error(`cache of ${kind.resource} wanted after stop`);
      const cache = new KindCache(kind, {
        store,
        clock,
        log,
        random: options.random ?? Math.random,
        decode: options.decode ?? decodeJson,
        indexed: indexed[kind.resource] ?? [],
        ring: { ...defaultRingLimits, ...options.ring },
        watchLimit: options.watchLimit ?? 10_000,
        freshRevision,
        metrics: options.metrics,
      });
      caches.set(name, cache);
      if (!bookmarkTimer) armBookmarks();
      return cache;
    },
    async retire(kind, next) {
      const name = nameOf(kind);
      const cache = caches.get(name);
      successors.set(kind, next);
      if (cache?.kind !== kind) return;
      caches.delete(name);
      await cache.stop();
    },
    async stop() {
      stopped = true;
      bookmarkTimer?.cancel();
      await Promise.all([...caches.values()].map((cache) => cache.stop()));
    },
  };
}

/**
 * Shares reads: callers that arrive while a read is under way wait for the next one, which starts after their call, so
 * that each sees a value no older than its call.
 */
export function sharedRead<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  function start(): Promise<T> {
    next = undefined;
    const reading = read();
    const settled = reading.then(
      () => {},
      () => {},
    );
    running = settled;
    void settled.then(() => {
      if (running === settled) running = undefined;
    });
    return reading;
  }
  return () => {
    if (next) return next;
    if (!running) return start();
    next = running.then(start);
    return next;
  };
}
