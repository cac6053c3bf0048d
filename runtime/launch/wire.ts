// Messages to and from the launcher: u32 length, then records of u32 count and, per argument, u32 length, bytes, NUL.
import type { Step } from './steps.ts';

export const PROTOCOL = '5';

export function encodePlan(steps: readonly Step[]): Buffer {
  return encodeRecords(steps.map((each) => [each.op, ...each.args]));
}

export function encodeRecords(records: readonly (readonly (string | Uint8Array)[])[]): Buffer {
  const parts: Uint8Array[] = [];
  let length = 0;
  const add = (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
  };
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  for (const record of records) {
    add(u32(record.length));
    for (const arg of record) {
      if (typeof arg === 'string' && arg.includes('\0'))
        throw new Error(`a string with a NUL byte: ${JSON.stringify(arg)}`);
      const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg;
      add(u32(bytes.length));
      add(bytes);
      add(NUL);
    }
  }
  return Buffer.concat([u32(length), ...parts], length + 4);
}

const NUL = Buffer.alloc(1);

/** Decodes the body of a message (without its length); throws on anything malformed. */
export function decodeRecords(body: Buffer): string[][] {
  const records: string[][] = [];
  let at = 0;
  const u32 = () => {
    const value = body.readUInt32LE(at);
    at += 4;
    return value;
  };
  while (at < body.length) {
    const count = u32();
    const record: string[] = [];
    for (let i = 0; i < count; i++) {
      const length = u32();
      if (at + length >= body.length || body[at + length] !== 0) throw new Error('malformed message from the launcher');
      record.push(body.toString('utf8', at, at + length));
      at += length + 1;
    }
    records.push(record);
  }
  return records;
}

/** Frames on a shim's socket: kind, u32 length, payload. */
export function encodeFrame(kind: string, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const frame = Buffer.alloc(5 + payload.length);
  frame.write(kind, 0, 1, 'latin1');
  frame.writeUInt32LE(payload.length, 1);
  frame.set(payload, 5);
  return frame;
}

export interface Frame {
  kind: string;
  payload: Buffer;
}

/** Cuts a byte stream into frames; holds at most one incomplete frame. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): Frame[] {
    let buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    const frames: Frame[] = [];
    while (buffer.length >= 5) {
      const length = buffer.readUInt32LE(1);
      if (buffer.length < 5 + length) break;
      frames.push({ kind: String.fromCharCode(buffer[0] as number), payload: buffer.subarray(5, 5 + length) });
      buffer = buffer.subarray(5 + length);
    }
    this.#rest = buffer;
    return frames;
  }
}
