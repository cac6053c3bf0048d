// One object at one revision: its bytes as clients get them, its decoded form when somebody asks, its event lines.
//
//   line  {"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":...}}}\n
//   bytes                          └──────────────────────── a view of the same memory ────────────────────────┘
//
// The resourceVersion is spliced into the stored text, so neither storing nor serving encodes an object twice.
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import type { CachedObject } from './port.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

const HEADS = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
  BOOKMARK: Buffer.from('{"type":"BOOKMARK","object":'),
};
const TAIL = Buffer.from('}\n');
const RESOURCE_VERSION = Buffer.from('"resourceVersion"');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** What stands before the digits of a spliced resourceVersion, from the brace that opens metadata. */
const BEFORE_DIGITS = '{"resourceVersion":"'.length;

/** Where the resourceVersion's digits are in the bytes; undefined when the bytes were encoded from the object. */
interface Splice {
  at: number;
  digits: number;
}

export class Entry implements CachedObject {
  readonly key: string;
  readonly revision: number;
  readonly bytes: Buffer;
  readonly splice: Splice | undefined;
  #line: Buffer;
  #lineType: keyof typeof HEADS;
  #object: KubeObject | (() => KubeObject) | undefined;
  /** Where metadata ends in the bytes; 0 until somebody asks. */
  #metadataEnd = 0;

  constructor(
    key: string,
    revision: number,
    type: keyof typeof HEADS,
    parts: readonly Buffer[],
    splice: Splice | undefined,
    object: KubeObject | (() => KubeObject) | undefined,
  ) {
    const head = HEADS[type];
    this.key = key;
    this.revision = revision;
    this.#line = Buffer.concat([head, ...parts, TAIL]);
    this.#lineType = type;
    this.bytes = this.#line.subarray(head.length, this.#line.length - TAIL.length);
    this.splice = splice;
    this.#object = object;
  }

  get object(): KubeObject {
    if (typeof this.#object === 'function') this.#object = this.#object();
    this.#object ??= JSON.parse(this.bytes.toString()) as KubeObject;
    return this.#object;
  }

  get metadataBytes(): Buffer | undefined {
    if (!this.splice) return undefined;
    const start = this.splice.at - BEFORE_DIGITS;
    if (this.#metadataEnd === 0) this.#metadataEnd = objectEnd(this.bytes, start);
    return this.bytes.subarray(start, this.#metadataEnd);
  }

  /** Spares decoding when somebody has the object already. */
  adopt(object: KubeObject): void {
    if (typeof this.#object !== 'object') this.#object = object;
  }

  line(type: ChangeType): Buffer {
    return type === this.#lineType ? this.#line : Buffer.concat([HEADS[type], this.bytes, TAIL]);
  }

  get ownLine(): Buffer {
    return this.#line;
  }
}

/** Where the JSON object that starts at `start` ends. The bytes are well-formed: an encoder wrote them. */
function objectEnd(bytes: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at++; bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === OPEN) depth++;
    else if (byte === CLOSE && --depth === 0) return at + 1;
  }
  return bytes.length;
}

/** Decodes the stored bytes of a kind; throws when they are not an object of it. */
export type Decode = (kind: Kind, key: string, value: Uint8Array) => KubeObject;

export const decodeJson: Decode = (_kind, key, value) => {
  if (value[0] === 0x6b && value[1] === 0x38 && value[2] === 0x73) {
    throw new TypeError(
      `${key}: stored as protobuf, which this server does not read; store JSON (--storage-media-type)`,
    );
  }
  const object: unknown = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString());
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new TypeError(`${key}: not an object`);
  if (typeof (object as KubeObject).metadata !== 'object') throw new TypeError(`${key}: has no metadata`);
  return object as KubeObject;
};

export class Codec {
  #kind: Kind;
  #apiVersion: string;
  #starts: Buffer[];
  #decode: Decode;

