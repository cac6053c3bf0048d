// Protobuf messages as plain objects: camelCase names, enums as strings, 64-bit integers as numbers (beyond 2^53 they lose their last
// digits), bytes as Buffers. A decoded message has every field: empty lists and maps, zeros, and null for a message that is not there;
// what is null or undefined is not encoded.

export type FieldType =
  | { kind: 'double' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'bool' | 'string' | 'bytes' }
  | { kind: 'enum'; numbers: Record<string, number>; names: ReadonlyMap<number, string> }
  | { kind: 'message'; message: MessageType };

export interface FieldDefinition {
  name: string;
  number: number;
  /** `optional` has presence: a zero is sent. */
  label: 'single' | 'optional' | 'repeated' | 'map';
  type: () => FieldType;
}

interface Field extends Omit<FieldDefinition, 'type'> {
  type: FieldType;
  /** Field number and wire type of one value. */
  tag: number;
  packable: boolean;
}

type Value = Record<string, unknown>;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const TWO_32 = 2 ** 32;

export class MessageType {
  #definitions: FieldDefinition[] = [];
  #fields: Field[] | undefined;
  #byNumber: (Field | undefined)[] = [];

  add(field: FieldDefinition): void {
    this.#definitions.push(field);
  }

  encode(message: object): Buffer {
    const writer = new Writer();
    this.#write(message as Value, writer);
    return writer.bytes();
  }

  /** @throws RangeError when the bytes are not such a message. */
  decode(bytes: Buffer): Value {
    return this.#read(new Cursor(bytes), bytes.length);
  }

  #resolved(): Field[] {
    if (this.#fields) return this.#fields;
    const fields = this.#definitions.map((definition): Field => {
      const type = definition.type();
      const wire = wireTypeOf(type);
      return { ...definition, type, tag: definition.number * 8 + wire, packable: wire !== BYTES };
    });
    for (const field of fields) this.#byNumber[field.number] = field;
    this.#fields = fields;
    return fields;
  }

  #write(message: Value, writer: Writer): void {
    for (const field of this.#resolved()) {
      const value = message[field.name];
      if (value === undefined || value === null) continue;
      if (field.label === 'map') {
        const { message: entry } = field.type as { message: MessageType };
        for (const [key, each] of Object.entries(value))
          writer.nested(field.tag, () => entry.#write({ key, value: each }, writer));
      } else if (field.label !== 'repeated') {
        if (field.label === 'optional' || !isDefault(value, field.type)) this.#writeOne(field, value, writer);
      } else if (!field.packable) {
        for (const each of value as unknown[]) this.#writeOne(field, each, writer);
      } else if ((value as unknown[]).length > 0) {
        writer.nested(field.number * 8 + BYTES, () => {
          for (const each of value as unknown[]) writeScalar(field.type, each, writer);
        });
      }
    }
  }

  #writeOne(field: Field, value: unknown, writer: Writer): void {
    const { type, tag, name } = field;
    if (type.kind === 'message') {
      if (typeof value !== 'object') throw new TypeError(`${name}: a message is expected`);
      writer.nested(tag, () => type.message.#write(value as Value, writer));
    } else {
      writer.varint(tag);
      writeScalar(type, value, writer);
    }
  }

  #empty(): Value {
    const message: Value = {};
    for (const { name, label, type } of this.#resolved()) {
      message[name] = label === 'repeated' ? [] : label === 'map' ? {} : defaultOf(type, label === 'optional');
    }
    return message;
  }

  #read(cursor: Cursor, end: number): Value {
    const message = this.#empty();
    while (cursor.at < end) {
      const tag = cursor.varint();
      const wire = tag % 8;
      const field = this.#byNumber[(tag - wire) / 8];
      if (!field) cursor.skip(wire);
      else if (field.label === 'map') this.#readEntry(field, message, cursor);
      else if (field.label !== 'repeated') message[field.name] = readOne(field.type, wire, cursor);
      else {
        const list = message[field.name] as unknown[];
        if (wire === BYTES && field.packable) {
          const packedEnd = cursor.lengthEnd();
          while (cursor.at < packedEnd) list.push(readOne(field.type, wireTypeOf(field.type), cursor));
        } else list.push(readOne(field.type, wire, cursor));
      }
    }
    if (cursor.at !== end) throw new RangeError('a message is longer than it says');
    return message;
  }

  #readEntry(field: Field, message: Value, cursor: Cursor): void {
    const { key, value } = readOne(field.type, BYTES, cursor) as { key: string; value: unknown };
    // Defined, not assigned: a key may be called __proto__.
    Object.defineProperty(message[field.name], key, { value, enumerable: true, configurable: true, writable: true });
  }

  static read(type: MessageType, cursor: Cursor): Value {
    return type.#read(cursor, cursor.lengthEnd());
  }
}

function wireTypeOf(type: FieldType): number {
  if (type.kind === 'double') return FIXED64;
  return type.kind === 'string' || type.kind === 'bytes' || type.kind === 'message' ? BYTES : VARINT;
}

