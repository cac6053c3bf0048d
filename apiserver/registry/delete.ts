// delete: preconditions, finalizers for the garbage collector, graceful deletion, and removal.
import { deepClone } from '../../api/equality.ts';
import { ApiError, errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import { FINALIZER_FOREGROUND, FINALIZER_ORPHAN } from '../../api/metadata.ts';
import type { KubeObject } from '../../api/object.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import { objectKey } from '../storage/keys.ts';
import { unsavedEntry } from './create.ts';
import { commitObject } from './commit.ts';
import { decodeStored, timestamp } from './encode.ts';
import { type Current, currentFromCache, currentFromStore } from './read.ts';
import { admissionOf, type DeleteRequest, type DeleteResult, gr, hookKey, type RegistryContext } from './types.ts';

const TRIES = 64;

export async function deleteObject(
  context: RegistryContext,
  kind: Kind,
  name: string,
  request: DeleteRequest,
): Promise<DeleteResult> {
  validateDeleteOptions(request.options);
  let current = await currentFromCache(context, kind, request.namespace, name);
  for (let attempt = 1; ; attempt++) {
    if (!current.object) throw errors.notFound(gr(kind), name);
    let outcome: DeleteResult | Current;
    try {
      outcome = await tryDelete(context, kind, name, request, current.object, current.revision);
    } catch (error) {
      if (current.isFresh || !(error instanceof ApiError)) throw error;
      const fresh = await currentFromStore(context, kind, request.namespace, name);
      if (fresh.revision === current.revision) throw error;
      current = fresh;
      continue;
    }
    if ('entry' in outcome) return outcome;
    if (attempt >= TRIES) throw errors.conflict(gr(kind), name);
    current = outcome;
  }
}

async function tryDelete(
  context: RegistryContext,
  kind: Kind,
  name: string,
  request: DeleteRequest,
  old: KubeObject,
  revision: number,
): Promise<DeleteResult | Current> {
  checkPreconditions(kind, name, old, request.options);
  await request.check?.(old);
  if (!request.internal) {
    const admission = admissionOf(kind, request, {
      operation: 'DELETE',
      subresource: '',
      name,
      object: undefined,
      old,
    });
    await context.admission.mutate(admission);
    await context.admission.validate(admission);
  }
  const key = objectKey(kind, request.namespace, name);
  const object = planDelete(kind, old, request.options, context.clock.now());
  const cache = context.caches.of(kind);
  if (object === 'unchanged') return { kind: 'pending', entry: unsavedEntry(kind, key, old, revision) };
  if (request.dryRun) {
    const entry = unsavedEntry(kind, key, object ?? old, revision);
    return object ? { kind: 'pending', entry } : { kind: 'deleted', entry };
  }
  const result = object
    ? await commitObject(context, kind, key, object, revision)
    : await context.store.commit({ key, expected: revision, value: null });
  if (!result.ok) {
    if (!result.current) return { object: undefined, revision: 0, isFresh: true };
    const { value: theirs, modRevision } = result.current;
    return { object: await decodeStored(kind, theirs, modRevision), revision: modRevision, isFresh: true };
  }
  if ('entry' in result) return { kind: 'pending', entry: result.entry };
  await context.hooks.get(hookKey(kind))?.after?.(undefined, old);
  return { kind: 'deleted', entry: cache.deleted(unsavedEntry(kind, key, old, revision), result.revision) };
}

/**
 * What a deletion makes of an object: undefined removes it, `unchanged` leaves a deletion that is under way as it is,
 * else the object that waits for its finalizers or its grace period. Pure; `stored` is not touched.
 */
export function planDelete(
  kind: Kind,
  stored: KubeObject,
  options: DeleteOptions,
  nowMs: number,
): KubeObject | 'unchanged' | undefined {
  let old = stored;
  if (kind.prepareForDelete && !stored.metadata.deletionTimestamp) {
    old = deepClone(stored);
    kind.prepareForDelete(old, { nowMs, user: '' });
  }
  const requested = options.gracePeriodSeconds;
  const grace = kind.gracefulDelete?.(old, requested)?.gracePeriodSeconds ?? 0;
  const wasDeleting = old.metadata.deletionTimestamp;
  const finalizers = finalizersAfter(kind, old, options);
  const object = deepClone(old);
  const meta = object.metadata;
  if (finalizers.length > 0) meta.finalizers = finalizers;
  else delete meta.finalizers;
  const holdsItself = kind.kind === 'Namespace' && kind.group === '' && namespaceFinalizers(old) > 0;
  if (wasDeleting) {
    const left = old.metadata.deletionGracePeriodSeconds ?? 0;
    // A deletion under way can only be hastened.
    if (requested !== undefined && grace < left) {
      const startedMs = Date.parse(wasDeleting) - left * 1000;
      meta.deletionTimestamp = timestamp(Math.max(nowMs, startedMs + grace * 1000));
      meta.deletionGracePeriodSeconds = grace;
    }
    const remaining = meta.deletionGracePeriodSeconds ?? 0;
    if (remaining === 0 && finalizers.length === 0 && !holdsItself) return undefined;
    if (
      meta.deletionGracePeriodSeconds === old.metadata.deletionGracePeriodSeconds &&
      sameList(finalizers, old.metadata.finalizers ?? [])
    ) {
      return 'unchanged';
    }
    return object;
  }
  if (grace === 0 && finalizers.length === 0 && !holdsItself) return undefined;
  meta.deletionTimestamp = timestamp(nowMs + grace * 1000);
  if (kind.gracefulDelete || finalizers.length > 0) meta.deletionGracePeriodSeconds = grace;
  if ((meta.generation ?? 0) > 0) meta.generation = (meta.generation as number) + 1;
  if (holdsItself) (object as { status?: { phase?: string } }).status = { ...statusOf(object), phase: 'Terminating' };
  return object;
}

const statusOf = (object: KubeObject) => (object as { status?: Record<string, unknown> }).status;

const namespaceFinalizers = (object: KubeObject) =>
  (object as { spec?: { finalizers?: string[] } }).spec?.finalizers?.length ?? 0;

const sameList = (left: readonly string[], right: readonly string[]) =>
  left.length === right.length && left.every((each, index) => each === right[index]);

/** The finalizers of the garbage collector follow from the options: orphan, foreground, or (background) neither. */
function finalizersAfter(kind: Kind, old: KubeObject, options: DeleteOptions): string[] {
  const existing = old.metadata.finalizers ?? [];
  let orphan = existing.includes(FINALIZER_ORPHAN);
  let foreground = existing.includes(FINALIZER_FOREGROUND);
  if (options.orphanDependents !== undefined) {
    orphan = options.orphanDependents;
    foreground = false;
  } else if (options.propagationPolicy) {
    orphan = options.propagationPolicy === 'Orphan';
    foreground = options.propagationPolicy === 'Foreground';
  } else if (!foreground && kind.orphansByDefault) orphan = true;
  const kept = existing.filter(
    (each) => (each !== FINALIZER_ORPHAN || orphan) && (each !== FINALIZER_FOREGROUND || foreground),
  );
  if (orphan && !kept.includes(FINALIZER_ORPHAN)) kept.push(FINALIZER_ORPHAN);
  if (foreground && !kept.includes(FINALIZER_FOREGROUND)) kept.push(FINALIZER_FOREGROUND);
  return kept;
}

function checkPreconditions(kind: Kind, name: string, old: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== old.metadata.uid) {
    throw errors.conflict(
      gr(kind),
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
    throw errors.conflict(
      gr(kind),
      name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${old.metadata.resourceVersion}`,
    );
  }
}

const POLICIES = ['Foreground', 'Background', 'Orphan'];

export function validateDeleteOptions(options: DeleteOptions): void {
  const found = [];
  if (options.orphanDependents !== undefined && options.propagationPolicy !== undefined) {
    found.push(
      fieldErrors.invalid(
        'propagationPolicy',
        options.propagationPolicy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    );
  }
  if (options.propagationPolicy !== undefined && !POLICIES.includes(options.propagationPolicy)) {
    found.push(fieldErrors.notSupported('propagationPolicy', options.propagationPolicy, [...POLICIES, 'nil']));
  }
  for (const each of options.dryRun ?? []) {
    if (each !== 'All') found.push(fieldErrors.notSupported('dryRun', [each], ['All']));
  }
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', found);
}
