// Request bodies: read whole, with a limit in bytes.
import type { Readable } from 'node:stream';
import { ApiError, errors } from '../../api/errors.ts';

/** Upstream's limit for one request body. */
export const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

/**
 * Resolves to the body; `announcedBytes` is its Content-Length, 0 when it has none; throws 413 above `limitBytes` (what was read is dropped at once) and 400 when the client goes
 * away in the middle.
 */
export function readBody(stream: Readable, announcedBytes = 0, limitBytes = BODY_LIMIT_BYTES): Promise<Buffer> {
  if (announcedBytes > limitBytes) return Promise.reject(errors.requestTooLarge(limitBytes));
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let size = 0;
    const settle = (error: ApiError | undefined) => {
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('close', onClose);
      if (error) reject(error);
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) {
        chunks = [];
        settle(errors.requestTooLarge(limitBytes));
        stream.pause();
      } else chunks.push(chunk);
    };
    const onEnd = () => settle(undefined);
    const onClose = () => settle(errors.badRequest('the request body ended before it was complete'));
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('close', onClose);
    // Errors are followed by close; without a listener they would end the process.
    stream.on('error', () => {});
  });
}
