// What a webhook's patch makes of an object: read again as what it is, with unknown fields dropped, and defaulted again.
import { type DecodeTarget, decodePatched } from '../../../api/codec.ts';
import { deepClone, deepEqual } from '../../../api/equality.ts';
import { applyJsonPatch } from '../../../api/json-patch.ts';
import type { Kind } from '../../../api/kind.ts';
import { decodeManagers } from '../../../api/managed-fields/managers.ts';
import { apiVersionOf, type GroupVersionKind, type KubeObject } from '../../../api/object.ts';
import { findDefinition } from '../../../api/schema.ts';
import type { AdmissionRequest } from '../chain.ts';

/** Undefined when the patch changes nothing. Throws Error or ApiError when it cannot be applied. `object` is not touched. */
export function patched(
  object: KubeObject,
  patch: readonly unknown[],
  target: Kind | GroupVersionKind,
  request: Pick<AdmissionRequest, 'warn'>,
): KubeObject | undefined {
  const before = asWritten(object, target);
  const after = applyJsonPatch(deepClone(before), patch) as KubeObject;
  return readBack(before, after, target, request);
}

/** The object with the kind and version that it is seen as. */
export function asWritten(object: KubeObject, target: Kind | GroupVersionKind): KubeObject {
  const { kind: _k, apiVersion: _a, ...rest } = object;
  return { kind: target.kind, apiVersion: apiVersionOf(target), ...rest };
}

/** What `before` became, as the server reads such an object; undefined when nothing changed. */
export function readBack(
  before: KubeObject,
  after: KubeObject,
  target: Kind | GroupVersionKind,
  request: Pick<AdmissionRequest, 'warn'>,
): KubeObject | undefined {
  if (deepEqual(before, after)) return undefined;
  const as = decodeTarget(target);
  // Options of connections have no metadata and no form that must be kept.
  const result = as && 'metadata' in before ? decodePatched(as, after).object : after;
  if ('setDefaults' in target) target.setDefaults?.(result);
  if (result.metadata) keepManagedFields(result, before, request);
  return result;
}

export function decodeTarget(target: Kind | GroupVersionKind): DecodeTarget | undefined {
  if ('schema' in target) return target;
  const schema = `${target.group === '' ? 'core' : target.group.split('.')[0]}.${target.version}.${target.kind}`;
  return findDefinition(schema) ? { ...target, schema } : undefined;
}

/** Managed fields that nobody could read any more are put back as they were. */
function keepManagedFields(result: KubeObject, before: KubeObject, request: Pick<AdmissionRequest, 'warn'>): void {
  const was = before.metadata.managedFields;
  if (result.metadata.managedFields === was) return;
  try {
    decodeManagers(result.metadata.managedFields);
  } catch (error) {
    if (was) result.metadata.managedFields = was;
    else delete result.metadata.managedFields;
    request.warn(
      `.metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
