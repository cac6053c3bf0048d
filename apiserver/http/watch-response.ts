// A watch's answer: headers at once, then the cache's lines as they are, with back-pressure; the cache ends a watch
// whose reader does not keep up, and an error on the way becomes an ERROR event.
import { ApiError, errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Counter, Histogram } from '../../lib/metrics.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import type { CacheEvent } from '../cache/port.ts';
import type { Exchange, RawResponse } from './exchange.ts';
import { type Negotiated, PROTOBUF, type Shape } from './negotiate.ts';
import { errorFrame, eventFrame } from './protobuf-answers.ts';
import { includeObjectOf, shapedEvent } from './render.ts';

/** Lines are joined up to this size, so that a burst is few writes and no write is huge. */
const CHUNK_BYTES = 64 * 1024;

export interface WatchStreamOptions {
  timeoutMs: number;
  clock: Clock;
  /** Counts what is sent. */
  sent: { events: Counter; sizes: Histogram };
  /** Called once the state that the watch begins with is out, for those that ask for one. */
  onListed?: (() => void) | undefined;
}

/** Ends after `timeoutMs`, when the client leaves, or when `batches` ends. */
export async function streamWatch(
  exchange: Exchange,
  kind: Kind,
  batches: AsyncIterable<CacheEvent[]>,
  { shape, mediaType }: Negotiated,
  options: WatchStreamOptions,
): Promise<void> {
  const { response } = exchange;
  const isProtobuf = mediaType === PROTOBUF;
  let isWriting = false;
  let { onListed } = options;
  exchange.startStream(200, isProtobuf ? `${PROTOBUF};stream=watch` : 'application/json');
  const timer = options.clock.after(options.timeoutMs, () => exchange.abort(), { background: true });
  const encode: Encode = isProtobuf
    ? (event) => eventFrame(kind, event, shape)
    : shape.kind === 'object'
      ? ownLine
      : lineEncoder(exchange, kind, shape, options.clock);
  try {
    // What a watch begins with is there at once: when nothing is being written after a turn of the loop, there is nothing.
    setImmediate(() => !isWriting && exchange.onInitialized?.());
    for await (const batch of batches) {
      isWriting = true;
      for (const chunk of chunksOf(batch, encode)) {
        if (!(await write(response, chunk, exchange))) return;
      }
      countEvents(batch, options.sent);
      if (onListed && batch.at(-1)?.type === 'BOOKMARK') {
        onListed();
        onListed = undefined;
      }
      isWriting = false;
      exchange.onInitialized?.();
    }
  } catch (error) {
    const status = watchError(error).status;
    const last = isProtobuf ? errorFrame(status) : `${JSON.stringify({ type: 'ERROR', object: status })}\n`;
    (response as { write(last: string | Buffer): boolean }).write(last);
    if (!(error instanceof ApiError) && !(error instanceof StreamOverflowError)) throw error;
  } finally {
    timer.cancel();
    response.end();
  }
}

function countEvents(batch: readonly CacheEvent[], sent: WatchStreamOptions['sent']): void {
  sent.events.inc(batch.length);
  for (const { line } of batch) sent.sizes.observe(line.length);
}

/** A slow reader is told to list again, as upstream does when it drops one. */
export function watchError(error: unknown): ApiError {
  if (error instanceof StreamOverflowError) return errors.expired('the watch fell too far behind; list again');
  return ApiError.from(error);
}

type Encode = (event: CacheEvent) => Buffer;

/** Events from which on a batch is not joined before it is written: as many as the cache makes of a present state. */
const LONG_BATCH = 500;

/** What was joined of a batch of the cache's own lines: watchers that want the same get the same batch. */
const joined = new WeakMap<CacheEvent[], readonly Buffer[]>();

function chunksOf(batch: CacheEvent[], encode: Encode): Iterable<Buffer> {
  const only = batch[0];
  if (only && batch.length === 1) return [encode(only)];
  // What a watch begins with is its own, and may be long: made as its reader takes it.
  if (encode !== ownLine || batch.length >= LONG_BATCH) return join(batch, encode);
  let chunks = joined.get(batch);
  if (!chunks) {
    chunks = [...join(batch, encode)];
    joined.set(batch, chunks);
  }
  return chunks;
}

const ownLine: Encode = (event) => event.line;

function* join(batch: readonly CacheEvent[], encode: Encode): Generator<Buffer> {
  let lines: Buffer[] = [];
  let size = 0;
  for (const event of batch) {
    const line = encode(event);
    lines.push(line);
    size += line.length;
    if (size < CHUNK_BYTES) continue;
    yield lines.length === 1 ? line : Buffer.concat(lines, size);
    lines = [];
    size = 0;
  }
  if (lines.length > 0) yield Buffer.concat(lines, size);
}

export function lineEncoder(exchange: Exchange, kind: Kind, shape: Shape, clock: Clock): Encode {
  const includeObject = includeObjectOf(exchange);
  let isFirst = true;
  return (event) => {
    const object = shapedEvent(kind, event.entry.object, shape, { nowMs: clock.now(), includeObject, isFirst });
    isFirst = false;
    return Buffer.from(`${JSON.stringify({ type: event.type, object })}\n`);
  };
}

/** False when the client is gone. */
function write(response: RawResponse, chunk: Buffer, exchange: Exchange): Promise<boolean> | boolean {
  if (exchange.signal.aborted) return false;
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