  constructor(kind: Kind, decode: Decode) {
    this.#kind = kind;
    this.#apiVersion = apiVersionOf(kind);
    const apiVersion = `"apiVersion":${JSON.stringify(this.#apiVersion)}`;
    const name = `"kind":${JSON.stringify(kind.kind)}`;
    this.#starts =
      decode === decodeJson
        ? [Buffer.from(`{${name},${apiVersion},"metadata":{`), Buffer.from(`{${apiVersion},${name},"metadata":{`)]
        : [];
    this.#decode = decode;
  }

  /** `object`, when known, is `value` decoded. */
  encode(key: string, revision: number, type: ChangeType, value: Uint8Array, object?: KubeObject): Entry {
    const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const start = this.#spliceable(text);
    if (object) this.#stamp(object, revision);
    if (start === 0) {
      const decoded = object ?? this.#stamp(this.#decode(this.#kind, key, value), revision);
      return new Entry(key, revision, type, [Buffer.from(JSON.stringify(decoded))], undefined, decoded);
    }
    const digits = String(revision);
    const splice = { at: start + RESOURCE_VERSION.length + 2, digits: digits.length };
    const parts = [text.subarray(0, start), Buffer.from(`"resourceVersion":"${digits}",`), text.subarray(start)];
    return new Entry(key, revision, type, parts, splice, object);
  }

  /** For an object that is not what was stored (converted, completed): encoded as it is. */
  encodeObject(key: string, revision: number, type: ChangeType, object: KubeObject): Entry {
    this.#stamp(object, revision);
    return new Entry(key, revision, type, [Buffer.from(JSON.stringify(object))], undefined, object);
  }

  /** Decoded, and no more: for conversions. */
  parse(key: string, value: Uint8Array): KubeObject {
    return this.#decode(this.#kind, key, value);
  }

  /** The same object with another resourceVersion: a deletion carries the last state at the deletion's revision. */
  at(entry: CachedObject, revision: number, type: ChangeType): Entry {
    const object = () => ({
      ...entry.object,
      metadata: { ...entry.object.metadata, resourceVersion: String(revision) },
    });
    const splice = entry instanceof Entry ? entry.splice : undefined;
    if (!splice) {
      const decoded = object();
      return new Entry(entry.key, revision, type, [Buffer.from(JSON.stringify(decoded))], undefined, decoded);
    }
    const { bytes } = entry;
    const digits = String(revision);
    const parts = [bytes.subarray(0, splice.at), Buffer.from(digits), bytes.subarray(splice.at + splice.digits)];
    return new Entry(entry.key, revision, type, parts, { at: splice.at, digits: digits.length }, object);
  }

  /** An object with only its revision; `initialEnd` marks the end of the initial events. */
  bookmark(revision: number, initialEnd: boolean): Entry {
    const metadata = {
      resourceVersion: String(revision),
      ...(initialEnd && { annotations: { 'k8s.io/initial-events-end': 'true' } }),
    };
    const object = { kind: this.#kind.kind, apiVersion: this.#apiVersion, metadata };
    return new Entry('', revision, 'BOOKMARK', [Buffer.from(JSON.stringify(object))], undefined, object);
  }

  #stamp(object: KubeObject, revision: number): KubeObject {
    object.apiVersion = this.#apiVersion;
    object.kind = this.#kind.kind;
    object.metadata.resourceVersion = String(revision);
    return object;
  }

  /** Where the resourceVersion can be inserted, just inside metadata; 0 when the text must be encoded anew. */
  #spliceable(text: Buffer): number {
    for (const start of this.#starts) {
      if (text.length <= start.length || text[start.length] !== QUOTE) continue;
      if (start.compare(text, 0, start.length) !== 0) continue;
      // An Event names the resourceVersion of another object; telling the two apart needs a parser.
      return text.includes(RESOURCE_VERSION) ? 0 : start.length;
    }
    return 0;
  }
}
