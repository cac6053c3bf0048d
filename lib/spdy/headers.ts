// SPDY/3 header blocks. All blocks of one direction are one zlib stream, flushed after each block; it is decoded and
// encoded block by block with the last 32 KiB of plain text as dictionary, which keeps both sides synchronous.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { spdyDictionary } from './dictionary.ts';

export type SpdyHeaders = Record<string, string[]>;

export class SpdyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SpdyError';
  }
}

const windowBytes = 32768;
const maxBlockBytes = 256 * 1024;
// zlib header with the "preset dictionary" flag, and the dictionary's Adler-32.
const zlibHeader = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);

export class HeaderDecoder {
  #window: Buffer = spdyDictionary;
  #started = false;

  decode(block: Buffer): SpdyHeaders {
    let body = block;
    if (!this.#started && block.length > 0) {
      const [cmf = 0, flags = 0] = block;
      if ((cmf & 0x0f) !== 8 || ((cmf << 8) | flags) % 31 !== 0) throw new SpdyError('header block is not zlib');
      const start = flags & 0x20 ? 6 : 2;
      if (start === 6 && !block.subarray(2, 6).equals(zlibHeader.subarray(2)))
        throw new SpdyError('unknown dictionary');
      body = block.subarray(start);
      this.#started = true;
    }
    let plain: Buffer;
    try {
      plain = inflateRawSync(body, {
        dictionary: this.#window,
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: maxBlockBytes,
      });
    } catch (error) {
      throw new SpdyError(`header block does not decompress: ${(error as Error).message}`);
    }
    this.#window = slide(this.#window, plain);
    return parse(plain);
  }
}

export class HeaderEncoder {
  #window: Buffer = spdyDictionary;
  #started = false;

  encode(headers: SpdyHeaders): Buffer {
    const plain = serialise(headers);
    const body = deflateRawSync(plain, { dictionary: this.#window, finishFlush: constants.Z_SYNC_FLUSH });
    this.#window = slide(this.#window, plain);
    if (this.#started) return body;
    this.#started = true;
    return Buffer.concat([zlibHeader, body]);
  }
}

function slide(window: Buffer, plain: Buffer): Buffer {
  const all = Buffer.concat([window, plain]);
  return all.subarray(Math.max(0, all.length - windowBytes));
}

function serialise(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers);
  const parts: Buffer[] = [uint32(entries.length)];
  for (const [name, values] of entries) {
    for (const text of [name.toLowerCase(), values.join('\0')]) {
      const bytes = Buffer.from(text, 'utf8');
      parts.push(uint32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

/** Names come out in lower case; a name may have several values. */
function parse(plain: Buffer): SpdyHeaders {
  let at = 0;
  const number = () => {
    if (at + 4 > plain.length) throw new SpdyError('header block is too short');
    at += 4;
    return plain.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (at + length > plain.length) throw new SpdyError('header block is too short');
    at += length;
    return plain.toString('utf8', at - length, at);
  };
  const headers: SpdyHeaders = Object.create(null) as SpdyHeaders;
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    headers[name] = [...(headers[name] ?? []), ...text().split('\0')];
  }
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
