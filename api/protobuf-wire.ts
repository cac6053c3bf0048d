// The protobuf wire format: reading varints, fixed numbers and length-delimited fields within bounds, and writing them.
// Nothing here knows a message; a ProtobufError is what truncated or hostile bytes give, in the words of Go's decoder.

export class ProtobufError extends Error {}

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

const MAX_GROUPS = 100;

/** Reads one buffer from `at` to `end`; sub-messages share the buffer. */
export class WireReader {
  readonly buffer: Buffer;
  at: number;
  end: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  #byte(): number {
    if (this.at >= this.end) throw new ProtobufError('unexpected EOF');
    return this.buffer[this.at++] as number;
  }

  /** A varint that must be a small unsigned number: tags and lengths. */
  uint32(): number {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (result > 0xffffffff) break;
        return result;
      }
    }
    throw new ProtobufError('proto: integer overflow');
  }

  /** A varint as a signed 64-bit number; beyond 2^53 it is rounded to what JSON can carry. */
  int64(): number {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return low;
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
    throw new ProtobufError('proto: integer overflow');
  }

  int32(): number {
    return this.int64() | 0;
  }

  double(): number {
    if (this.end - this.at < 8) throw new ProtobufError('unexpected EOF');
    const value = this.buffer.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  /** Reads a length and returns the end of what follows, which lies within this message. */
  lengthEnd(): number {
    const length = this.uint32();
    if (length > 0x7fffffff) throw new ProtobufError('proto: negative length found during unmarshaling');
    const end = this.at + length;
    if (end > this.end) throw new ProtobufError('unexpected EOF');
    return end;
  }

  bytes(): Buffer {
    const end = this.lengthEnd();
    const bytes = this.buffer.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  string(): string {
    const end = this.lengthEnd();
    const text = this.buffer.toString('utf8', this.at, end);
    this.at = end;
    return text;
  }

  /** Skips the value of a field that is not known. */
  skip(wireType: number, depth = 0): void {
    switch (wireType) {
      case VARINT:
        this.int64();
        return;
      case FIXED64:
        return this.#advance(8);
      case FIXED32:
        return this.#advance(4);
      case BYTES:
        this.at = this.lengthEnd();
        return;
      case START_GROUP:
        if (depth > MAX_GROUPS) throw new ProtobufError('proto: exceeded max recursion depth');
        for (;;) {
          const tag = this.uint32();
          if ((tag & 7) === END_GROUP) return;
          this.skip(tag & 7, depth + 1);
        }
      default:
        throw new ProtobufError(
          wireType === END_GROUP ? 'proto: unexpected end of group' : `proto: illegal wireType ${wireType}`,
        );
    }
  }

  #advance(count: number): void {
    if (this.end - this.at < count) throw new ProtobufError('unexpected EOF');
    this.at += count;
  }
}

/** Grows as needed; `finish` gives the bytes written. */
export class WireWriter {
  #parts: Buffer[] = [];

  tag(number: number, wireType: number): this {
    return this.varint(number * 8 + wireType);
  }

  /** Any integer in the signed 64-bit range. */
  varint(value: number | bigint): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#parts.push(Buffer.from(bytes));
    return this;
  }

  double(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.#parts.push(bytes);
    return this;
  }

  /** A length and the bytes. */
  bytes(value: Uint8Array): this {
    this.varint(value.length);
    this.#parts.push(Buffer.from(value.buffer, value.byteOffset, value.length));
    return this;
  }

  string(value: string): this {
    return this.bytes(Buffer.from(value));
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
