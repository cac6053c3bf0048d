// update, patch and every subresource write: read, change, validate, compare-and-set; again when somebody was faster.
import { deepEqual } from '../../api/equality.ts';
import { ApiError, errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import { sameManagers } from '../../api/managed-fields/managers.ts';
import { validateMetadataUpdate } from '../../api/metadata.ts';
import { apiVersionOf, type GroupVersionKind, type KubeObject } from '../../api/object.ts';
import { ratcheted } from '../../api/validation/ratcheting.ts';
import { objectKey } from '../storage/keys.ts';
import { createObject, failIfInvalid, placeInNamespace, unsavedEntry } from './create.ts';
import { commitObject } from './commit.ts';
import { decodeStored, storedAs, timestamp } from './encode.ts';
import { trackWrite } from './versions.ts';
import { type Current, currentFromCache, currentFromStore } from './read.ts';
import {
  admissionOf,
  gr,
  hookKey,
  type RegistryContext,
  SERVER_MANAGER,
  strategyContext,
  type Subresource,
  type WriteRequest,
  type WriteResult,
} from './types.ts';

/** Upstream's text of a failed resourceVersion comparison. */
const STALE = 'the object has been modified; please apply your changes to the latest version and try again';
/** Compare-and-set attempts; each one that fails means that somebody else succeeded. */
const TRIES = 64;

export interface UpdateRequest extends WriteRequest {
  name: string;
  subresource: Subresource;
  /** `PATCH` creates nothing and has no resourceVersion unless the patch carries one. */
  isPatch?: boolean;
  /** Creates when it does not exist and the kind allows it (PUT), or whatever the kind says (`always`: apply). */
  mayCreate?: boolean | 'always';
  /** Skips the preparation of main and status writes: the change is exactly what is written (finalize, binding). */
  raw?: boolean;
  /** Skips admission: the server's own work. */
  internal?: boolean;
  /** What admission sees and changes in place of the object: the Scale of a Deployment. */
  view?: AdmissionView;
}

export interface AdmissionView {
  kind: GroupVersionKind;
  read(object: KubeObject): KubeObject;
  /** Carries what admission made of the view over to `object`. */
  write(object: KubeObject, view: KubeObject): void;
}

/**
 * `change` gets the present state, which it must not touch, and returns a new object (the client's, or the patched one).
 * It may run several times. Throws ApiError; nothing is written then.
 */
export async function updateObject(
  context: RegistryContext,
  kind: Kind,
  request: UpdateRequest,
  change: (old: KubeObject) => KubeObject | Promise<KubeObject>,
  createFrom?: () => KubeObject | Promise<KubeObject>,
): Promise<WriteResult> {
  let current = await currentFromCache(context, kind, request.namespace, request.name);
  for (let attempt = 1; ; attempt++) {
    if (!current.object) {
      if (createFrom && request.mayCreate && (kind.allowCreateOnUpdate || request.mayCreate === 'always')) {
        try {
          return await createObject(context, kind, await createFrom(), asCreate(request));
        } catch (error) {
          // Somebody was faster: an apply goes on with what is there now.
          const isRace =
            error instanceof ApiError && error.reason === 'AlreadyExists' && request.mayCreate === 'always';
          if (!isRace || attempt >= TRIES) throw error;
          current = await currentFromStore(context, kind, request.namespace, request.name);
          continue;
        }
      }
      throw errors.notFound(gr(kind), request.name);
    }
    let outcome: WriteResult | Current;
    try {
      outcome = await tryUpdate(context, kind, request, current.object, current.revision, change);
    } catch (error) {
      // Refused by a state that may be old: look again before saying no.
      if (current.isFresh || !(error instanceof ApiError)) throw error;
      const fresh = await currentFromStore(context, kind, request.namespace, request.name);
      if (fresh.revision === current.revision) throw error;
      current = fresh;
      continue;
    }
    if ('entry' in outcome) return outcome;
    if (attempt >= TRIES) throw errors.conflict(gr(kind), request.name);
    current = outcome;
  }
}

async function tryUpdate(
  context: RegistryContext,
  kind: Kind,
  request: UpdateRequest,
  old: KubeObject,
  revision: number,
  change: (old: KubeObject) => KubeObject | Promise<KubeObject>,
): Promise<WriteResult | Current> {
  let object = await change(old);
  const isMain = request.subresource === '';
  checkIdentity(kind, object, old, request, revision);
  if (!request.raw) kind.setDefaults?.(object);
  if (!request.isTracked) await track(context, kind, object, old, request);
  const { view } = request;
  const admission = admissionOf(kind, request, {
    operation: 'UPDATE',
    subresource: request.subresource,
    name: request.name,
    object: view ? view.read(object) : object,
    old: view ? view.read(old) : old,
    objectKind: view?.kind,
  });
  if (!request.internal) {
    await context.admission.mutate(admission);
    if (view) view.write(object, admission.object as KubeObject);
    else object = admission.object as KubeObject;
  }
  if (!request.raw) prepareForUpdate(context, kind, object, old, request);
  const hook = isMain ? context.hooks.get(hookKey(kind)) : undefined;
  const held = await hook?.before?.(object, old, request.dryRun);
  let committed = false;
  try {
    object.metadata.resourceVersion = String(revision);
    validateUpdate(kind, object, old, request);
    if (!request.internal) await context.admission.validate(admission);
    if (isMain) for (const text of kind.warnings?.(object, old) ?? []) request.warn(text);
    const outcome = await write(context, kind, request, object, old, revision);
    committed = 'entry' in outcome;
    if (committed && !request.dryRun) await hook?.after?.(finalStep(object) ? undefined : object, old);
    return outcome;
  } finally {
    if (!committed) await held?.undo();
  }
}

/** Upstream books no manager for the server's own bindings. */
function track(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  old: KubeObject,
  request: UpdateRequest,
): void | Promise<void> {
  if (request.subresource === 'binding') {
    object.metadata.managedFields = old.metadata.managedFields;
    return;
  }
  return trackWrite(context.scheme, old, object, {
    target: kind,
    manager: request.manager ?? SERVER_MANAGER,
    subresource: request.subresource,
    hasStatus: kind.hasStatus,
    time: timestamp(context.clock.now()),
  });
}

async function write(
  context: RegistryContext,
  kind: Kind,
  request: UpdateRequest,
  object: KubeObject,
  old: KubeObject,
  revision: number,
): Promise<WriteResult | Current> {
  const key = objectKey(kind, request.namespace, request.name);
  const cache = context.caches.of(kind);
  const isGone = finalStep(object);
  if (!isGone && unchanged(object, old) && !(await isOutdated(context, kind, key, revision))) {
    // The cache's own entry when it has it: its bytes are ready.
    const cached = cache.get(request.namespace || undefined, request.name);
    const entry = cached?.revision === revision ? cached : unsavedEntry(kind, key, old, revision);
    return { entry, changed: false, created: false };
  }
  if (request.dryRun) return { entry: unsavedEntry(kind, key, object, revision), changed: false, created: false };
  const result = isGone
    ? await context.store.commit({ key, expected: revision, value: null })
    : await commitObject(context, kind, key, object, revision);
  if (!result.ok) {
    if (!result.current) return { object: undefined, revision: 0, isFresh: true };
    const { value: theirs, modRevision } = result.current;
    return { object: await decodeStored(kind, theirs, modRevision), revision: modRevision, isFresh: true };
  }
  const entry = 'entry' in result ? result.entry : unsavedEntry(kind, key, object, result.revision);
  return { entry, changed: true, created: false };
}

/**
 * Stored in another version, or under another encryption, than it would be written in now: an update that changes nothing
 * migrates it, as upstream.
 */
async function isOutdated(context: RegistryContext, kind: Kind, key: string, revision: number): Promise<boolean> {
  if (await context.store.isStale?.(key)) return true;
  if (!kind.conversion) return false;
  const { kv } = await context.store.get(key);
  return kv?.modRevision === revision && storedAs(kv.value) !== apiVersionOf(kind.conversion.storage());
}

/** True when this write lets go of an object that is being deleted: no finalizer, no grace left. */
function finalStep(object: KubeObject): boolean {
  const { deletionTimestamp, finalizers, deletionGracePeriodSeconds } = object.metadata;
  if (!deletionTimestamp || (finalizers?.length ?? 0) > 0 || (deletionGracePeriodSeconds ?? 0) > 0) return false;
  const spec = (object as { spec?: { finalizers?: string[] } }).spec;
  return object.kind !== 'Namespace' || (spec?.finalizers?.length ?? 0) === 0;
}

function checkIdentity(
  kind: Kind,
  object: KubeObject,
  old: KubeObject,
  request: UpdateRequest,
  revision: number,
): void {
  const meta = object.metadata;
  if (!meta.name) meta.name = request.name;
  if (meta.name !== request.name) {
    throw errors.badRequest(
      `the name of the object (${meta.name}) does not match the name on the URL (${request.name})`,
    );
  }
  placeInNamespace(kind, meta, request.namespace);
  if (meta.uid && meta.uid !== old.metadata.uid) {
    throw errors.conflict(
      gr(kind),
      request.name,
      `Precondition failed: UID in precondition: ${meta.uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  const expected = meta.resourceVersion ?? '';
  if (expected === '' || expected === '0') {
    if (!request.isPatch && kind.allowUnconditionalUpdate === false) {
      throw errors.invalid({ group: kind.group, kind: kind.kind }, request.name, [
        {
          type: 'FieldValueInvalid',
          field: 'metadata.resourceVersion',
          body: 'Invalid value: 0: must be specified for an update',
        },
      ]);
    }
    return;
  }
  if (expected !== String(revision)) {
    if (!/^\d+$/.test(expected)) {
      throw errors.badRequest(
        `resourceVersion: Invalid value: ${JSON.stringify(expected)}: strconv.ParseUint: parsing ${JSON.stringify(expected)}: invalid syntax`,
      );
    }
    throw errors.conflict(gr(kind), request.name, STALE);
  }
}

/** Gives back to the object what this write may not change. */
function prepareForUpdate(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  old: KubeObject,
  request: UpdateRequest,
): void {
  const strategy = strategyContext(request.user, context.clock.now(), request.warn);
  const meta = object.metadata;
  const was = old.metadata;
  meta.uid = was.uid;
  meta.creationTimestamp = was.creationTimestamp;
  meta.generation = was.generation;
  // Neither can be taken away; setting them is a deletion's work and refused by the rules of metadata.
  if (was.deletionTimestamp !== undefined) meta.deletionTimestamp = was.deletionTimestamp;
  meta.deletionGracePeriodSeconds ??= was.deletionGracePeriodSeconds;
  delete meta.selfLink;
  const ours = object as unknown as Record<string, unknown>;
  const theirs = old as unknown as Record<string, unknown>;
  if (request.subresource === 'status') {
    for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
      if (key !== 'status' && key !== 'metadata') ours[key] = theirs[key];
    }
    // Of most kinds the metadata may change with the status (kubelets write labels of nodes so).
    if (kind.statusKeepsMetadata) {
      for (const name of ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const) {
        if (was[name] === undefined) delete meta[name];
        else (meta as Record<string, unknown>)[name] = was[name];
      }
    }
    kind.prepareForStatusUpdate?.(object, old, strategy);
    return;
  }
  const view = kind.updates?.[request.subresource];
  if (view) view.prepare(object, old, strategy);
  else {
    if (kind.hasStatus) ours.status = theirs.status;
    kind.prepareForUpdate?.(object, old, strategy);
  }
  if (kind.hasGeneration && !deepEqual(ours.spec, theirs.spec)) meta.generation = (was.generation ?? 0) + 1;
}

function validateUpdate(kind: Kind, object: KubeObject, old: KubeObject, request: UpdateRequest): void {
  const found = validateMetadataUpdate(object.metadata, old.metadata, { namespaced: kind.namespaced });
  if (request.subresource === 'status') {
    const rules = kind.validateStatusUpdate;
    if (rules) found.push(...ratcheted(rules(object, old), () => rules(old, old)));
  } else {
    const rules = kind.updates?.[request.subresource]?.validate ?? kind.validateUpdate;
    if (!request.raw) found.push(...ratcheted(rules(object, old), () => rules(old, old)));
  }
  failIfInvalid(kind, object, found);
}

/** Times of managed fields alone are no change: the old ones stay then. */
function unchanged(object: KubeObject, old: KubeObject): boolean {
  const { apiVersion: _a, kind: _k, metadata, ...ours } = object;
  const { apiVersion: _b, kind: _l, metadata: was, ...theirs } = old;
  if (!sameManagers(metadata.managedFields, was.managedFields)) return false;
  const { managedFields: _m, ...meta } = metadata;
  const { managedFields: _n, ...wasMeta } = was;
  return deepEqual(meta, wasMeta) && deepEqual(ours, theirs);
}

/** A PUT or an apply that creates is a creation to admission too. */
function asCreate(request: UpdateRequest): WriteRequest {
  const { operationOptions } = request;
  if (!operationOptions) return request;
  return {
    ...request,
    operationOptions() {
      const { force: _f, ...options } = operationOptions();
      return { ...options, kind: 'CreateOptions', apiVersion: options.apiVersion };
    },
  };
}
