// What a mutation makes of an object: a configuration laid over it as server-side apply would, or a JSON patch.
import { misplacedType } from '../../../api/cel/admission.ts';
import { type CelValue, toJson } from '../../../api/cel/values.ts';
import { ApiError } from '../../../api/errors.ts';
import { deepClone } from '../../../api/equality.ts';
import { applyJsonPatch } from '../../../api/json-patch.ts';
import type { Kind } from '../../../api/kind.ts';
import { atomicParts, mergeApplied, validateApplied } from '../../../api/managed-fields/merge.ts';
import { objectShape } from '../../../api/managed-fields/shape.ts';
import type { GroupVersionKind, KubeObject } from '../../../api/object.ts';
import type { AdmissionRequest } from '../chain.ts';
import { asWritten, decodeTarget, readBack } from '../webhooks/patched.ts';

/** What a policy asks for and cannot have; told by its failure policy. */
export class MutationError extends Error {}

/** Undefined when nothing changes. Throws MutationError. Pure: `object` is not touched. */
export function mutated(
  object: KubeObject,
  patchType: string | undefined,
  value: CelValue,
  target: Kind | GroupVersionKind,
  request: Pick<AdmissionRequest, 'warn'>,
): KubeObject | undefined {
  const before = asWritten(object, target);
  const after = patchType === 'JSONPatch' ? jsonPatched(before, value) : applied(before, value, target);
  if (!after) return undefined;
  try {
    return readBack(before, after, target, request);
  } catch (error) {
    if (error instanceof ApiError) throw new MutationError(error.message);
    throw error;
  }
}

function json(value: CelValue): unknown {
  try {
    return deepClone(toJson(value));
  } catch (error) {
    if (error instanceof TypeError) throw new MutationError(error.message);
    throw error;
  }
}

function applied(before: KubeObject, value: CelValue, target: Kind | GroupVersionKind): KubeObject {
  const misplaced = misplacedType(value);
  if (misplaced) throw new MutationError(`type mismatch: ${misplaced}`);
  const { apiVersion, kind } = before;
  const config = { ...(json(value) as object), apiVersion, kind };
  const shape = objectShape(decodeTarget(target) ?? { schema: '' });
  const wrong = validateApplied(shape, config);
  const fail = (why: string) => new MutationError(`error applying patch: ${why}`);
  if (wrong.length > 0) {
    const text = wrong.length === 1 ? wrong[0] : `errors:\n${wrong.map((each) => `  ${each}`).join('\n')}`;
    throw fail(`failed to convert patch object to typed object: ${text}`);
  }
  const atomic = atomicParts(shape, config);
  if (atomic.length > 0) {
    throw fail(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomic.join(', ')}`);
  }
  return mergeApplied(shape, before, config) as KubeObject;
}

/** Undefined when a `test` failed: the patch is then not applied. */
function jsonPatched(before: KubeObject, value: CelValue): KubeObject | undefined {
  const operations = json(value) as unknown[];
  if (operations.length === 0) return undefined;
  try {
    return applyJsonPatch(deepClone(before), operations) as KubeObject;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const why = error.cause instanceof Error ? error.cause.message : error.message;
    if (why.endsWith(': test failed')) return undefined;
    throw new MutationError(`JSON Patch: ${why}`);
  }
}
