// The messages of a KMS v2 plugin (k8s.io/kms/apis/v2) and of a value that is stored with its help (kmsv2/v2 EncryptedObject),
// written and read by hand: they are small. Throws ProtobufError for bytes that are none of them.
import { BYTES, VARINT, WireReader, WireWriter } from '../../../api/protobuf-wire.ts';

type Annotations = Readonly<Record<string, Buffer>>;

export interface StatusAnswer {
  version: string;
  healthz: string;
  keyId: string;
}

export interface EncryptAnswer {
  ciphertext: Buffer;
  keyId: string;
  annotations: Annotations;
}

export interface DecryptQuestion extends EncryptAnswer {
  uid: string;
}

/** How the key of a value is made of what the plugin has encrypted. */
export const DEK_KEY = 0;
export const DEK_SEED = 1;

/** What a value's key is found by. */
export interface DekSource {
  keyId: string;
  encrypted: Buffer;
  annotations: Annotations;
  type: number;
}

export interface EncryptedObject {
  source: DekSource;
  data: Buffer;
}

type Read = (field: number, reader: WireReader) => boolean;

/** `read` takes the fields that it knows; others are skipped. */
function message(bytes: Buffer, read: Read): void {
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const tag = reader.uint32();
    if (!read(tag >>> 3, reader)) reader.skip(tag & 7);
  }
}

function annotation(bytes: Buffer, into: Record<string, Buffer>): void {
  let key = '';
  let value: Buffer = Buffer.alloc(0);
  message(bytes, (field, reader) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = Buffer.from(reader.bytes());
    else return false;
    return true;
  });
  into[key] = value;
}

function writeAnnotations(writer: WireWriter, field: number, annotations: Annotations): void {
  // In order, so that the same source is always the same bytes.
  for (const key of Object.keys(annotations).sort()) {
    const entry = new WireWriter();
    entry.tag(1, BYTES).string(key);
    entry.tag(2, BYTES).bytes(annotations[key] as Buffer);
    writer.tag(field, BYTES).bytes(entry.finish());
  }
}

export const encodeNothing = (): Buffer => Buffer.alloc(0);

export function decodeStatus(bytes: Buffer): StatusAnswer {
  const answer = { version: '', healthz: '', keyId: '' };
  message(bytes, (field, reader) => {
    if (field === 1) answer.version = reader.string();
    else if (field === 2) answer.healthz = reader.string();
    else if (field === 3) answer.keyId = reader.string();
    else return false;
    return true;
  });
  return answer;
}

export function encodeEncrypt({ plaintext, uid }: { plaintext: Buffer; uid: string }): Buffer {
  const writer = new WireWriter();
  writer.tag(1, BYTES).bytes(plaintext);
  writer.tag(2, BYTES).string(uid);
  return writer.finish();
}

export function decodeEncrypted(bytes: Buffer): EncryptAnswer {
  const annotations: Record<string, Buffer> = {};
  const answer = { ciphertext: Buffer.alloc(0), keyId: '', annotations };
  message(bytes, (field, reader) => {
    if (field === 1) answer.ciphertext = Buffer.from(reader.bytes());
    else if (field === 2) answer.keyId = reader.string();
    else if (field === 3) annotation(reader.bytes(), annotations);
    else return false;
    return true;
  });
  return answer;
}

export function encodeDecrypt({ ciphertext, uid, keyId, annotations }: DecryptQuestion): Buffer {
  const writer = new WireWriter();
  writer.tag(1, BYTES).bytes(ciphertext);
  writer.tag(2, BYTES).string(uid);
  writer.tag(3, BYTES).string(keyId);
  writeAnnotations(writer, 4, annotations);
  return writer.finish();
}

export function decodeDecrypted(bytes: Buffer): Buffer {
  let plaintext: Buffer = Buffer.alloc(0);
  message(bytes, (field, reader) => {
    if (field !== 1) return false;
    plaintext = Buffer.from(reader.bytes());
    return true;
  });
  return plaintext;
}

export function encodeObject({ source, data }: EncryptedObject): Buffer {
  const writer = new WireWriter();
  if (data.length > 0) writer.tag(1, BYTES).bytes(data);
  writer.tag(2, BYTES).string(source.keyId);
  writer.tag(3, BYTES).bytes(source.encrypted);
  writeAnnotations(writer, 4, source.annotations);
  if (source.type !== 0) writer.tag(5, VARINT).varint(source.type);
  return writer.finish();
}

export function decodeObject(bytes: Buffer): EncryptedObject {
  const annotations: Record<string, Buffer> = {};
  const source = { keyId: '', encrypted: Buffer.alloc(0), annotations, type: DEK_KEY };
  const object = { source, data: Buffer.alloc(0) };
  message(bytes, (field, reader) => {
    if (field === 1) object.data = reader.bytes() as Buffer<ArrayBuffer>;
    else if (field === 2) source.keyId = reader.string();
    else if (field === 3) source.encrypted = Buffer.from(reader.bytes());
    else if (field === 4) annotation(reader.bytes(), annotations);
    else if (field === 5) source.type = reader.int32();
    else return false;
    return true;
  });
  return object;
}
