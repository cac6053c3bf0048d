// application/vnd.kubernetes.protobuf, read and written straight from the schema facts. A body is the four bytes `k8s\0` and
// a runtime.Unknown whose `raw` holds the message. Unknown fields are skipped; nothing is read out of bounds.
import { setOwn } from './equality.ts';
import { type Definition, definition, type Scalar, type TypeRef } from './schema.ts';
import { timeFromSeconds } from './time-format.ts';
import { BYTES, FIXED64, ProtobufError, VARINT, WireReader, WireWriter } from './protobuf-wire.ts';

export { ProtobufError } from './protobuf-wire.ts';

type Json = Record<string, unknown>;

const MAGIC = Buffer.from([0x6b, 0x38, 0x73, 0x00]);
/** Only JSON schemas nest freely; upstream's own CRDs stay far below. */
const MAX_DEPTH = 200;

export interface Envelope {
  apiVersion: string;
  kind: string;
  raw: Buffer;
  /** `application/json` when the message is JSON after all. */
  contentType: string;
}

/** Opens a body. Throws ProtobufError. */
export function readEnvelope(body: Uint8Array): Envelope {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (buffer.length === 0) throw new ProtobufError('empty data');
  if (buffer.length < MAGIC.length || !buffer.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  }
  const envelope: Envelope = { apiVersion: '', kind: '', raw: Buffer.alloc(0), contentType: '' };
  const reader = new WireReader(buffer, MAGIC.length);
  while (!reader.done) {
    const { number, wireType } = readTag(reader, 'Unknown');
    if (wireType !== BYTES || number > 4) {
      reader.skip(wireType);
      continue;
    }
    const bytes = reader.bytes();
    if (number === 1) {
      const meta = new WireReader(bytes);
      while (!meta.done) {
        const tag = readTag(meta, 'TypeMeta');
        if (tag.wireType === BYTES && tag.number === 1) envelope.apiVersion = meta.string();
        else if (tag.wireType === BYTES && tag.number === 2) envelope.kind = meta.string();
        else meta.skip(tag.wireType);
      }
    } else if (number === 2) envelope.raw = bytes;
    else if (number === 4) envelope.contentType = bytes.toString('utf8');
  }
  return envelope;
}

export function writeEnvelope(apiVersion: string, kind: string, raw: Uint8Array): Buffer {
  const meta = new WireWriter().tag(1, BYTES).string(apiVersion).tag(2, BYTES).string(kind).finish();
  const unknown = new WireWriter()
    .tag(1, BYTES)
    .bytes(meta)
    .tag(2, BYTES)
    .bytes(raw)
    .tag(3, BYTES)
    .string('')
    .tag(4, BYTES)
    .string('');
  return Buffer.concat([MAGIC, unknown.finish()]);
}

/** A whole body for a JSON object of the definition `schema`. */
export function encodeObject(schema: string, object: { apiVersion?: string; kind?: string }): Buffer {
  return writeEnvelope(object.apiVersion ?? '', object.kind ?? '', encodeMessage(schema, object as Json));
}

/** Decodes a message of the definition `schema` as JSON; zero values of Go are still in it. Throws ProtobufError. */
export function decodeMessage(schema: string, raw: Uint8Array): Json {
  const buffer = Buffer.from(raw.buffer, raw.byteOffset, raw.length);
  return readMessage(messageOf(schema), new WireReader(buffer), {}, 0);
}

function readTag(reader: WireReader, name: string): { number: number; wireType: number } {
  const tag = reader.uint32();
  const number = Math.floor(tag / 8);
  const wireType = tag & 7;
  if (wireType === 4) throw new ProtobufError(`proto: ${name}: wiretype end group for non-group`);
  if (number === 0) throw new ProtobufError(`proto: ${name}: illegal tag ${number} (wire type ${wireType})`);
  return { number, wireType };
}

type ReadValue = (reader: WireReader, depth: number) => unknown;

type WireField =
  | { kind: 'one'; name: string; wireType: number; read: ReadValue }
  | { kind: 'list'; name: string; wireType: number; read: ReadValue }
  | { kind: 'map'; name: string; wireType: number; read: ReadValue; zero: unknown }
  | { kind: 'inline'; message: string };

interface Message {
  name: string;
  fields: Map<number, WireField>;
}

const messages = new Map<string, Message>();

function messageOf(name: string): Message {
  let found = messages.get(name);
  if (!found) {
    const def = definition(name);
    found = { name: name.slice(name.lastIndexOf('.') + 1), fields: new Map() };
    messages.set(name, found);
    for (const field of def.ownFields) {
      if (field.number > 0) found.fields.set(field.number, wireField(field.name, field.type));
    }
    for (const inline of def.inlines) found.fields.set(inline.number, { kind: 'inline', message: inline.name });
  }
  return found;
}

