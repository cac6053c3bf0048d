// create: fills what the server owns, admits, validates, writes the key if it does not exist.
import { randomUUID } from 'node:crypto';
import { deepClone } from '../../api/equality.ts';
import { ApiError, errors } from '../../api/errors.ts';
import type { FieldError } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import { validateMetadata } from '../../api/metadata.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import type { ObjectMeta } from '../../api/types/meta.ts';
import { objectKey } from '../storage/keys.ts';
import { commitObject } from './commit.ts';
import { timestamp } from './encode.ts';
import { trackWrite } from './versions.ts';
import {
  admissionOf,
  gr,
  hookKey,
  type RegistryContext,
  SERVER_MANAGER,
  strategyContext,
  type WriteRequest,
  type WriteResult,
} from './types.ts';

/** Without vowels and look-alikes, as upstream's generated names. */
const NAME_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';
const GENERATED_LENGTH = 5;
/** Leaves room for the suffix in a DNS label. */
const GENERATE_NAME_MAX = 63 - GENERATED_LENGTH;
const GENERATE_TRIES = 8;

/** Takes over `object`. Throws ApiError; nothing is written then. */
export async function createObject(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  request: WriteRequest,
): Promise<WriteResult> {
  const meta = object.metadata;
  if (kind.isTerminating) {
    throw errors.notWhileTerminating(gr(kind), 'create not allowed while custom resource definition is terminating');
  }
  if (meta.resourceVersion) throw errors.badRequest('resourceVersion should not be set on objects to be created');
  placeInNamespace(kind, meta, request.namespace);
  const admitted = await admit(context, kind, object, request);
  const { name, generateName: base } = admitted.metadata;
  const generate = !name && base ? base : undefined;
  for (let attempt = 1; ; attempt++) {
    const candidate = generate ? deepClone(admitted) : admitted;
    if (generate) candidate.metadata.name = generateName(generate, context.random);
    try {
      return await createOnce(context, kind, candidate, request);
    } catch (error) {
      if (!generate || !(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      if (attempt >= GENERATE_TRIES) throw errors.generateNameConflict(gr(kind), candidate.metadata.name as string);
    }
  }
}

/** The object as it is to be created, before it has a name where one is generated: completed once, however often that is tried. */
async function admit(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  request: WriteRequest,
): Promise<KubeObject> {
  kind.setDefaults?.(object);
  // Before admission, as upstream does: what the server adds is nobody's.
  if (!request.isTracked) {
    await trackWrite(context.scheme, undefined, object, {
      target: kind,
      manager: request.manager ?? SERVER_MANAGER,
      subresource: '',
      hasStatus: kind.hasStatus,
      time: timestamp(context.clock.now()),
    });
  }
  wipeSystemFields(object.metadata);
  const admission = admissionOfCreate(kind, object, request);
  await context.admission.mutate(admission);
  const mutated = admission.object ?? object;
  if (mutated !== object) placeInNamespace(kind, mutated.metadata, request.namespace);
  return mutated;
}

const admissionOfCreate = (kind: Kind, object: KubeObject, request: WriteRequest) =>
  admissionOf(kind, request, {
    operation: 'CREATE',
    subresource: '',
    name: object.metadata.name ?? '',
    object,
    old: undefined,
  });

async function createOnce(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  request: WriteRequest,
): Promise<WriteResult> {
  prepareForCreate(context, kind, object, request);
  const hook = context.hooks.get(hookKey(kind));
  const held = await hook?.before?.(object, undefined, request.dryRun);
  try {
    failIfInvalid(kind, object, [
      ...validateMetadata(object.metadata, { namespaced: kind.namespaced, validateName: kind.validateName }),
      ...kind.validate(object),
    ]);
    await context.admission.validate(admissionOfCreate(kind, object, request));
    for (const text of kind.warnings?.(object) ?? []) request.warn(text);
    const result = await store(context, kind, object, request);
    if (!request.dryRun) await hook?.after?.(object, undefined);
    return result;
  } catch (error) {
    await held?.undo();
    throw error;
  }
}

async function store(
  context: RegistryContext,
  kind: Kind,
  object: KubeObject,
  request: WriteRequest,
): Promise<WriteResult> {
  const name = object.metadata.name as string;
  const key = objectKey(kind, request.namespace, name);
  if (request.dryRun) {
    const { kv } = await context.store.get(key);
    if (kv) throw errors.alreadyExists(gr(kind), name);
    return { entry: unsavedEntry(kind, key, object, 0), changed: false, created: true };
  }
  const result = await commitObject(context, kind, key, object, 0);
  if (!result.ok) throw errors.alreadyExists(gr(kind), name);
  return { entry: result.entry, changed: true, created: true };
}

/** What a dry run answers: the object as it would be, at the revision it would start from. */
export function unsavedEntry(kind: Kind, key: string, object: KubeObject, revision: number) {
  const { apiVersion: _a, kind: _k, ...rest } = object;
  const answer = { kind: kind.kind, apiVersion: apiVersionOf(kind), ...rest } as KubeObject;
  return { key, object: answer, bytes: Buffer.from(JSON.stringify(answer)), revision };
}

/** The object's namespace is the request's: absent is filled in, another one is refused. */
export function placeInNamespace(kind: Kind, meta: ObjectMeta, namespace: string): void {
  if (!kind.namespaced) {
    delete meta.namespace;
    return;
  }
  if (!meta.namespace) meta.namespace = namespace;
  if (meta.namespace !== namespace) {
    throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

function prepareForCreate(context: RegistryContext, kind: Kind, object: KubeObject, request: WriteRequest): void {
  const nowMs = context.clock.now();
  const meta = object.metadata;
  wipeSystemFields(meta);
  delete meta.generation;
  meta.uid = randomUUID();
  meta.creationTimestamp = timestamp(nowMs);
  if (kind.hasGeneration) meta.generation = 1;
  if (kind.hasStatus && !kind.statusOnCreate) (object as { status?: unknown }).status = undefined;
  kind.prepareForCreate?.(object, strategyContext(request.user, nowMs, request.warn));
}

function wipeSystemFields(meta: ObjectMeta): void {
  delete meta.uid;
  delete meta.creationTimestamp;
  delete meta.deletionTimestamp;
  delete meta.deletionGracePeriodSeconds;
  delete meta.selfLink;
}

export function failIfInvalid(kind: Kind, object: KubeObject, found: readonly FieldError[]): void {
  if (found.length > 0) throw errors.invalid({ group: kind.group, kind: kind.kind }, object.metadata.name ?? '', found);
}

export function generateName(base: string, random: () => number): string {
  let suffix = '';
  for (let i = 0; i < GENERATED_LENGTH; i++) suffix += NAME_CHARACTERS[Math.floor(random() * NAME_CHARACTERS.length)];
  return base.slice(0, GENERATE_NAME_MAX) + suffix;
}
