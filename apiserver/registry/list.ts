// list: whole or in pages, at the newest state, at least at a revision, or exactly at one.
import { ApiError, errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CachedObject, Query } from '../cache/port.ts';
import { namespacePrefix, resourcePrefix } from '../storage/keys.ts';
import { CompactedError, FutureRevisionError } from '../storage/port.ts';
import { decodeAllStored } from './encode.ts';
import { parseRevision } from './read.ts';
import { type Selection, selectionOf } from './selection.ts';
import type { RegistryContext } from './types.ts';

export interface ListResult {
  items: readonly CachedObject[];
  revision: number;
  continue: string;
  /** Undefined when not known or when there is nothing more. */
  remaining: number | undefined;
}

export interface ListParameters {
  labelSelector: string | null;
  fieldSelector: string | null;
  limit: string | null;
  continue: string | null;
  resourceVersion: string | null;
  resourceVersionMatch: string | null;
}

export function listParameters(query: URLSearchParams): ListParameters {
  return {
    labelSelector: query.get('labelSelector'),
    fieldSelector: query.get('fieldSelector'),
    limit: query.get('limit'),
    continue: query.get('continue') || null,
    resourceVersion: query.get('resourceVersion') || null,
    resourceVersionMatch: query.get('resourceVersionMatch') || null,
  };
}

/** `namespace` empty: all of them, or a cluster-scoped kind. */
export async function listObjects(
  context: RegistryContext,
  kind: Kind,
  namespace: string,
  parameters: ListParameters,
  signal?: AbortSignal,
): Promise<ListResult> {
  const limit = parseLimit(parameters.limit);
  validateListOptions(parameters);
  const selection = selectionOf(kind, namespace, parameters.labelSelector, parameters.fieldSelector);
  const token = parameters.continue ? decodeContinue(parameters.continue) : undefined;
  const cache = context.caches.of(kind);
  await cache.ready();
  if (token && token.revision > 0) return continuePage(context, kind, selection, limit, token);
  const asked = parseRevision(parameters.resourceVersion);
  if (parameters.resourceVersionMatch === 'Exact' && asked !== undefined) {
    const items = await itemsAt(context, kind, selection.query, asked, undefined);
    return page(context, kind, selection, items, asked, limit, 0);
  }
  if (asked === undefined) await cache.current(signal);
  else if (asked > 0) await cache.waitFor(asked, signal);
  const { items, revision } = cache.list(selection.query, true);
  // A token without a revision goes on in the newest state, after its key.
  return page(context, kind, selection, items, revision, limit, token ? firstAfter(kind, items, token.start) : 0);
}

async function continuePage(
  context: RegistryContext,
  kind: Kind,
  selection: Selection,
  limit: number,
  token: ContinueToken,
): Promise<ListResult> {
  const kept = context.snapshots.find(selection.text, token.revision);
  if (kept) return page(context, kind, selection, kept, token.revision, limit, firstAfter(kind, kept, token.start));
  const items = await itemsAt(context, kind, selection.query, token.revision, token);
  return page(context, kind, selection, items, token.revision, limit, firstAfter(kind, items, token.start));
}

function page(
  context: RegistryContext,
  kind: Kind,
  selection: Selection,
  items: readonly CachedObject[],
  revision: number,
  limit: number,
  from: number,
): ListResult {
  const end = limit > 0 ? Math.min(items.length, from + limit) : items.length;
  const shown = from === 0 && end === items.length ? items : items.slice(from, end);
  if (end === items.length) return { items: shown, revision, continue: '', remaining: undefined };
  context.snapshots.keep(selection.text, revision, items);
  return {
    items: shown,
    revision,
    continue: encodeContinue(revision, relativeKey(kind, (items[end - 1] as CachedObject).key)),
    remaining: selection.everything ? items.length - end : undefined,
  };
}

