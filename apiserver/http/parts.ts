// Answers that are made of many pieces (lists, Tables) leave through buffers that are used again, as fast as the client
// takes them: no second copy of a long list in memory, no fresh pages for each answer.
import { createGzip } from 'node:zlib';
import type { RawResponse } from './exchange.ts';

/** Encoded bytes (shared: never changed) or text still to be encoded as UTF-8. */
export type Part = Buffer | string;

const CHUNK_BYTES = 256 * 1024;
/** Chunks kept for the next answer: one is in use by each long answer under way. */
const KEPT_CHUNKS = 16;
/** A string takes at most three bytes per UTF-16 unit. */
const UTF8_MAX = 3;
const idle: Buffer[] = [];

export function byteLength(parts: readonly Part[]): number {
  let size = 0;
  for (const part of parts) size += typeof part === 'string' ? Buffer.byteLength(part) : part.length;
  return size;
}

export function joinParts(parts: readonly Part[], size: number): Buffer {
  const whole = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string') at += whole.write(part, at);
    else at += part.copy(whole, at);
  }
  return whole;
}

/**
 * Ends the response. Settles when all is handed to the kernel or the client is gone; never rejects. Parts that are made
 * as they are asked for are made a chunk at a time, with a turn of the loop for others in between.
 */
export async function writeParts(response: RawResponse, parts: Iterable<Part>): Promise<void> {
  const chunk = takeChunk();
  const isPaced = !Array.isArray(parts);
  for (const filled of fill(chunk, parts)) {
    if (!(await written(response, filled))) {
      // Whoever breaks off may still have the chunk in a queue: it is not used again.
      response.end();
      return;
    }
    if (isPaced) await new Promise(setImmediate);
  }
  idle.push(chunk);
  response.end();
}

/** The same, compressed on the way; the length is not known beforehand. */
export async function writeCompressed(response: RawResponse, parts: Iterable<Part>): Promise<void> {
  const gzip = createGzip({ level: 1, chunkSize: 64 * 1024 });
  gzip.on('error', () => response.destroy());
  response.once('close', () => gzip.destroy());
  gzip.pipe(response as NodeJS.WritableStream);
  await writeParts(gzip as unknown as RawResponse, parts);
}

function takeChunk(): Buffer {
  const chunk = idle.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  if (idle.length > KEPT_CHUNKS) idle.length = KEPT_CHUNKS;
  return chunk;
}

/** Yields views of `chunk`, filled from `parts`; it is filled anew when the next one is asked for. */
function* fill(chunk: Buffer, parts: Iterable<Part>): Generator<Buffer> {
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string' && part.length * UTF8_MAX <= chunk.length) {
      if (at + part.length * UTF8_MAX > chunk.length) {
        yield chunk.subarray(0, at);
        at = 0;
      }
      at += chunk.write(part, at);
      continue;
    }
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    for (let from = 0; from < bytes.length; ) {
      if (at === chunk.length) {
        yield chunk;
        at = 0;
      }
      const copied = bytes.copy(chunk, at, from);
      from += copied;
      at += copied;
    }
  }
  if (at > 0) yield chunk.subarray(0, at);
}

/** True once the bytes have left; false when the other side is gone. */
function written(response: RawResponse, bytes: Buffer): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const gone = () => resolve(false);
    response.once('close', gone);
    (response as NodeJS.WritableStream).write(bytes, (error) => {
      response.off('close', gone);
      resolve(!error);
    });
  });
}
