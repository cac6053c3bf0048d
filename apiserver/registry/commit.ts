// Puts an object under its key if the key is still at a revision, and gives back the cache's entry of it.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CachedObject } from '../cache/port.ts';
import type { KeyValue } from '../storage/port.ts';
import { asReadBack, encodeStored } from './encode.ts';
import type { RegistryContext } from './types.ts';

export type Committed =
  | { ok: true; entry: CachedObject }
  /** Somebody was faster: what is there now, if anything. */
  | { ok: false; current: KeyValue | undefined };

/** `object` is the cache's from then on. `expected` 0: only if the key does not exist. Throws what the store throws. */
export async function commitObject(
  context: RegistryContext,
  kind: Kind,
  key: string,
  object: KubeObject,
  expected: number,
): Promise<Committed> {
  const encoded = encodeStored(kind, object);
  const value = encoded instanceof Promise ? await encoded : encoded;
  const cache = context.caches.of(kind);
  // The store's event of this write may be seen before its answer.
  const announced = cache.announce({ key, value, object });
  try {
    const result = await context.store.commit({
      key,
      expected,
      value,
      ...(kind.ttlSeconds !== undefined && { ttlSeconds: kind.ttlSeconds }),
    });
    if (!result.ok) return { ok: false, current: result.current };
    const read = asReadBack(kind, object, value);
    const written = read instanceof Promise ? await read : read;
    return { ok: true, entry: cache.committed({ key, value, revision: result.revision, object: written }) };
  } finally {
    announced.withdraw();
  }
}