function wireField(name: string, type: TypeRef): WireField {
  switch (type.kind) {
    case 'list':
      return { kind: 'list', name, wireType: wireTypeOf(type.of), read: readerOf(type.of) };
    case 'map':
      return { kind: 'map', name, wireType: wireTypeOf(type.of), read: readerOf(type.of), zero: mapZero(type.of) };
    default:
      return { kind: 'one', name, wireType: wireTypeOf(type), read: readerOf(type) };
  }
}

/** The value of a map entry that has none on the wire. */
function mapZero(type: TypeRef): unknown {
  if (type.kind === 'list') return [];
  if (type.kind !== 'scalar') return {};
  return { bool: false, int32: 0, int64: 0, double: 0, quantity: '0' }[type.scalar as string] ?? '';
}

function wireTypeOf(type: TypeRef): number {
  const scalar = scalarOf(type);
  if (scalar === 'bool' || scalar === 'int32' || scalar === 'int64') return VARINT;
  return scalar === 'double' ? FIXED64 : BYTES;
}

function scalarOf(type: TypeRef): Scalar | undefined {
  if (type.kind === 'scalar') return type.scalar;
  return type.kind === 'ref' ? definition(type.name).scalar : undefined;
}

function readMessage(message: Message, reader: WireReader, target: Json, depth: number): Json {
  if (depth > MAX_DEPTH) throw new ProtobufError('proto: exceeded max recursion depth');
  while (!reader.done) {
    const { number, wireType } = readTag(reader, message.name);
    const field = message.fields.get(number);
    if (field === undefined) {
      reader.skip(wireType);
      continue;
    }
    if (field.kind === 'inline') {
      expectType(BYTES, wireType, field.message);
      within(reader, (inner) => readMessage(messageOf(field.message), inner, target, depth + 1));
      continue;
    }
    if (field.kind === 'list' && wireType === BYTES && field.wireType !== BYTES) {
      // Numbers may come packed.
      within(reader, (inner) => {
        while (!inner.done) append(target, field.name, field.read(inner, depth + 1));
      });
      continue;
    }
    expectType(field.kind === 'map' ? BYTES : field.wireType, wireType, field.name);
    if (field.kind === 'one') {
      const value = field.read(reader, depth + 1);
      if (value !== undefined) target[field.name] = value;
    } else if (field.kind === 'list') {
      append(target, field.name, field.read(reader, depth + 1) ?? null);
    } else {
      within(reader, (inner) => readMapEntry(field, inner, target, depth + 1));
    }
  }
  return target;
}

function expectType(expected: number, actual: number, name: string): void {
  if (expected !== actual) throw new ProtobufError(`proto: wrong wireType = ${actual} for field ${name}`);
}

function append(target: Json, name: string, value: unknown): void {
  const list = target[name] as unknown[] | undefined;
  if (list) list.push(value);
  else target[name] = [value];
}

function readMapEntry(field: WireField & { kind: 'map' }, reader: WireReader, target: Json, depth: number): void {
  let key = '';
  let value = field.zero;
  while (!reader.done) {
    const { number, wireType } = readTag(reader, field.name);
    if (number === 1 && wireType === BYTES) key = reader.string();
    else if (number === 2) {
      expectType(field.wireType, wireType, field.name);
      value = field.read(reader, depth) ?? null;
    } else reader.skip(wireType);
  }
  target[field.name] ??= {};
  setOwn(target[field.name] as Json, key, value);
}

/** Runs `read` on the length-delimited value that starts here, and leaves the reader behind it. */
function within<T>(reader: WireReader, read: (inner: WireReader) => T): T {
  const outerEnd = reader.end;
  const end = reader.lengthEnd();
  reader.end = end;
  const result = read(reader);
  reader.end = outerEnd;
  reader.at = end;
  return result;
}

function readerOf(type: TypeRef): ReadValue {
  // Only as the value of a map: a message that holds the list.
  if (type.kind === 'list') {
    const read = readerOf(type.of);
    return (reader, depth) => {
      const items: unknown[] = [];
      within(reader, (inner) => {
        while (!inner.done) {
          const { number, wireType } = readTag(inner, 'items');
          if (number === 1) items.push(read(inner, depth));
          else inner.skip(wireType);
        }
      });
      return items;
    };
  }
  if (type.kind === 'map') throw new Error('maps of maps are not on the protobuf wire');
  if (type.kind === 'ref') {
    const special = SPECIAL_READERS[type.name];
    if (special) return special;
    const { scalar } = definition(type.name);
    if (scalar !== undefined) return scalarReader(scalar);
    const { name } = type;
    let message: Message | undefined;
    return (reader, depth) => {
      message ??= messageOf(name);
      const target = message;
      return within(reader, (inner) => readMessage(target, inner, {}, depth));
    };
  }
  return scalarReader(type.scalar);
}

