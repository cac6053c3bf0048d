// Request bodies into objects, with the server's answer to unknown fields (Strict refuses, Warn tells, Ignore drops), and
// the patch types.
import {
  BODY_MEDIA_TYPES,
  type BodyFormat,
  bodyFormat,
  decodeDeleteOptions,
  decodeJsonWithProblems,
  decodeObject,
  decodePatched,
  strictBodyError,
  strictPatchError,
} from '../../api/codec.ts';
import { deepClone } from '../../api/equality.ts';
import { errors } from '../../api/errors.ts';
import { applyJsonPatch } from '../../api/json-patch.ts';
import type { Kind } from '../../api/kind.ts';
import { applyMergePatch } from '../../api/merge-patch.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import { applyStrategicMergePatch } from '../../api/strategic-merge-patch.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { FieldValidation } from './write-options.ts';

export interface Decoded {
  object: KubeObject;
  /** Texts for `Warning` headers: unknown and duplicate fields, when they are only warned about. */
  warnings: readonly string[];
}

export interface ParsedPatch {
  /** `old` is not touched, the result is the caller's own. Throws 400 or 422 when the patch does not apply. */
  apply(old: KubeObject, validation: FieldValidation): Decoded;
}

export interface BodyCodec {
  /** `type` is the media type without parameters. Throws 400, 415. The object is the caller's own. */
  decode(kind: Kind, body: Buffer, type: string, validation: FieldValidation): Decoded;
  /** The body of a DELETE, not empty. */
  decodeOptions(body: Buffer, type: string): DeleteOptions;
  /** Throws 415 for an unknown patch type and 400 for a malformed patch. */
  parsePatch(kind: Kind, body: Buffer, type: string): ParsedPatch;
}

const NO_WARNINGS: readonly string[] = [];

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_MERGE_PATCH = 'application/strategic-merge-patch+json';
/** YAML, or JSON, which is YAML. */
export const APPLY_PATCH = 'application/apply-patch+yaml';

export function createBodyCodec(scheme: Scheme): BodyCodec {
  return {
    decode(kind, body, type, validation) {
      const { object, problems } = decodeObject(kind, body, formatOf(type), {
        scheme,
        duplicates: validation !== 'Ignore',
      });
      if (problems.length === 0 || validation === 'Ignore') return { object, warnings: NO_WARNINGS };
      if (validation === 'Strict') throw strictBodyError(kind, problems);
      return { object, warnings: problems };
    },

    decodeOptions: (body, type) => decodeDeleteOptions(body, formatOf(type)).object,

    parsePatch(kind, body, type) {
      const accepted =
        kind.schema === '' ? [JSON_PATCH, MERGE_PATCH] : [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH];
      if (!accepted.includes(type)) throw errors.unsupportedMediaType([...accepted, APPLY_PATCH]);
      const { value: patch, problems: doubled } = decodeJsonWithProblems(body);
      if (type !== JSON_PATCH && (typeof patch !== 'object' || patch === null || Array.isArray(patch))) {
        throw errors.badRequest(`a patch of type ${type} must be a JSON object`);
      }
      return {
        apply(old, validation) {
          const keeps = leavesManagedFields(type, patch);
          // A copy: what a patch leaves alone is checked and completed in place afterwards. Managed fields are the largest
          // part of many objects and are only replaced as a whole: they are handed on as they are.
          const { managedFields, ...metadata } = old.metadata;
          const target = deepClone(keeps ? { ...old, metadata } : old);
          const { object, problems } = decodePatched(kind, applyPatch(kind, type, target, patch));
          if (keeps && managedFields) object.metadata.managedFields = managedFields;
          const found = type === JSON_PATCH ? problems : [...doubled, ...problems];
          if (found.length === 0 || validation === 'Ignore') return { object, warnings: NO_WARNINGS };
          if (validation === 'Strict') throw strictPatchError(body.toString('utf8'), found);
          return { object, warnings: found };
        },
      };
    },
  };
}

/** True when the patch cannot touch or see metadata.managedFields. */
function leavesManagedFields(type: string, patch: unknown): boolean {
  if (type !== JSON_PATCH) {
    const { metadata } = patch as { metadata?: unknown };
    if (metadata === undefined) return true;
    return (
      typeof metadata === 'object' && metadata !== null && !('managedFields' in metadata) && !('$patch' in metadata)
    );
  }
  const sees = (path: unknown) =>
    typeof path === 'string' && (path === '' || path === '/metadata' || path.startsWith('/metadata/managedFields'));
  return Array.isArray(patch) && !patch.some((each) => sees(each?.path) || sees(each?.from));
}

function applyPatch(kind: Kind, type: string, target: KubeObject, patch: unknown): unknown {
  switch (type) {
    case JSON_PATCH:
      return applyJsonPatch(target, patch);
    case MERGE_PATCH:
      return applyMergePatch(target, patch);
    default:
      return applyStrategicMergePatch(kind.schema, target, patch);
  }
}

function formatOf(type: string): BodyFormat {
  const format = bodyFormat(type);
  if (!format) throw errors.unsupportedMediaType(BODY_MEDIA_TYPES);
  return format;
}
