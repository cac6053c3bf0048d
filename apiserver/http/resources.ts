// Resource requests: from the request info to a verb of the registry and back to an answer.
import { errors } from '../../api/errors.ts';
import type { Kind, Verb } from '../../api/kind.ts';
import { managerOfUserAgent } from '../../api/managed-fields/update.ts';
import type { KubeObject } from '../../api/object.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { Clock } from '../../lib/clock.ts';
import type { AdmissionChain } from '../admission/chain.ts';
import { listParameters } from '../registry/list.ts';
import type { Attributes } from '../auth/identity.ts';
import type { Registry } from '../registry/registry.ts';
import type { DeleteRequest, WriteRequest, WriteResult } from '../registry/types.ts';
import { serveApply } from './apply.ts';
import { APPLY_PATCH, type BodyCodec } from './codec.ts';
import type { Exchange } from './exchange.ts';
import type { ServerMetrics } from './metrics.ts';
import { contentType, negotiateStream } from './negotiate.ts';
import { attributesOf } from './pipeline.ts';
import { negotiateFor, protobufForms, sendEntry, sendList } from './render.ts';
import { isTrue } from './request-info.ts';
import { serveScale } from './scale.ts';
import { streamWatch } from './watch-response.ts';
import { isWebSocketUpgrade, streamWatchToWebSocket } from './watch-websocket.ts';
import { deleteOptions, type FieldValidation, operationOptions, writeOptions } from './write-options.ts';

export interface ResourceContext {
  registry: Registry;
  codec: BodyCodec;
  admission: AdmissionChain;
  /** Throws 403; for what a verb implies besides itself, such as the creation by a PUT. */
  authorize(attributes: Attributes): Promise<void> | undefined;
  clock: Clock;
  metrics: Pick<ServerMetrics, 'watchEvents' | 'watchListed'>;
  /** `pods/binding`, `serviceaccounts/token`, ... : subresources with a handler of their own. */
  subresources: ReadonlyMap<string, SubresourceHandler>;
  /** Kinds that are answered, not stored (access reviews, component statuses), by `resource.group`. */
  reviews: ReadonlyMap<string, SubresourceHandler>;
}

export type SubresourceHandler = (context: ResourceContext, exchange: Exchange, kind: Kind) => Promise<void>;