/** Reads a small message field by field. */
function eachField(reader: WireReader, name: string, read: (number: number, wireType: number) => boolean): void {
  within(reader, (inner) => {
    while (!inner.done) {
      const { number, wireType } = readTag(inner, name);
      if (!read(number, wireType)) inner.skip(wireType);
    }
  });
}

function scalarReader(scalar: Scalar): ReadValue {
  switch (scalar) {
    case 'string':
      return (reader) => reader.string();
    case 'bool':
      return (reader) => reader.int64() !== 0;
    case 'int32':
      return (reader) => reader.int32();
    case 'int64':
      return (reader) => reader.int64();
    case 'double':
      return (reader) => reader.double();
    case 'bytes':
      return (reader) => reader.bytes().toString('base64');
    case 'time':
      return (reader) => readTime(reader, false);
    case 'microtime':
      return (reader) => readTime(reader, true);
    case 'quantity':
      return (reader) => {
        let text = '';
        eachField(reader, 'Quantity', (number, wireType) => {
          if (number !== 1 || wireType !== BYTES) return false;
          text = reader.string();
          return true;
        });
        return text === '' ? '0' : text;
      };
    case 'intstr':
      return readIntOrString;
    case 'raw':
    case 'any':
    case 'fields':
      return readRawJson;
    case 'object':
      return (reader) => {
        reader.at = reader.lengthEnd();
        return {};
      };
  }
}

function readTime(reader: WireReader, micro: boolean): string | undefined {
  let seconds = 0;
  let nanos = 0;
  let isZero = true;
  eachField(reader, 'Timestamp', (number, wireType) => {
    if (wireType !== VARINT || number > 2) return false;
    isZero = false;
    if (number === 1) seconds = reader.int64();
    else nanos = reader.int32();
    return true;
  });
  if (isZero) return undefined;
  // Years 0 to 9999, which is what the text form can hold.
  if (seconds < -62_167_219_200 || seconds > 253_402_300_799 || nanos < 0 || nanos > 999_999_999) {
    throw new ProtobufError('Time.MarshalJSON: year outside of range [0,9999]');
  }
  return timeFromSeconds(seconds, nanos, micro);
}

function readIntOrString(reader: WireReader): number | string {
  let isText = false;
  let number = 0;
  let text = '';
  eachField(reader, 'IntOrString', (field, wireType) => {
    if (field === 1 && wireType === VARINT) isText = reader.int64() === 1;
    else if (field === 2 && wireType === VARINT) number = reader.int32();
    else if (field === 3 && wireType === BYTES) text = reader.string();
    else return false;
    return true;
  });
  return isText ? text : number;
}

function readRawJson(reader: WireReader): unknown {
  let value: unknown;
  eachField(reader, 'RawExtension', (number, wireType) => {
    if (number !== 1 || wireType !== BYTES) return false;
    const text = reader.string();
    if (text !== '') {
      try {
        value = JSON.parse(text);
      } catch {
        throw new ProtobufError('invalid JSON in a raw extension');
      }
    }
    return true;
  });
  return value;
}

const SCHEMA_PROPS = 'apiextensions.v1.JSONSchemaProps';

/** Unions that are one JSON value and a message with a field for each form. */
const SPECIAL_READERS: Record<string, ReadValue> = {
  'apiextensions.v1.JSONSchemaPropsOrArray': (reader, depth) => readUnion(reader, depth, 'array'),
  'apiextensions.v1.JSONSchemaPropsOrBool': (reader, depth) => readUnion(reader, depth, 'bool'),
  'apiextensions.v1.JSONSchemaPropsOrStringArray': (reader, depth) => readUnion(reader, depth, 'strings'),
};

function readUnion(reader: WireReader, depth: number, form: 'array' | 'bool' | 'strings'): unknown {
  let schema: Json | undefined;
  let allows = false;
  const list: unknown[] = [];
  const readSchema = () => within(reader, (inner) => readMessage(messageOf(SCHEMA_PROPS), inner, {}, depth + 1));
  const schemaNumber = form === 'bool' ? 2 : 1;
  eachField(reader, 'JSONSchemaPropsOr', (number, wireType) => {
    if (number === schemaNumber && wireType === BYTES) schema = readSchema();
    else if (form === 'bool' && number === 1 && wireType === VARINT) allows = reader.int64() !== 0;
    else if (form === 'array' && number === 2 && wireType === BYTES) list.push(readSchema());
    else if (form === 'strings' && number === 2 && wireType === BYTES) list.push(reader.string());
    else return false;
    return true;
  });
  if (schema) return schema;
  return form === 'bool' ? allows : list;
}

