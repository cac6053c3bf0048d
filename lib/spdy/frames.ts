// SPDY/3.1 frames: bytes in, frames out, and back. Pure but for the header compression, which has a memory per
// direction. Source: SPDY protocol draft 3.1, section 2.
import { HeaderDecoder, HeaderEncoder, SpdyError, type SpdyHeaders } from './headers.ts';

export type SpdyFrame =
  | { type: 'data'; streamId: number; fin: boolean; data: Buffer }
  | {
      type: 'synStream';
      streamId: number;
      associatedId: number;
      priority: number;
      fin: boolean;
      unidirectional: boolean;
      headers: SpdyHeaders;
    }
  | { type: 'synReply'; streamId: number; fin: boolean; headers: SpdyHeaders }
  | { type: 'rstStream'; streamId: number; status: number }
  | { type: 'settings'; values: { id: number; value: number }[] }
  | { type: 'ping'; id: number }
  | { type: 'goAway'; lastStreamId: number; status: number }
  | { type: 'headers'; streamId: number; fin: boolean; headers: SpdyHeaders }
  | { type: 'windowUpdate'; streamId: number; delta: number }
  | { type: 'unknown'; kind: number };

export const rstStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
  flowControlError: 7,
  streamAlreadyClosed: 9,
} as const;
export const settingInitialWindow = 7;

const version = 3;
const maxFrameBytes = 1 << 24;
const kinds = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export class FrameParser {
  #rest: Buffer = Buffer.alloc(0);
  #headers = new HeaderDecoder();
  #limit: number;

  constructor(limit = maxFrameBytes) {
    this.#limit = limit;
  }

  /** Every frame that is complete with these bytes. Throws SpdyError; the connection is lost then. */
  push(bytes: Buffer): SpdyFrame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: SpdyFrame[] = [];
    while (this.#rest.length >= 8) {
      const length = this.#rest.readUIntBE(5, 3);
      if (length > this.#limit) throw new SpdyError(`frame of ${length} bytes is too large`);
      if (this.#rest.length < 8 + length) break;
      const frame = this.#rest.subarray(0, 8 + length);
      this.#rest = this.#rest.subarray(8 + length);
      frames.push(this.#frame(frame.readUInt32BE(0), frame[4] as number, frame.subarray(8)));
    }
    return frames;
  }

  #frame(word: number, flags: number, body: Buffer): SpdyFrame {
    const fin = (flags & 1) !== 0;
    if (word >>> 31 === 0) {
      if (word === 0) throw new SpdyError('data on stream 0');
      return { type: 'data', streamId: word, fin, data: body };
    }
    if (((word >>> 16) & 0x7fff) !== version) throw new SpdyError(`SPDY version ${(word >>> 16) & 0x7fff} is not 3`);
    const kind = word & 0xffff;
    const number = (at: number) => {
      if (at + 4 > body.length) throw new SpdyError(`control frame ${kind} is too short`);
      return body.readUInt32BE(at);
    };
    const id = (at: number) => number(at) & 0x7fffffff;
    switch (kind) {
      case kinds.synStream:
        number(6);
        return {
          type: 'synStream',
          streamId: id(0),
          associatedId: id(4),
          priority: (body[8] as number) >>> 5,
          fin,
          unidirectional: (flags & 2) !== 0,
          headers: this.#headers.decode(body.subarray(10)),
        };
      case kinds.synReply:
        return { type: 'synReply', streamId: id(0), fin, headers: this.#headers.decode(body.subarray(4)) };
      case kinds.rstStream:
        return { type: 'rstStream', streamId: id(0), status: number(4) };
      case kinds.settings: {
        const values: { id: number; value: number }[] = [];
        const count = number(0);
        if (4 + count * 8 !== body.length) throw new SpdyError('SETTINGS frame has a wrong length');
        for (let i = 0; i < count; i++) values.push({ id: number(4 + i * 8) & 0xffffff, value: number(8 + i * 8) });
        return { type: 'settings', values };
      }
      case kinds.ping:
        return { type: 'ping', id: number(0) };
      case kinds.goAway:
        return { type: 'goAway', lastStreamId: id(0), status: number(4) };
      case kinds.headers:
        return { type: 'headers', streamId: id(0), fin, headers: this.#headers.decode(body.subarray(4)) };
      case kinds.windowUpdate:
        return { type: 'windowUpdate', streamId: id(0), delta: id(4) };
      default:
        return { type: 'unknown', kind };
    }
  }
}

export class FrameSerialiser {
  #headers = new HeaderEncoder();

  bytes(frame: Exclude<SpdyFrame, { type: 'unknown' }>): Buffer {
    switch (frame.type) {
      case 'data': {
        const head = Buffer.alloc(8);
        head.writeUInt32BE(frame.streamId);
        head[4] = frame.fin ? 1 : 0;
        head.writeUIntBE(frame.data.length, 5, 3);
        return Buffer.concat([head, frame.data]);
      }
      case 'synStream': {
        const flags = (frame.fin ? 1 : 0) | (frame.unidirectional ? 2 : 0);
        const slot = Buffer.from([frame.priority << 5, 0]);
        return control(
          kinds.synStream,
          flags,
          [frame.streamId, frame.associatedId],
          slot,
          this.#headers.encode(frame.headers),
        );
      }
      case 'synReply':
        return control(kinds.synReply, frame.fin ? 1 : 0, [frame.streamId], this.#headers.encode(frame.headers));
      case 'rstStream':
        return control(kinds.rstStream, 0, [frame.streamId, frame.status]);
      case 'settings':
        return control(kinds.settings, 0, [frame.values.length, ...frame.values.flatMap((v) => [v.id, v.value])]);
      case 'ping':
        return control(kinds.ping, 0, [frame.id]);
      case 'goAway':
        return control(kinds.goAway, 0, [frame.lastStreamId, frame.status]);
      case 'headers':
        return control(kinds.headers, frame.fin ? 1 : 0, [frame.streamId], this.#headers.encode(frame.headers));
      case 'windowUpdate':
        return control(kinds.windowUpdate, 0, [frame.streamId, frame.delta]);
    }
  }
}

function control(kind: number, flags: number, words: readonly number[], ...tail: Buffer[]): Buffer {
  const length = words.length * 4 + tail.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(8 + words.length * 4);
  head.writeUInt32BE((0x80000000 | (version << 16) | kind) >>> 0);
  head[4] = flags;
  head.writeUIntBE(length, 5, 3);
  for (const [i, word] of words.entries()) head.writeUInt32BE(word >>> 0, 8 + i * 4);
  return Buffer.concat([head, ...tail]);
}
