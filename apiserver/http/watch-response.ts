// A watch's answer: headers at once, then the cache's lines as they are, with back-pressure; the cache ends a watch
// whose reader does not keep up, and an error on the way becomes an ERROR event.
import { ApiError, errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { Clock } from '../../lib/clock.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import type { CacheEvent } from '../cache/port.ts';
import type { Exchange, RawResponse } from './exchange.ts';
import type { Shape } from './negotiate.ts';
import { includeObjectOf, shapedEvent } from './render.ts';

/** Lines are joined up to this size, so that a burst is few writes and no write is huge. */
const CHUNK_BYTES = 64 * 1024;

/** Ends after `timeoutMs`, when the client leaves, or when `batches` ends. */
export async function streamWatch(
  exchange: Exchange,
  kind: Kind,
  batches: AsyncIterable<CacheEvent[]>,
  shape: Shape,
  options: { timeoutMs: number; clock: Clock },
): Promise<void> {
  const { response } = exchange;
  exchange.startStream(200, 'application/json');
  const timer = options.clock.after(options.timeoutMs, () => exchange.abort(), { background: true });
  const encode = lineEncoder(exchange, kind, shape, options.clock);
  try {
    for await (const batch of batches) {
      let lines: Buffer[] = [];
      let size = 0;
      for (const event of batch) {
        const line = encode(event);
        lines.push(line);
        size += line.length;
        if (size < CHUNK_BYTES) continue;
        if (!(await write(response, lines, exchange))) return;
        lines = [];
        size = 0;
      }
      if (lines.length > 0 && !(await write(response, lines, exchange))) return;
    }
  } catch (error) {
    const status = watchError(error).status;
    (response as { write(text: string): boolean }).write(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
    if (!(error instanceof ApiError) && !(error instanceof StreamOverflowError)) throw error;
  } finally {
    timer.cancel();
    response.end();
  }
}

/** A slow reader is told to list again, as upstream does when it drops one. */
function watchError(error: unknown): ApiError {
  if (error instanceof StreamOverflowError) return errors.expired('the watch fell too far behind; list again');
  return ApiError.from(error);
}

function lineEncoder(exchange: Exchange, kind: Kind, shape: Shape, clock: Clock): (event: CacheEvent) => Buffer {
  if (shape.kind === 'object') return (event) => event.line;
  const includeObject = includeObjectOf(exchange);
  let isFirst = true;
  return (event) => {
    const object = shapedEvent(kind, event.entry.object, shape, { nowMs: clock.now(), includeObject, isFirst });
    isFirst = false;
    return Buffer.from(`${JSON.stringify({ type: event.type, object })}\n`);
  };
}

/** False when the client is gone. */
function write(response: RawResponse, lines: Buffer[], exchange: Exchange): Promise<boolean> | boolean {
  if (exchange.signal.aborted) return false;
  const chunk = lines.length === 1 ? (lines[0] as Buffer) : Buffer.concat(lines);
  exchange.sentBytes += chunk.length;
  if ((response as { write(chunk: Buffer): boolean }).write(chunk)) return true;
  return new Promise((resolve) => {
    const settle = () => {
      response.off('drain', settle);
      response.off('close', settle);
      resolve(!exchange.signal.aborted);
    };
    response.on('drain', settle);
    response.on('close', settle);
  });
}
