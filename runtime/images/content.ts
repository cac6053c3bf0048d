// The content store: blobs by digest, verified while they are written, in `root`/sha256/<hex>. A blob that is there is
// whole and has its digest; what is being written lives in `root`/ingest and is swept at start.
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { digestOf, parseDigest } from './digest.ts';
import { ImageError } from './errors.ts';

export interface BlobExpectation {
  digest?: string;
  /** Bytes. */
  size?: number;
}

/** A blob's bytes from an offset, or from 0 where the other side cannot do better. */
export type OpenFrom = (offset: number) => Promise<{ offset: number; body: AsyncIterable<Uint8Array> }>;

export class ContentStore {
  #root: string;
  #ingest: string;
  /** Beginnings of blobs whose transfer broke off, by digest: a later pull goes on from there. */
  #partial: string;
  #sequence = 0;
  #resuming = new Map<string, Promise<void>>();

  constructor(root: string) {
    this.#root = root;
    this.#ingest = join(root, 'ingest');
    this.#partial = join(root, 'partial');
    rmSync(this.#ingest, { recursive: true, force: true });
    for (const directory of [this.#ingest, this.#partial]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  path(digest: string): string {
    const { algorithm, hex } = parseDigest(digest);
    return join(this.#root, algorithm, hex);
  }

  has(digest: string): boolean {
    return existsSync(this.path(digest));
  }

  /** It is there with the size that it should have: what can be told without reading it. */
  fits({ digest, size }: { digest: string; size: number }): boolean {
    return statSync(this.path(digest), { throwIfNoEntry: false })?.size === size;
  }

  /** A small blob, or undefined when it is not there. One that a disk has damaged goes: it has to come again. */
  intact(digest: string): Buffer | undefined {
    if (!this.has(digest)) return undefined;
    const bytes = this.read(digest);
    const { algorithm, hex } = parseDigest(digest);
    if (createHash(algorithm).update(bytes).digest('hex') === hex) return bytes;
    this.remove(digest);
    return undefined;
  }

  /** Reads the blob; removes it, and returns true, when it is not what it should be. False also when it is not there. */
  async removeDamaged(digest: string): Promise<boolean> {
    if (!this.has(digest)) return false;
    const { algorithm, hex } = parseDigest(digest);
    const hash = createHash(algorithm);
    for await (const chunk of this.stream(digest)) hash.update(chunk as Buffer);
    if (hash.digest('hex') === hex) return false;
    this.remove(digest);
    return true;
  }

  size(digest: string): number {
    return statSync(this.path(digest)).size;
  }

  /** A small blob (manifest, config) as bytes. */
  read(digest: string): Buffer {
    try {
      return readFileSync(this.path(digest));
    } catch (error) {
      throw new ImageError('not-found', `blob ${digest} is not in the content store`, { cause: error });
    }
  }

  readJson<T>(digest: string): T {
    try {
      return JSON.parse(this.read(digest).toString('utf8')) as T;
    } catch (error) {
      if (error instanceof ImageError) throw error;
      throw new ImageError('invalid', `blob ${digest} is not JSON`, { cause: error });
    }
  }

  stream(digest: string): Readable {
    return createReadStream(this.path(digest), { highWaterMark: 256 * 1024 });
  }

  putBytes(bytes: Uint8Array, expect: BlobExpectation = {}): { digest: string; size: number } {
    const digest = digestOf(bytes);
    verify(expect, digest, bytes.length);
    if (!this.intact(digest)) {
      const writer = this.#open();
      writer.write(bytes);
      writer.commit(digest);
    }
    return { digest, size: bytes.length };
  }

  /** Writes a stream; nothing is kept when the stream fails or does not have the expected digest and size. */
  async put(
    source: AsyncIterable<Uint8Array>,
    expect: BlobExpectation = {},
    onBytes?: (count: number) => void,
  ): Promise<{ digest: string; size: number }> {
    const algorithm = expect.digest === undefined ? 'sha256' : parseDigest(expect.digest).algorithm;
    const hash = createHash(algorithm);
    const writer = this.#open();
    let size = 0;
    try {
      for await (const chunk of source) {
        hash.update(chunk);
        writer.write(chunk);
        size += chunk.length;
        if (expect.size !== undefined && size > expect.size) break;
        onBytes?.(chunk.length);
      }
      const digest = `${algorithm}:${hash.digest('hex')}`;
      verify(expect, digest, size);
      writer.commit(digest);
      return { digest, size };
    } catch (error) {
      writer.abandon();
      throw error;
    }
  }

  /**
   * Goes on with a transfer where an earlier one broke off, also one of an earlier process. What has come stays when the
   * stream fails, unless it is wrong.
   */
  resume(blob: { digest: string; size: number }, open: OpenFrom, onBytes?: (count: number) => void): Promise<void> {
    // Two images that are pulled at once may share a layer: it comes once.
    let running = this.#resuming.get(blob.digest);
    if (!running) {
      running = this.#resume(blob, open, onBytes).finally(() => this.#resuming.delete(blob.digest));
      this.#resuming.set(blob.digest, running);
    }
    return running;
  }

  async #resume(
    blob: { digest: string; size: number },
    open: OpenFrom,
    onBytes?: (count: number) => void,
  ): Promise<void> {
    const { algorithm, hex } = parseDigest(blob.digest);
    const path = join(this.#partial, `${algorithm}-${hex}`);
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    let isWhole = false;
    try {
      let hash = createHash(algorithm);
      let size = Math.min(fstatSync(fd).size, blob.size);
      if (size > 0) for await (const chunk of createReadStream(path, { end: size - 1 })) hash.update(chunk as Buffer);
      if (size < blob.size) {
        const { offset, body } = await open(size);
        if (offset !== size) {
          hash = createHash(algorithm);
          size = 0;
        }
        ftruncateSync(fd, size);
        onBytes?.(size);
        for await (const chunk of body) {
          for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done, undefined, size + done);
          hash.update(chunk);
          size += chunk.length;
          if (size > blob.size) break;
          onBytes?.(chunk.length);
        }
      }
      if (size < blob.size) verify(blob, '', size);
      isWhole = true;
      verify(blob, `${algorithm}:${hash.digest('hex')}`, size);
      fsyncSync(fd);
      const target = this.path(blob.digest);
      mkdirSync(join(target, '..'), { recursive: true, mode: 0o700 });
      renameSync(path, target);
    } finally {
      closeSync(fd);
      // Content that is whole and wrong will not get better.
      if (isWhole) rmSync(path, { force: true });
    }
  }

  /** Forgets what has come of blobs that nobody fetches now. */
  removePartial(): void {
    for (const name of readdirSync(this.#partial)) rmSync(join(this.#partial, name), { force: true });
  }

  remove(digest: string): void {
    rmSync(this.path(digest), { force: true });
  }

  /** Digests of every blob. */
  list(): string[] {
    const digests: string[] = [];
    for (const algorithm of ['sha256', 'sha512']) {
      const directory = join(this.#root, algorithm);
      if (existsSync(directory)) for (const hex of readdirSync(directory)) digests.push(`${algorithm}:${hex}`);
    }
    return digests;
  }

  #open(): { write(chunk: Uint8Array): void; commit(digest: string): void; abandon(): void } {
    const temporary = join(this.#ingest, String(this.#sequence++));
    const fd = openSync(temporary, 'wx', 0o600);
    return {
      write: (chunk) => {
        for (let offset = 0; offset < chunk.length; ) offset += writeSync(fd, chunk, offset);
      },
      commit: (digest) => {
        const path = this.path(digest);
        mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
        fsyncSync(fd);
        closeSync(fd);
        renameSync(temporary, path);
      },
      abandon: () => {
        closeSync(fd);
        rmSync(temporary, { force: true });
      },
    };
  }
}

function verify(expect: BlobExpectation, digest: string, size: number): void {
  if (expect.size !== undefined && expect.size !== size) {
    const what = size < expect.size ? 'truncated' : 'longer than announced';
    throw new ImageError(
      'corrupt',
      `blob ${expect.digest ?? digest} is ${what}: want ${expect.size} bytes, got ${size}`,
    );
  }
  if (expect.digest !== undefined && expect.digest !== digest) {
    throw new ImageError('corrupt', `blob has digest ${digest}, want ${expect.digest}`);
  }
}
