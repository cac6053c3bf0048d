// watch: from a revision, or from the present state on; the cache's batches, as they are.
import { errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import type { CacheEvent } from '../cache/port.ts';
import { isTrue } from '../http/request-info.ts';
import { parseRevision } from './read.ts';
import { selectionOf } from './selection.ts';
import type { RegistryContext } from './types.ts';

/** Clients that name no timeout get one at random in this range, so that they do not all come back at once. */
const DEFAULT_TIMEOUT_S = { min: 1800, max: 3600 };

export interface Watch {
  batches: AsyncIterable<CacheEvent[]>;
  timeoutMs: number;
}

/** Throws ApiError when the watch cannot start. It ends when `signal` aborts. */
export async function watchObjects(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<Watch> {
  const selection = selectionOf(kind, namespace, query.get('labelSelector'), query.get('fieldSelector'));
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const asked = query.get('sendInitialEvents');
  const initial = asked === null ? undefined : isTrue(asked);
  validateWatchOptions(query, initial);
  const timeoutMs = timeoutOf(query.get('timeoutSeconds'), context.random);
  const revision = parseRevision(query.get('resourceVersion'));
  const cache = context.caches.of(kind);
  await cache.ready();
  const watch = (from: { kind: 'revision'; revision: number } | { kind: 'initial' }) =>
    cache.watch({ ...selection.query, from, bookmarks, signal });
  if (initial === true) {
    if (revision === undefined) await cache.current(signal);
    else if (revision > 0) await cache.waitFor(revision, signal);
    return { batches: watch({ kind: 'initial' }), timeoutMs };
  }
  if (revision !== undefined && revision > 0) {
    return { batches: watch({ kind: 'revision', revision }), timeoutMs };
  }
  if (initial === false) {
    if (revision === undefined) await cache.current(signal);
    return { batches: watch({ kind: 'revision', revision: cache.revision }), timeoutMs };
  }
  // The old form: the present state as ADDED events, and no mark of where it ends.
  if (revision === undefined) await cache.current(signal);
  return { batches: withoutInitialEnd(watch({ kind: 'initial' })), timeoutMs };
}

async function* withoutInitialEnd(batches: AsyncIterable<CacheEvent[]>): AsyncGenerator<CacheEvent[]> {
  let marked = false;
  for await (const batch of batches) {
    if (marked) {
      yield batch;
      continue;
    }
    const kept = batch.filter((event) => {
      if (event.type !== 'BOOKMARK' || !event.entry.object.metadata.annotations?.['k8s.io/initial-events-end'])
        return true;
      marked = true;
      return false;
    });
    if (kept.length > 0) yield kept;
  }
}

function timeoutOf(text: string | null, random: () => number): number {
  if (text === null || text === '') {
    return (DEFAULT_TIMEOUT_S.min + random() * (DEFAULT_TIMEOUT_S.max - DEFAULT_TIMEOUT_S.min)) * 1000;
  }
  if (!/^-?\d{1,15}$/.test(text)) {
    throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  const seconds = Number(text);
  return seconds > 0 ? seconds * 1000 : timeoutOf(null, random);
}

function validateWatchOptions(query: URLSearchParams, initial: boolean | undefined): void {
  const found = [];
  const match = query.get('resourceVersionMatch') || null;
  if (initial === undefined) {
    if (match !== null) {
      found.push(
        fieldErrors.forbidden(
          'resourceVersionMatch',
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
    }
  } else if (match === null) {
    found.push(
      fieldErrors.forbidden(
        'resourceVersionMatch',
        'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      ),
    );
  } else if (match !== 'NotOlderThan') {
    found.push(fieldErrors.notSupported('resourceVersionMatch', match, ['NotOlderThan']));
  }
  if (initial === true && !isTrue(query.get('allowWatchBookmarks'))) {
    found.push(fieldErrors.forbidden('sendInitialEvents', 'sendInitialEvents requires allowWatchBookmarks'));
  }
  if (query.get('limit')) found.push(fieldErrors.forbidden('limit', 'limit is forbidden for watch'));
  if (query.get('continue')) found.push(fieldErrors.forbidden('continue', 'continue is forbidden for watch'));
  // Upstream reads and ignores a limit on a plain watch; kubectl events --watch sends one.
  const serious = found.filter((each) => each.field !== 'limit' || initial !== undefined);
  if (serious.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', serious);
}
