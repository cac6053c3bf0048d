// Keeps an index in step with a watch cache: every object once, then every change, with a full comparison whenever the
// watch had to begin anew.
import type { Clock } from '../../lib/clock.ts';
import { backoffMs } from '../../lib/backoff.ts';
import { sleep } from '../../lib/abort.ts';
import type { Logger } from '../../lib/log.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ResourceCache } from '../cache/port.ts';

/** The object, or undefined when it is gone. Idempotent. */
export type Apply = (namespace: string, name: string, object: KubeObject | undefined) => void;

export interface Follower {
  /** Resolves when the state of the beginning has been applied. */
  synced: Promise<void>;
  /** Settles after `signal` aborts. */
  done: Promise<void>;
}

export function follow(
  cache: ResourceCache,
  apply: Apply,
  options: { signal: AbortSignal; clock: Clock; log: Logger },
): Follower {
  const { signal, clock, log } = options;
  let known = new Map<string, { namespace: string; name: string }>();
  let resolveSynced: () => void = () => {};
  const synced = new Promise<void>((resolve) => {
    resolveSynced = resolve;
  });

  async function followOnce(): Promise<void> {
    await cache.ready();
    let seen: Map<string, { namespace: string; name: string }> | undefined = new Map();
    for await (const batch of cache.watch({ from: { kind: 'initial' }, bookmarks: true, signal })) {
      for (const { type, entry } of batch) {
        const { namespace = '', name = '' } = entry.object.metadata;
        if (type === 'BOOKMARK') {
          if (!seen || !entry.object.metadata.annotations?.['k8s.io/initial-events-end']) continue;
          for (const [key, gone] of known) if (!seen.has(key)) apply(gone.namespace, gone.name, undefined);
          known = seen;
          seen = undefined;
          resolveSynced();
          continue;
        }
        const keys = seen ?? known;
        if (type === 'DELETED') {
          keys.delete(entry.key);
          apply(namespace, name, undefined);
        } else {
          keys.set(entry.key, { namespace, name });
          apply(namespace, name, entry.object);
        }
      }
    }
  }

  async function run(): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await followOnce();
        failures = 0;
      } catch (error) {
        failures++;
        if (!signal.aborted)
          log.warn({ err: error, resource: cache.kind.resource }, 'index lost its watch, starting over');
      }
      await sleep(
        clock,
        backoffMs({ initialMs: 50, maxMs: 5000 }, failures + 1, () => 0),
        signal,
      );
    }
    resolveSynced();
  }

  return { synced, done: run() };
}
