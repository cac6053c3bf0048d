// Tar as a stream of entries whose raw header blocks are kept, so that an entry passes through byte for byte unless
// somebody changes it; and a writer whose output depends on its input only. ustar, pax and GNU long names are read;
// sparse files are refused. Format: POSIX.1-2024 pax, and GNU tar's manual.

const block = 512;

export class TarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TarError';
  }
}

export type TarType = 'file' | 'link' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';

export interface TarHeader {
  name: string;
  type: TarType;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  linkname: string;
  devMajor: number;
  devMinor: number;
  /** Values of `SCHILY.xattr.*`, by attribute name. */
  xattrs: Record<string, Buffer>;
}

export interface TarEntry extends TarHeader {
  /** All header blocks of the entry, extension headers included. */
  raw: Buffer;
  /** The content; what is not read is skipped when the next entry is asked for. */
  body: AsyncIterable<Buffer>;
}

const types: Record<string, TarType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** Takes exact byte counts from a stream of chunks. */
class ByteReader {
  #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const next = await this.#source.next();
      if (next.done) return false;
      if (next.value.length === 0) continue;
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length);
      return true;
    }
  }

  /** Up to `limit` bytes, whatever is at hand; undefined at the end. */
  async some(limit: number): Promise<Buffer | undefined> {
    if (this.#rest.length === 0 && !(await this.#fill())) return undefined;
    const part = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async take(count: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0; ) {
      const part = await this.some(missing);
      if (!part) {
        if (parts.length === 0) return undefined;
        throw new TarError('tar archive is truncated');
      }
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async drain(): Promise<void> {
    while ((await this.some(1 << 20)) !== undefined);
  }
}

const maxExtensionBytes = 1 << 20;

/** Entries of a tar stream in order. Throws TarError on anything malformed. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const reader = new ByteReader(source);
  let raw: Buffer[] = [];
  let pax: Map<string, Buffer> = new Map();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const head = await reader.take(block);
    if (!head || head.every((byte) => byte === 0)) {
      if (raw.length > 0) throw new TarError('tar archive ends after an extension header');
      // What follows the end marker is padding; it still belongs to the stream (and to its digest).
      await reader.drain();
      return;
    }
    checkSum(head);
    const flag = String.fromCharCode(head[156] as number);
    raw.push(Buffer.from(head));
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      const size = readNumber(head, 124, 12);
      if (size > maxExtensionBytes) throw new TarError(`tar extension header of ${size} bytes is too large`);
      const padded = size === 0 ? Buffer.alloc(0) : await reader.take(Math.ceil(size / block) * block);
      if (!padded) throw new TarError('tar archive is truncated');
      raw.push(Buffer.from(padded));
      const content = Buffer.from(padded.subarray(0, size));
      if (flag === 'L') longName = readString(content, 0, size);
      else if (flag === 'K') longLink = readString(content, 0, size);
      else if (flag === 'x') pax = new Map([...pax, ...readPax(content)]);
      else if (['path', 'linkpath', 'size'].some((key) => readPax(content).has(key))) {
        throw new TarError('tar archive sets path, linkpath or size for all entries, which is not supported');
      }
      continue;
    }
    const type = types[flag];
    if (!type) throw new TarError(`tar entry of type "${flag}" is not supported`);
    for (const key of pax.keys()) {
      if (key.startsWith('GNU.sparse.')) throw new TarError('sparse tar entries are not supported');
    }
    const text = (key: string) => pax.get(key)?.toString('utf8');
    const number = (key: string, fallback: number) => {
      const value = text(key);
      if (value === undefined) return fallback;
      if (!/^-?\d+(\.\d+)?$/.test(value)) throw new TarError(`tar: "${value}" is not a number (${key})`);
      return Number(value);
    };
    const hasBody = type === 'file';
    const size = number('size', readNumber(head, 124, 12));
    if (size < 0 || !Number.isSafeInteger(size)) throw new TarError(`tar entry has the size ${size}`);
    const header: TarHeader = {
      name: text('path') ?? longName ?? ustarName(head),
      type,
      mode: readNumber(head, 100, 8) & 0o7777,
      uid: number('uid', readNumber(head, 108, 8)),
      gid: number('gid', readNumber(head, 116, 8)),
      size: hasBody ? size : 0,
      mtime: number('mtime', readNumber(head, 136, 12)),
      linkname: text('linkpath') ?? longLink ?? readString(head, 157, 100),
      devMajor: readNumber(head, 329, 8),
      devMinor: readNumber(head, 337, 8),
      xattrs: {},
    };
    for (const [key, value] of pax) {
      if (key.startsWith('SCHILY.xattr.')) header.xattrs[key.slice('SCHILY.xattr.'.length)] = value;
    }
    let left = size;
    const padding = (block - (size % block)) % block;
    const body = async function* (): AsyncGenerator<Buffer, void, undefined> {
      while (left > 0) {
        const part = await reader.some(left);
        if (!part) throw new TarError(`tar archive is truncated in "${header.name}"`);
        left -= part.length;
        yield part;
      }
    };
    const iterator = body();
    yield { ...header, raw: Buffer.concat(raw), body: { [Symbol.asyncIterator]: () => iterator } };
    for await (const _ of body());
    if (padding > 0 && !(await reader.take(padding))) throw new TarError('tar archive is truncated');
    raw = [];
    pax = new Map();
    longName = undefined;
    longLink = undefined;
  }
}

function ustarName(head: Buffer): string {
  const name = readString(head, 0, 100);
  const isUstar = head.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isUstar ? readString(head, 345, 155) : '';
  return prefix ? `${prefix}/${name}` : name;
}

function readString(buffer: Buffer, start: number, length: number): string {
  const end = buffer.indexOf(0, start);
  return buffer.toString('utf8', start, end < 0 || end > start + length ? start + length : end);
}

function readNumber(buffer: Buffer, start: number, length: number): number {
  const first = buffer[start] as number;
  if (first & 0x80) {
    // GNU base-256; negative times (0xff…) are clamped.
    if (first === 0xff) return 0;
    let value = first & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + (buffer[start + i] as number);
    return value;
  }
  const text =
    buffer.toString('latin1', start, start + length).replace(/[\0 ].*$/s, '') ||
    buffer
      .toString('latin1', start, start + length)
      .replaceAll('\0', '')
      .trim();
  if (text === '') return 0;
  if (!/^[0-7]+$/.test(text)) throw new TarError(`tar header holds "${text}" where an octal number belongs`);
  return Number.parseInt(text, 8);
}

function readPax(content: Buffer): Map<string, Buffer> {
  const values = new Map<string, Buffer>();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(content.toString('latin1', at, space));
    const end = at + length;
    if (!(length > 0) || end > content.length || content[end - 1] !== 0x0a) throw new TarError('malformed pax header');
    const record = content.subarray(space + 1, end - 1);
    const equals = record.indexOf(0x3d);
    if (equals < 0) throw new TarError('malformed pax header');
    values.set(record.toString('utf8', 0, equals), record.subarray(equals + 1));
    at = end;
  }
  return values;
}

function checkSum(head: Buffer): void {
  let sum = 0;
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 0x20 : (head[i] as number);
  if (sum !== readNumber(head, 148, 8)) throw new TarError('tar header has a wrong checksum: not a tar archive');
}

const flags: Record<TarType, string> = {
  file: '0',
  link: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Header blocks for an entry; what ustar cannot hold goes into a pax header. */
export function tarHeader(entry: Partial<TarHeader> & Pick<TarHeader, 'name' | 'type'>): Buffer {
  const header: TarHeader = {
    mode: 0o755,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: {},
    ...entry,
  };
  const pax: [string, Buffer][] = [];
  if (!fitsName(header.name)) pax.push(['path', Buffer.from(header.name)]);
  if (Buffer.byteLength(header.linkname) > 100 || !isAscii(header.linkname)) {
    pax.push(['linkpath', Buffer.from(header.linkname)]);
  }
  if (header.uid > 0o7777777) pax.push(['uid', Buffer.from(String(header.uid))]);
  if (header.gid > 0o7777777) pax.push(['gid', Buffer.from(String(header.gid))]);
  if (header.size > 0o77777777777) pax.push(['size', Buffer.from(String(header.size))]);
  for (const key of Object.keys(header.xattrs).sort()) pax.push([`SCHILY.xattr.${key}`, header.xattrs[key] as Buffer]);
  const main = plainHeader(header, flags[header.type]);
  if (pax.length === 0) return main;
  const records = Buffer.concat(pax.map(([key, value]) => paxRecord(key, value)));
  const extension = plainHeader(
    { ...header, name: 'PaxHeaders/entry', size: records.length, linkname: '', mode: 0o644 },
    'x',
  );
  return Buffer.concat([extension, records, tarPadding(records.length), main]);
}

/** Zeros that fill the last block of `size` bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((block - (size % block)) % block);
}

/** Two zero blocks. */
export const tarEnd: Buffer = Buffer.alloc(2 * block);

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

function splitName(name: string): { prefix: string; rest: string } | undefined {
  if (name.length <= 100) return { prefix: '', rest: name };
  for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
    if (slash <= 155 && name.length - slash - 1 <= 100 && slash < name.length - 1) {
      return { prefix: name.slice(0, slash), rest: name.slice(slash + 1) };
    }
  }
  return undefined;
}

function fitsName(name: string): boolean {
  return isAscii(name) && splitName(name) !== undefined;
}

function paxRecord(key: string, value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

function plainHeader(header: TarHeader, flag: string): Buffer {
  const out = Buffer.alloc(block);
  const { prefix, rest } = splitName(header.name) ?? { prefix: '', rest: header.name.slice(0, 100) };
  out.write(rest, 0, 100);
  octal(out, header.mode & 0o7777, 100, 8);
  octal(out, Math.min(header.uid, 0o7777777), 108, 8);
  octal(out, Math.min(header.gid, 0o7777777), 116, 8);
  octal(out, Math.min(header.size, 0o77777777777), 124, 12);
  octal(out, Math.max(0, Math.floor(header.mtime)), 136, 12);
  out.write('        ', 148);
  out.write(flag, 156);
  out.write(header.linkname, 157, 100);
  out.write('ustar\x0000', 257, 'latin1');
  octal(out, header.devMajor, 329, 8);
  octal(out, header.devMinor, 337, 8);
  out.write(prefix, 345, 155);
  let sum = 0;
  for (const byte of out) sum += byte;
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return out;
}

function octal(out: Buffer, value: number, at: number, length: number): void {
  out.write(value.toString(8).padStart(length - 1, '0'), at, length - 1, 'latin1');
}
