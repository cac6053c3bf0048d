// Request bodies into objects: what the resource handlers need of api/codec and api/patch.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { FieldValidation } from './write-options.ts';

export interface Decoded {
  object: KubeObject;
  /** Texts for `Warning` headers: unknown and duplicate fields, when they are only warned about. */
  warnings: readonly string[];
}

export interface BodyCodec {
  /** `type` is the media type without parameters. Throws 400, 415. The object is the caller's own. */
  decode(kind: Kind, body: Buffer, type: string, validation: FieldValidation): Decoded;
  /** DeleteOptions of a body, in JSON, YAML or protobuf. */
  decodeOptions(schema: 'meta.DeleteOptions', body: Buffer, type: string): Partial<DeleteOptions>;
  /** Throws 415 for an unknown patch type and 400 for a malformed patch. */
  parsePatch(kind: Kind, body: Buffer, type: string): ParsedPatch;
}

export interface ParsedPatch {
  /** `old` is not touched. Throws 400 or 422 when the patch does not apply. */
  apply(old: KubeObject, validation: FieldValidation): Decoded;
}
