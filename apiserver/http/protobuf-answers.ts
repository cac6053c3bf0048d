// Answers as application/vnd.kubernetes.protobuf. The message of an object is made once per revision, when the first client asks
// for it, and kept with the cache's entry; lists and watch events are put together from messages.
//
//   object  k8s\0 Unknown { TypeMeta, raw: message }
//   list    k8s\0 Unknown { TypeMeta, raw: { 1: ListMeta, 2: message, 2: message, ... } }
//   watch   length (4 bytes) WatchEvent { 1: type, 2: { 1: object, with its envelope } }, again and again
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf } from '../../api/object.ts';
import { encodeMessage, encodeObject, writeEnvelope } from '../../api/protobuf.ts';
import { BYTES, WireWriter } from '../../api/protobuf-wire.ts';
import type { CachedObject, CacheEvent } from '../cache/port.ts';
import type { Part } from './parts.ts';
import type { Shape } from './negotiate.ts';

type Json = Record<string, unknown>;

/** Kinds that are answered outside of the registry. */
const PLAIN: Readonly<Record<string, string>> = {
  'v1/Status': 'meta.Status',
  'v1/APIGroup': 'meta.APIGroup',
  'v1/APIGroupList': 'meta.APIGroupList',
  'v1/APIResourceList': 'meta.APIResourceList',
  'v1/APIVersions': 'meta.APIVersions',
  'authentication.k8s.io/v1/TokenRequest': 'authentication.v1.TokenRequest',
};

/** A Status, a document of discovery: what needs no kind of the scheme. Undefined for anything else. */
export function plainProtobuf(object: Json): Buffer | undefined {
  // Upstream's groups and versions leave their own out in JSON.
  const { kind = '', apiVersion = 'v1' } = object as { kind?: string; apiVersion?: string };
  const schema = PLAIN[`${apiVersion}/${kind}`];
  return schema === undefined ? undefined : encodeObject(schema, { ...object, kind, apiVersion });
}

const messages = new WeakMap<CachedObject, Buffer>();
const frames = new WeakMap<CacheEvent, Buffer>();

/** Full objects of built-in kinds; of others only what is metadata. */
function messageOf(kind: Kind, item: CachedObject, shape: Shape): Buffer {
  if (shape.kind === 'partial') {
    const metadata = encodeMessage('meta.ObjectMeta', item.object.metadata as unknown as Json);
    return new WireWriter().tag(1, BYTES).bytes(metadata).finish();
  }
  let message = messages.get(item);
  if (!message) messages.set(item, (message = encodeMessage(kind.schema, item.object as unknown as Json)));
  return message;
}

export function objectProtobuf(kind: Kind, item: CachedObject, shape: Shape): Buffer {
  const message = messageOf(kind, item, shape);
  if (shape.kind === 'partial') return writeEnvelope(`meta.k8s.io/${shape.version}`, 'PartialObjectMetadata', message);
  // What is shown of another kind than the resource's says so itself.
  const { apiVersion = apiVersionOf(kind), kind: name = kind.kind } = item.object;
  return writeEnvelope(apiVersion, name, message);
}

/** Items whose messages are made before others get their turn. */
const AT_ONCE = 100;

export async function listProtobuf(
  kind: Kind,
  items: readonly CachedObject[],
  metadata: object,
  shape: Shape,
): Promise<Part[]> {
  const made: Buffer[] = [];
  for (const [index, item] of items.entries()) {
    made.push(messageOf(kind, item, shape));
    if (index % AT_ONCE === AT_ONCE - 1) await new Promise(setImmediate);
  }
  const [apiVersion, listKind] =
    shape.kind === 'partial'
      ? [`meta.k8s.io/${shape.version}`, 'PartialObjectMetadataList']
      : [apiVersionOf(kind), kind.listKind];
  const head = new WireWriter()
    .tag(1, BYTES)
    .bytes(encodeMessage('meta.ListMeta', metadata as Json))
    .finish();
  const body: Part[] = [head];
  let size = head.length;
  for (const message of made) {
    const before = new WireWriter().tag(2, BYTES).varint(message.length).finish();
    body.push(before, message);
    size += before.length + message.length;
  }
  const [start, end] = envelopeAround(apiVersion as string, listKind as string, size);
  return [start, ...body, end];
}

/** What stands before and after a message of `size` bytes. */
function envelopeAround(apiVersion: string, kind: string, size: number): [Buffer, Buffer] {
  // The envelope of nothing ends with the tag and length of nothing, and two empty texts.
  const empty = writeEnvelope(apiVersion, kind, Buffer.alloc(0));
  const tail = new WireWriter().tag(3, BYTES).string('').tag(4, BYTES).string('').finish();
  const start = empty.subarray(0, empty.length - tail.length - 1);
  return [Buffer.concat([start, new WireWriter().varint(size).finish()]), tail];
}

/** One event of a watch, the same bytes for all who get the same event. */
export function eventFrame(kind: Kind, event: CacheEvent, shape: Shape): Buffer {
  if (shape.kind !== 'object') return frame(event.type, objectProtobuf(kind, event.entry, shape));
  let made = frames.get(event);
  if (!made) frames.set(event, (made = frame(event.type, objectProtobuf(kind, event.entry, shape))));
  return made;
}

export const errorFrame = (status: object): Buffer => frame('ERROR', encodeObject('meta.Status', status));

function frame(type: string, object: Buffer): Buffer {
  const raw = new WireWriter().tag(1, BYTES).bytes(object).finish();
  const event = new WireWriter().tag(1, BYTES).string(type).tag(2, BYTES).bytes(raw).finish();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(event.length);
  return Buffer.concat([length, event]);
}