const keyOf = (kind: Kind) => (kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`);

/** Kinds whose deletion is answered with the object, not with a Status (upstream's ReturnDeletedObject). */
const RETURNS_DELETED = new Set([
  'pods',
  'services',
  'serviceaccounts',
  'persistentvolumes',
  'persistentvolumeclaims',
  'podtemplates',
  'resourcequotas',
  'storageclasses.storage.k8s.io',
  'csidrivers.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
]);

export async function serveResource(context: ResourceContext, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  const kind = context.registry.context.scheme.byResource(info.group, info.version, info.resource);
  if (!kind) throw errors.unknownPath();
  if (kind.deprecation) exchange.warnings.add(kind.deprecation);
  if (info.parts.length > 3 && info.subresource !== 'proxy') throw errors.unknownPath();
  if (!kind.namespaced && info.namespace !== '' && kind.resource !== 'namespaces') throw errors.unknownPath();
  if (info.subresource !== '') return serveSubresource(context, exchange, kind);
  const review = context.reviews.get(keyOf(kind));
  if (review) {
    if (!kind.verbs.includes(info.verb as Verb)) throw errors.methodNotAllowedPath();
    return review(context, exchange, kind);
  }
  // One object of a namespaced kind has a namespace in its path.
  const needsNamespace = kind.namespaced && info.namespace === '' && info.verb !== 'list' && info.verb !== 'watch';
  if (needsNamespace && info.parts.length > 1) throw errors.unknownPath();
  if (needsNamespace || !kind.verbs.includes(info.verb as Verb)) throw errors.methodNotAllowedPath();
  const isCollection = info.parts.length < 2;
  switch (info.verb) {
    case 'get':
      return serveGet(context, exchange, kind);
    case 'list':
      return serveList(context, exchange, kind);
    case 'watch':
      return serveWatch(context, exchange, kind);
    case 'create':
      if (!isCollection) throw errors.methodNotAllowedPath();
      return serveCreate(context, exchange, kind);
    case 'update':
      if (isCollection) throw errors.methodNotAllowedPath();
      return serveUpdate(context, exchange, kind, '');
    case 'patch':
      if (isCollection) throw errors.methodNotAllowedPath();
      return servePatch(context, exchange, kind, '');
    case 'delete':
      return serveDelete(context, exchange, kind);
    case 'deletecollection':
      return serveDeleteCollection(context, exchange, kind);
    default:
      throw errors.methodNotAllowedPath();
  }
}

async function serveSubresource(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (kind.namespaced && info.namespace === '') throw errors.unknownPath();
  const special = context.subresources.get(`${keyOf(kind)}/${info.subresource}`);
  if (special) return special(context, exchange, kind);
  if (info.subresource === 'scale' && kind.scale) return serveScale(context, exchange, kind);
  const isStatus = info.subresource === 'status' && kind.hasStatus;
  if (!isStatus && !Object.hasOwn(kind.updates ?? {}, info.subresource)) throw errors.unknownPath();
  switch (info.verb) {
    case 'get':
      return serveGet(context, exchange, kind);
    case 'update':
      return serveUpdate(context, exchange, kind, info.subresource);
    case 'patch':
      return servePatch(context, exchange, kind, info.subresource);
    default:
      throw errors.methodNotAllowedPath();
  }
}

async function serveGet(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  const negotiated = negotiateFor(exchange, true, kind);
  const entry = await context.registry.get(kind, namespaceOf(kind, exchange), info.name, {
    resourceVersion: info.query.get('resourceVersion'),
  });
  return sendEntry(exchange, 200, kind, entry, negotiated, context.clock.now());
}

async function serveList(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const negotiated = negotiateFor(exchange, true, kind);
  const parameters = listParameters(exchange.info.query);
  const list = await context.registry.list(kind, namespaceOf(kind, exchange), parameters);
  return sendList(exchange, kind, list, negotiated, context.clock.now());
}

async function serveWatch(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  const isWebSocket = isWebSocketUpgrade(exchange);
  const negotiated = negotiateStream(exchange.header('accept'), isWebSocket ? 'none' : protobufForms(kind));
  const query = new URLSearchParams(info.query);
  // The old form /api/v1/watch/pods/NAME.
  if (info.parts.length > 1) query.set('fieldSelector', `metadata.name=${info.name}`);
  const watch = await context.registry.watch(kind, namespaceOf(kind, exchange), query, exchange.signal);
  const stream = isWebSocket ? streamWatchToWebSocket : streamWatch;
  return stream(exchange, kind, watch.batches, negotiated, {
    timeoutMs: watch.timeoutMs,
    clock: context.clock,
    sent: context.metrics.watchEvents(kind),
    ...(isTrue(query.get('sendInitialEvents')) && {
      onListed: () => context.metrics.watchListed(exchange, (context.clock.now() - exchange.startedMs) / 1000),
    }),
  });
}

async function serveCreate(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const negotiated = negotiateFor(exchange, true, kind);
  const options = writeOptions(exchange.info.query, 'CreateOptions');
  const object = await readObject(context, exchange, kind, options.fieldValidation);
  const request = writeRequest(exchange, kind, options.dryRun);
  const result = await context.registry.create(kind, object, request);
  return sendEntry(exchange, 201, kind, result.entry, negotiated, context.clock.now());
}

export async function serveUpdate(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  subresource: string,
  extra: { raw?: boolean; change?: (object: KubeObject, old: KubeObject) => KubeObject } = {},
): Promise<void> {
  const negotiated = negotiateFor(exchange, true, kind);
  const options = writeOptions(exchange.info.query, 'UpdateOptions');
  const body = await exchange.readBody();
  // Decoded for every attempt: an attempt takes over its object.
  const decode = () => decodeObject(context, exchange, kind, body, options.fieldValidation);
  const first = decode();
  let isFirst = true;
  const next = () => {
    const object = isFirst ? first : decode();
    isFirst = false;
    return object;
  };
  const result = await context.registry.update(
    kind,
    {
      ...writeRequest(exchange, kind, options.dryRun),
      name: exchange.info.name,
      subresource,
      mayCreate: subresource === '',
      raw: extra.raw,
    },
    (old) => (extra.change ? extra.change(next(), old) : next()),
    async () => {
      await context.authorize({ ...attributesOf(exchange.user, exchange.info), verb: 'create' });
      return next();
    },
  );
  return sendWritten(context, exchange, kind, result, negotiated);
}

export async function servePatch(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  subresource: string,
): Promise<void> {
  const type = contentType(exchange.header('content-type'));
  if (type === APPLY_PATCH) return serveApply(context, exchange, kind, subresource);
  const negotiated = negotiateFor(exchange, true, kind);
  const options = writeOptions(exchange.info.query, 'PatchOptions');
  const body = await exchange.readBody();
  const patch = context.codec.parsePatch(kind, body, type);
  const result = await context.registry.update(
    kind,
    { ...writeRequest(exchange, kind, options.dryRun), name: exchange.info.name, subresource, isPatch: true },
    (old) => {
      const { object, warnings } = patch.apply(old, options.fieldValidation);
      for (const text of warnings) exchange.warnings.add(text);
      return object;
    },
  );
  return sendWritten(context, exchange, kind, result, negotiated);
}

export function sendWritten(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  result: WriteResult,
  negotiated: ReturnType<typeof negotiateFor>,
): Promise<void> {
  return sendEntry(exchange, result.created ? 201 : 200, kind, result.entry, negotiated, context.clock.now());
}

/** Who does not say what becomes of dependents is told, where that surprises. */
function warnOfOrphans(exchange: Exchange, kind: Kind, { orphanDependents, propagationPolicy }: DeleteOptions): void {
  const warning = kind.orphansByDefault?.warning;
  if (warning && orphanDependents === undefined && propagationPolicy === undefined) exchange.warnings.add(warning);
}

async function serveDelete(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  const negotiated = negotiateFor(exchange, true, kind);
  const options = await readDeleteOptions(context, exchange);
  warnOfOrphans(exchange, kind, options);
  const request = deleteRequest(exchange, kind, options);
  const result = await context.registry.delete(kind, info.name, request);
  if (result.kind === 'deleted' && !RETURNS_DELETED.has(keyOf(kind))) {
    return exchange.sendJson(
      200,
      JSON.stringify(deletedStatus(kind, info.name, result.entry.object)),
      negotiated.mediaType,
    );
  }
  // Something is still to be done before it goes: only who asked for its dependents, too, is told so.
  const code = result.kind !== 'deleted' && options.orphanDependents === false ? 202 : 200;
  return sendEntry(exchange, code, kind, result.entry, negotiated, context.clock.now());
}

function deletedStatus(kind: Kind, name: string, object: KubeObject): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...(kind.group && { group: kind.group }), kind: kind.resource, uid: object.metadata.uid },
  };
}

async function serveDeleteCollection(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const negotiated = negotiateFor(exchange, true, kind);
  const options = await readDeleteOptions(context, exchange);
  warnOfOrphans(exchange, kind, options);
  const request = deleteRequest(exchange, kind, options);
  const list = await context.registry.deleteCollection(kind, request, listParameters(exchange.info.query));
  return sendList(exchange, kind, list, negotiated, context.clock.now());
}

export async function readDeleteOptions(context: ResourceContext, exchange: Exchange): Promise<DeleteOptions> {
  const body = await exchange.readBody();
  const type = contentType(exchange.header('content-type'));
  const decoded = body.length > 0 ? context.codec.decodeOptions(body, type) : undefined;
  if (decoded) exchange.audit?.requestObject(decoded);
  return deleteOptions(decoded, exchange.info.query);
}

export async function readObject(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  validation: FieldValidation,
): Promise<KubeObject> {
  const body = await exchange.readBody();
  return decodeObject(context, exchange, kind, body, validation);
}

function decodeObject(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  body: Buffer,
  validation: FieldValidation,
): KubeObject {
  const type = contentType(exchange.header('content-type'));
  const { object, warnings } = context.codec.decode(kind, body, type, validation);
  for (const text of warnings) exchange.warnings.add(text);
  exchange.audit?.requestObject(object);
  return object;
}

export function writeRequest(exchange: Exchange, kind: Kind, dryRun: boolean): WriteRequest {
  return {
    user: exchange.user,
    namespace: namespaceOf(kind, exchange),
    dryRun,
    warn: (text) => exchange.warnings.add(text),
    annotate: (key, value, level) => exchange.annotate(key, value, level),
    operationOptions: () => operationOptions(exchange.method, exchange.info.query),
    manager: exchange.info.query.get('fieldManager') || managerOfUserAgent(exchange.header('user-agent')),
  };
}

function deleteRequest(exchange: Exchange, kind: Kind, options: DeleteOptions): DeleteRequest {
  return {
    ...writeRequest(exchange, kind, (options.dryRun?.length ?? 0) > 0),
    options,
    operationOptions: () => ({ ...options, ...DELETE_OPTIONS }),
  };
}

const DELETE_OPTIONS = { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' };

/** A Namespace's own name is in the path where others have their namespace; the object has none. */
export function namespaceOf(kind: Kind, exchange: Exchange): string {
  return kind.namespaced ? exchange.info.namespace : '';
}