/** Reads the store's history. With `token`, an expired revision is answered with a token to go on from the newest. */
async function itemsAt(
  context: RegistryContext,
  kind: Kind,
  query: Query,
  revision: number,
  token: ContinueToken | undefined,
): Promise<CachedObject[]> {
  const prefix = query.namespace === undefined ? resourcePrefix(kind) : namespacePrefix(kind, query.namespace);
  try {
    const { kvs } = await context.store.list(prefix, { revision });
    const items: CachedObject[] = [];
    const objects = await decodeAllStored(kind, kvs);
    for (const [index, kv] of kvs.entries()) {
      const object = objects[index] as KubeObject;
      if (query.name !== undefined && object.metadata.name !== query.name) continue;
      if (query.matches && !query.matches(object)) continue;
      items.push({ key: kv.key, object, bytes: Buffer.from(JSON.stringify(object)), revision: kv.modRevision });
    }
    return items;
  } catch (error) {
    if (error instanceof CompactedError) throw token ? expiredToken(token) : expiredRevision();
    if (error instanceof FutureRevisionError) {
      throw errors.timeout(`Too large resource version: ${error.revision}, current: ${error.current}`);
    }
    throw error;
  }
}

function expiredRevision(): ApiError {
  return errors.expired('The resourceVersion for the provided list is too old.');
}

function expiredToken(token: ContinueToken): ApiError {
  const error = errors.expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
      'the continue parameter, or use the continue token in this response to retrieve the remainder of the results. ' +
      'Continuing with the provided token results in an inconsistent list - objects that were created, modified, or ' +
      'deleted between the time the first chunk was returned and now may show up in the list.',
  );
  error.status.metadata = { continue: encodeContinue(-1, token.start) };
  return error;
}

/** Where a page ended: the key, relative to the resource, after which the next one starts. */
interface ContinueToken {
  revision: number;
  start: string;
}

export function encodeContinue(revision: number, lastKey: string): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: lastKey })).toString('base64url');
}

export function decodeContinue(text: string): ContinueToken {
  const refuse = (why: string) => errors.badRequest(`continue key is not valid: ${why}`);
  let token: { v?: unknown; rv?: unknown; start?: unknown };
  try {
    token = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    throw refuse('the token cannot be decoded');
  }
  if (typeof token !== 'object' || token === null || token.v !== 'meta.k8s.io/v1') {
    throw refuse('server does not recognize this encoded version');
  }
  const { rv, start } = token;
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0)
    throw refuse('incorrect encoded start resourceVersion');
  if (typeof start !== 'string' || start === '') throw refuse('encoded start key empty');
  return { revision: rv, start };
}

const relativeKey = (kind: Kind, key: string) => key.slice(resourcePrefix(kind).length);

/** Index of the first item whose key is greater; items are in key order. */
function firstAfter(kind: Kind, items: readonly CachedObject[], start: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (relativeKey(kind, (items[middle] as CachedObject).key) <= start) low = middle + 1;
    else high = middle;
  }
  return low;
}

function parseLimit(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^-?\d{1,18}$/.test(text)) {
    throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Math.max(0, Number(text));
}

const MATCHES = ['Exact', 'NotOlderThan'];

function validateListOptions(parameters: ListParameters): void {
  const match = parameters.resourceVersionMatch;
  const version = parameters.resourceVersion;
  if (parameters.continue && version !== null && version !== '0') {
    throw errors.badRequest('specifying resource version is not allowed when using continue');
  }
  if (match === null) return;
  const found = [];
  const forbid = (why: string) => found.push(fieldErrors.forbidden('resourceVersionMatch', why));
  if (parameters.continue) forbid('resourceVersionMatch is forbidden when continue is provided');
  else if (version === null) forbid('resourceVersionMatch is forbidden unless resourceVersion is provided');
  if (!MATCHES.includes(match)) found.push(fieldErrors.notSupported('resourceVersionMatch', match, [...MATCHES, '']));
  else if (match === 'Exact' && version === '0')
    forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', found);
}
