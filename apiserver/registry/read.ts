// Reading one object: GET at the freshness that the client asks for, and the fresh look that writes need.
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CachedObject } from '../cache/port.ts';
import { objectKey } from '../storage/keys.ts';
import { decodeStored } from './encode.ts';
import { gr, type RegistryContext } from './types.ts';

/** Parses a resourceVersion of a query; undefined when it is not given. Throws 400. */
export function parseRevision(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined || text === '') return undefined;
  const revision = /^\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(revision)) {
    throw errors.badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }
  return revision;
}

/** GET: without a resourceVersion the newest state, with `0` any, else at least that new. Throws 404. */
export async function getObject(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  name: string,
  options: { resourceVersion?: string | null; signal?: AbortSignal } = {},
): Promise<CachedObject> {
  const cache = context.caches.of(kind);
  const revision = parseRevision(options.resourceVersion);
  await cache.ready();
  if (revision === undefined) await cache.current(options.signal);
  else if (revision > 0) await cache.waitFor(revision, options.signal);
  const entry = cache.get(namespace || undefined, name);
  if (!entry) throw errors.notFound(gr(kind), name);
  return entry;
}

/** As getObject, undefined instead of 404. */
export async function findObject(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  name: string,
  options: { anyAge?: boolean } = {},
): Promise<CachedObject | undefined> {
  const cache = context.caches.of(kind);
  await cache.ready();
  const known = cache.get(namespace || undefined, name);
  if (known && options.anyAge) return known;
  await cache.current();
  return cache.get(namespace || undefined, name);
}

/** What a write starts from. `isFresh`: read from the store, not from a cache that may lag. */
export interface Current {
  object: KubeObject | undefined;
  revision: number;
  isFresh: boolean;
}

/** The state to begin a write with: the cache's, which is right nearly always and costs no read. */
export async function currentFromCache(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  name: string,
): Promise<Current> {
  const cache = context.caches.of(kind);
  await cache.ready();
  const entry = cache.get(namespace || undefined, name);
  if (!entry) return currentFromStore(context, kind, namespace, name);
  return { object: entry.object, revision: entry.revision, isFresh: false };
}

export async function currentFromStore(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  name: string,
): Promise<Current> {
  const { kv } = await context.store.get(objectKey(kind, namespace, name));
  if (!kv) return { object: undefined, revision: 0, isFresh: true };
  const object = await decodeStored(kind, kv.value, kv.modRevision);
  return { object, revision: kv.modRevision, isFresh: true };
}