function defaultOf(type: FieldType, absent: boolean): unknown {
  if (type.kind === 'message') return null;
  if (absent) return undefined;
  if (type.kind === 'string') return '';
  if (type.kind === 'bytes') return Buffer.alloc(0);
  if (type.kind === 'bool') return false;
  return type.kind === 'enum' ? (type.names.get(0) ?? 0) : 0;
}

function isDefault(value: unknown, type: FieldType): boolean {
  if (type.kind === 'message') return false;
  if (type.kind === 'bytes') return (value as Uint8Array).length === 0;
  if (type.kind === 'enum') return enumNumber(type, value) === 0;
  return value === '' || value === false || Object.is(value, 0);
}

function enumNumber({ numbers }: { numbers: Record<string, number> }, value: unknown): number {
  if (typeof value === 'number') return value;
  const number = numbers[value as string];
  if (number === undefined) throw new TypeError(`"${String(value)}" is none of ${Object.keys(numbers).join(', ')}`);
  return number;
}

function writeScalar(type: FieldType, value: unknown, writer: Writer): void {
  if (type.kind === 'string') writer.string(String(value));
  else if (type.kind === 'bytes') writer.raw(value as Uint8Array);
  else if (type.kind === 'bool') writer.varint(value ? 1 : 0);
  else if (type.kind === 'double') writer.double(Number(value));
  else if (type.kind === 'enum') writer.integer(enumNumber(type, value));
  else writer.integer(Number(value));
}

function readOne(type: FieldType, wire: number, cursor: Cursor): unknown {
  if (wire !== wireTypeOf(type)) throw new RangeError(`wire type ${wire} for a field of type ${type.kind}`);
  if (type.kind === 'message') return MessageType.read(type.message, cursor);
  if (type.kind === 'string') return cursor.string();
  if (type.kind === 'bytes') return cursor.copy();
  if (type.kind === 'double') return cursor.double();
  if (type.kind === 'bool') return cursor.integer(true) !== 0;
  const number = cursor.integer(type.kind.startsWith('u'));
  if (type.kind === 'int32') return number | 0;
  if (type.kind === 'uint32') return number >>> 0;
  return type.kind === 'enum' ? (type.names.get(number) ?? number) : number;
}

/** Grows as needed; a nested message is written in place and its length put before it. */
class Writer {
  #buffer = Buffer.allocUnsafe(256);
  #at = 0;

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + count));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }

  /** Up to 2^53. */
  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#at++] = rest;
  }

  /** As the 64 bits of its two's complement. */
  integer(value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is not an integer`);
    if (value >= 0 && value < Number.MAX_SAFE_INTEGER) return this.varint(Math.trunc(value));
    this.#reserve(10);
    let rest = BigInt.asUintN(64, BigInt(Math.trunc(value)));
    while (rest >= 0x80n) {
      this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  string(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#reserve(length);
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
  }

  raw(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  nested(tag: number, write: () => void): void {
    this.varint(tag);
    this.#reserve(1);
    const start = ++this.#at;
    write();
    const length = this.#at - start;
    if (length < 0x80) {
      this.#buffer[start - 1] = length;
      return;
    }
    let more = 0;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) more++;
    this.#reserve(more);
    this.#buffer.copyWithin(start + more, start, start + length);
    this.#at = start - 1;
    this.varint(length);
    this.#at += length;
  }
}

class Cursor {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  #byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new RangeError('a message ends early');
    return byte;
  }

  /** Tags and lengths. */
  varint(): number {
    return this.integer(true);
  }

  integer(unsigned: boolean): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift < 28) low += bits * 2 ** shift;
      else if (shift === 28) {
        low += (bits & 0x0f) * 2 ** 28;
        high = bits >> 4;
      } else if (shift < 63) high += bits * 2 ** (shift - 32);
      else high += (bits & 1) * 2 ** 31;
      if (byte < 0x80) {
        if (!unsigned && high >= 2 ** 31) return (high - TWO_32) * TWO_32 + low;
        return high * TWO_32 + low;
      }
    }
    throw new RangeError('a number has more than ten bytes');
  }

  /** Where the value ends whose length is read here. */
  lengthEnd(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.#bytes.length) throw new RangeError('a message ends early');
    return end;
  }

  string(): string {
    const end = this.lengthEnd();
    const text = this.#bytes.toString('utf8', this.at, end);
    this.at = end;
    return text;
  }

  copy(): Buffer {
    const end = this.lengthEnd();
    const bytes = Buffer.from(this.#bytes.subarray(this.at, end));
    this.at = end;
    return bytes;
  }

  double(): number {
    this.at += 8;
    if (this.at > this.#bytes.length) throw new RangeError('a message ends early');
    return this.#bytes.readDoubleLE(this.at - 8);
  }

  skip(wire: number): void {
    if (wire === VARINT) this.varint();
    else if (wire === BYTES) this.at = this.lengthEnd();
    else if (wire === FIXED64) this.at += 8;
    else if (wire === FIXED32) this.at += 4;
    else throw new RangeError(`wire type ${wire} is not known`);
    if (this.at > this.#bytes.length) throw new RangeError('a message ends early');
  }
}
