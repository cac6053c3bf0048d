// The scale subresource: an autoscaling/v1 Scale that stands for a few fields of the object behind it.
import { deepClone } from '../../api/equality.ts';
import { errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import type { Kind, ScaleMapping } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scale } from '../../api/types/autoscaling-v1.ts';
import type { ManagedFieldsEntry } from '../../api/types/meta.ts';
import { applyScale } from './apply.ts';
import { APPLY_PATCH } from './codec.ts';
import type { Exchange } from './exchange.ts';
import { contentType } from './negotiate.ts';
import { negotiateFor, sendEntry } from './render.ts';
import { namespaceOf, type ResourceContext, writeRequest } from './resources.ts';
import type { AdmissionView } from '../registry/update.ts';
import { scaleKind } from './scale-kind.ts';
import { writeOptions } from './write-options.ts';

export async function serveScale(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  const mapping = kind.scale as ScaleMapping<KubeObject>;
  const negotiated = negotiateFor(exchange, true, scaleKind);
  const send = (object: KubeObject) => {
    const scale = scaleOf(object, mapping);
    const entry = { key: '', object: scale, bytes: Buffer.from(JSON.stringify(scale)), revision: 0 };
    return sendEntry(exchange, 200, scaleKind, entry, negotiated, context.clock.now());
  };
  if (info.verb === 'get') {
    const entry = await context.registry.get(kind, namespaceOf(kind, exchange), info.name);
    const missing = mapping.missingReplicas?.(entry.object);
    if (missing) throw errors.internal(missing);
    return send(entry.object);
  }
  if (info.verb !== 'update' && info.verb !== 'patch') throw errors.methodNotAllowedPath();
  if (info.verb === 'patch' && contentType(exchange.header('content-type')) === APPLY_PATCH) {
    return send((await applyScale(context, exchange, kind)).entry.object);
  }
  const options = writeOptions(info.query, info.verb === 'patch' ? 'PatchOptions' : 'UpdateOptions');
  const body = await exchange.readBody();
  const type = contentType(exchange.header('content-type'));
  const wanted = scaleChange(context, exchange, body, type, options.fieldValidation);
  const result = await context.registry.update(
    kind,
    {
      ...writeRequest(exchange, kind, options.dryRun),
      name: info.name,
      subresource: 'scale',
      isPatch: info.verb === 'patch',
      view: scaleView(mapping),
    },
    (old) => {
      const scale = wanted(scaleOf(old, mapping));
      checkScale(scale, info.name);
      const { managedFields, ...metadata } = old.metadata;
      const object: KubeObject = deepClone({ ...old, metadata });
      if (managedFields) object.metadata.managedFields = managedFields;
      mapping.setSpecReplicas(object, scale.spec?.replicas ?? 0);
      // Identity and resourceVersion are the request's, so that preconditions hold.
      object.metadata.uid = scale.metadata.uid ?? old.metadata.uid;
      object.metadata.resourceVersion = scale.metadata.resourceVersion ?? '';
      if (scale.metadata.name) object.metadata.name = scale.metadata.name;
      if (scale.metadata.namespace) object.metadata.namespace = scale.metadata.namespace;
      return object;
    },
  );
  return send(result.entry.object);
}

/** Admission sees the Scale, and may change its replicas. */
export const scaleView = (mapping: ScaleMapping<KubeObject>): AdmissionView => ({
  kind: { group: scaleKind.group, version: scaleKind.version, kind: scaleKind.kind },
  read: (object) => scaleOf(object, mapping),
  write(object, view) {
    const { spec } = view as Scale & KubeObject;
    mapping.setSpecReplicas(object, spec?.replicas ?? 0);
  },
});

/** The Scale that the request asks for, given the present one. */
function scaleChange(
  context: ResourceContext,
  exchange: Exchange,
  body: Buffer,
  type: string,
  validation: 'Strict' | 'Warn' | 'Ignore',
): (present: Scale & KubeObject) => Scale & KubeObject {
  const note = (decoded: { object: KubeObject; warnings: readonly string[] }) => {
    for (const text of decoded.warnings) exchange.warnings.add(text);
    return decoded.object as Scale & KubeObject;
  };
  if (exchange.info.verb === 'patch') {
    const patch = context.codec.parsePatch(scaleKind, body, type);
    return (present) => note(patch.apply(present, validation));
  }
  const decoded = note(context.codec.decode(scaleKind, body, type, validation));
  return () => decoded;
}

function checkScale(scale: Scale, name: string): void {
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas >= 0) return;
  throw errors.invalid({ group: 'autoscaling', kind: 'Scale' }, name, [
    fieldErrors.invalid('spec.replicas', replicas, 'must be greater than or equal to 0'),
  ]);
}

function scaleOf(object: KubeObject, mapping: ScaleMapping<KubeObject>): Scale & KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = mapping.selector(object);
  const specReplicas = mapping.specReplicas(object);
  const managedFields = scaleManagers(object, mapping.specReplicasPath ?? ['spec', 'replicas']);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      creationTimestamp,
      ...(managedFields.length > 0 && { managedFields }),
    },
    // As in Go, a zero is left out.
    spec: specReplicas === 0 ? {} : { replicas: specReplicas },
    status: { replicas: mapping.statusReplicas(object), ...(selector && selector !== '<none>' && { selector }) },
  };
}

/** The managers of the object's replicas, as owners of the Scale's. */
function scaleManagers(object: KubeObject, path: readonly string[]): ManagedFieldsEntry[] {
  const found: ManagedFieldsEntry[] = [];
  for (const each of object.metadata.managedFields ?? []) {
    let owned: unknown = each.fieldsV1;
    for (const name of path) {
      owned = typeof owned === 'object' && owned !== null ? (owned as Record<string, unknown>)[`f:${name}`] : undefined;
    }
    if (owned === undefined) continue;
    found.push({ ...each, apiVersion: 'autoscaling/v1', fieldsV1: { 'f:spec': { 'f:replicas': {} } } });
  }
  return found;
}