/** The message of a JSON value as the definition `schema`; only what is present is written. Numbers in ascending order. */
export function encodeMessage(schema: string, value: Json): Buffer {
  const writer = new WireWriter();
  const def = definition(schema);
  const members: { number: number; write: () => void }[] = [];
  for (const field of def.ownFields) {
    const member = value[field.name];
    if (field.number === 0 || member === undefined || member === null) continue;
    members.push({ number: field.number, write: () => writeField(writer, field.number, field.type, member) });
  }
  for (const inline of def.inlines) {
    members.push({
      number: inline.number,
      write: () => writer.tag(inline.number, BYTES).bytes(encodeMessage(inline.name, value)),
    });
  }
  for (const each of members.sort((a, b) => a.number - b.number)) each.write();
  return writer.finish();
}

function writeField(writer: WireWriter, number: number, type: TypeRef, value: unknown): void {
  if (type.kind === 'list') {
    for (const each of value as unknown[]) writeField(writer, number, type.of, each);
  } else if (type.kind === 'map') {
    for (const [key, member] of Object.entries(value as Json)) {
      const entry = new WireWriter().tag(1, BYTES).string(key);
      if (type.of.kind === 'list') {
        const items = new WireWriter();
        for (const each of member as unknown[]) writeField(items, 1, type.of.of, each);
        entry.tag(2, BYTES).bytes(items.finish());
      } else writeField(entry, 2, type.of, member);
      writer.tag(number, BYTES).bytes(entry.finish());
    }
  } else writeOne(writer, number, type, value);
}

function writeOne(writer: WireWriter, number: number, type: TypeRef, value: unknown): void {
  if (type.kind === 'ref') {
    const union = writeUnion(type.name, value);
    if (union) {
      writer.tag(number, BYTES).bytes(union);
      return;
    }
    const def: Definition = definition(type.name);
    if (def.scalar === undefined) {
      writer.tag(number, BYTES).bytes(encodeMessage(type.name, value as Json));
      return;
    }
  }
  writeScalar(writer, number, scalarOf(type) as Scalar, value);
}

function writeScalar(writer: WireWriter, number: number, scalar: Scalar, value: unknown): void {
  switch (scalar) {
    case 'string':
      writer.tag(number, BYTES).string(value as string);
      return;
    case 'bool':
      writer.tag(number, VARINT).varint(value ? 1 : 0);
      return;
    case 'int32':
    case 'int64':
      writer.tag(number, VARINT).varint(value as number);
      return;
    case 'double':
      writer.tag(number, FIXED64).double(value as number);
      return;
    case 'bytes':
      writer.tag(number, BYTES).bytes(Buffer.from(value as string, 'base64'));
      return;
    case 'time':
    case 'microtime':
      writer.tag(number, BYTES).bytes(writeTime(value as string));
      return;
    case 'quantity':
      writer.tag(number, BYTES).bytes(new WireWriter().tag(1, BYTES).string(String(value)).finish());
      return;
    case 'intstr': {
      const isText = typeof value === 'string';
      const message = new WireWriter().tag(1, VARINT).varint(isText ? 1 : 0);
      message.tag(2, VARINT).varint(isText ? 0 : (value as number));
      message.tag(3, BYTES).string(isText ? value : '');
      writer.tag(number, BYTES).bytes(message.finish());
      return;
    }
    case 'raw':
    case 'any':
    case 'fields':
      writer.tag(number, BYTES).bytes(new WireWriter().tag(1, BYTES).string(JSON.stringify(value)).finish());
      return;
    case 'object':
      writer.tag(number, BYTES).bytes(Buffer.alloc(0));
  }
}

function writeTime(text: string): Buffer {
  const seconds = Math.floor(Date.parse(`${text.slice(0, 19)}Z`) / 1000);
  const nanos = Number((/\.(\d+)/.exec(text)?.[1] ?? '').padEnd(9, '0').slice(0, 9));
  return new WireWriter().tag(1, VARINT).varint(seconds).tag(2, VARINT).varint(nanos).finish();
}

function writeUnion(name: string, value: unknown): Buffer | undefined {
  if (!Object.hasOwn(SPECIAL_READERS, name)) return undefined;
  const writer = new WireWriter();
  const isBool = name.endsWith('OrBool');
  if (typeof value === 'boolean')
    return writer
      .tag(1, VARINT)
      .varint(value ? 1 : 0)
      .finish();
  if (Array.isArray(value)) {
    for (const each of value) {
      if (typeof each === 'string') writer.tag(2, BYTES).string(each);
      else writer.tag(2, BYTES).bytes(encodeMessage(SCHEMA_PROPS, each as Json));
    }
    return writer.finish();
  }
  if (isBool) writer.tag(1, VARINT).varint(1);
  return writer
    .tag(isBool ? 2 : 1, BYTES)
    .bytes(encodeMessage(SCHEMA_PROPS, value as Json))
    .finish();
}
