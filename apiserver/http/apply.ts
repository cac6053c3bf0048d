// PATCH with application/apply-patch+yaml: server-side apply, to an object, to its status and to its scale.
import { decodeConfiguration, decodePatched } from '../../api/codec.ts';
import { errors } from '../../api/errors.ts';
import type { Kind, ScaleMapping } from '../../api/kind.ts';
import { applyConfiguration } from '../../api/managed-fields/apply.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import { timestamp } from '../registry/encode.ts';
import type { WriteResult } from '../registry/types.ts';
import { withConversions } from '../registry/versions.ts';
import type { Exchange } from './exchange.ts';
import { attributesOf } from './pipeline.ts';
import { negotiateFor } from './render.ts';
import { namespaceOf, type ResourceContext, sendWritten, writeRequest } from './resources.ts';
import { scaleView } from './scale.ts';
import { scaleKind } from './scale-kind.ts';
import { type WriteOptions, writeOptions } from './write-options.ts';

export async function serveApply(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  subresource: string,
): Promise<void> {
  const negotiated = negotiateFor(exchange, true, kind);
  const options = writeOptions(exchange.info.query, 'PatchOptions', true);
  const config = await readConfiguration(exchange, options);
  checkName(config, kind, exchange);
  const result = await apply(context, exchange, kind, subresource, config, options);
  return sendWritten(context, exchange, kind, result, negotiated);
}

/** A Scale is applied as the configuration of the object behind it that says no more than its replicas. */
export async function applyScale(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<WriteResult> {
  const options = writeOptions(exchange.info.query, 'PatchOptions', true);
  const config = await readConfiguration(exchange, options);
  const { name } = exchange.info;
  // Checks it as what it says it is.
  const scale = applyConfiguration(
    undefined,
    config,
    { ...facts(context, options, 'scale'), target: scaleKind, hasStatus: false },
    true,
  );
  const { replicas } = (scale as { spec?: { replicas?: number } }).spec ?? {};
  const { uid, resourceVersion } = scale.metadata;
  const object = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name, ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) },
    ...(replicas !== undefined && { spec: {} }),
  } as unknown as KubeObject;
  if (replicas !== undefined) (kind.scale as ScaleMapping<KubeObject>).setSpecReplicas(object, replicas);
  return apply(context, exchange, kind, 'scale', object, options);
}

function apply(
  context: ResourceContext,
  exchange: Exchange,
  kind: Kind,
  subresource: string,
  config: unknown,
  options: WriteOptions,
): Promise<WriteResult> {
  const { name } = exchange.info;
  const merged = (old: KubeObject | undefined) =>
    withConversions(context.registry.context.scheme, kind, (convert) =>
      applyConfiguration(
        old,
        config,
        { ...facts(context, options, subresource), target: kind, hasStatus: kind.hasStatus, convert },
        options.force,
      ),
    );
  const applied = async (old: KubeObject | undefined): Promise<KubeObject> => {
    const raw = await merged(old);
    const { managedFields, ...metadata } = raw.metadata;
    const { object } = decodePatched(kind, { ...raw, metadata });
    if (managedFields) object.metadata.managedFields = managedFields;
    return object;
  };
  return context.registry.update(
    kind,
    {
      ...writeRequest(exchange, kind, options.dryRun),
      name,
      subresource,
      isPatch: true,
      isTracked: true,
      ...(subresource === 'scale' && kind.scale && { view: scaleView(kind.scale) }),
      ...(subresource === '' && kind.verbs.includes('create') && { mayCreate: 'always' as const }),
    },
    applied,
    async () => {
      await context.authorize({ ...attributesOf(exchange.user, exchange.info), verb: 'create' });
      const object = await applied(undefined);
      const { uid } = (config as KubeObject).metadata;
      if (uid) {
        const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
        throw errors.conflict(kind, name, why);
      }
      object.metadata.name ??= name;
      return object;
    },
  );
}

const facts = (context: ResourceContext, options: WriteOptions, subresource: string) => ({
  manager: options.fieldManager,
  subresource,
  time: timestamp(context.clock.now()),
});

async function readConfiguration(exchange: Exchange, options: WriteOptions): Promise<unknown> {
  const { value, problems } = decodeConfiguration(await exchange.readBody());
  if (problems.length > 0 && options.fieldValidation !== 'Ignore') {
    const text = `error converting YAML to JSON: ${problems.join(', ')}`;
    if (options.fieldValidation === 'Strict') throw errors.badRequest(`error strict decoding YAML: ${text}`);
    exchange.warnings.add(text);
  }
  if (typeof value === 'object' && value !== null) exchange.audit?.requestObject(value);
  return value;
}

/** Said before anything is compared, so that no conflict is reported for an object that was not meant. */
function checkName(config: unknown, kind: Kind, exchange: Exchange): void {
  const metadata = (config as { metadata?: { name?: unknown; namespace?: unknown } } | null)?.metadata;
  const { name } = exchange.info;
  if (typeof metadata?.name === 'string' && metadata.name !== '' && metadata.name !== name) {
    throw errors.badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  }
  const namespace = namespaceOf(kind, exchange);
  if (
    kind.namespaced &&
    typeof metadata?.namespace === 'string' &&
    metadata.namespace !== '' &&
    metadata.namespace !== namespace
  ) {
    throw errors.badRequest(
      `the namespace of the object (${metadata.namespace}) does not match the namespace on the URL (${namespace})`,
    );
  }
}
