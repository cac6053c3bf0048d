// A watch's bytes as events: one JSON object per line, chunk-safe (a line or a character may be cut anywhere), with a
// bounded line length. Nothing is buffered beyond one line and HTTP/2's window: a slow reader holds the server back.
import type { KubeObject } from '../api/object.ts';
import { NetworkError, type WatchEvent } from './port.ts';
import { apiErrorOf } from './status.ts';

const newline = 0x0a;
/** Far above the largest object a server stores (upstream: 3 MiB). */
export const maxLineBytes = 32 << 20;

/** Splits a byte stream into lines; empty lines are skipped, an unfinished last line is dropped (its event was cut). */
export class LineSplitter {
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #limit: number;

  constructor(limitBytes = maxLineBytes) {
    this.#limit = limitBytes;
  }

  /** The lines that `chunk` completes. Throws NetworkError when a line exceeds the limit. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end < 0) break;
      this.#keep(chunk.subarray(start, end));
      const line = this.#take();
      if (line !== '') lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#pendingBytes += part.length;
    if (this.#pendingBytes > this.#limit) throw new NetworkError(`a line of the watch exceeds ${this.#limit} bytes`);
    this.#pending.push(part);
  }

  #take(): string {
    const first = this.#pending[0];
    const bytes =
      this.#pending.length === 1 && first
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    return bytes.toString('utf8');
  }
}

interface RawEvent {
  type: string;
  object: unknown;
}

/** Parses one line. An ERROR event is thrown as ApiError, anything unreadable as NetworkError. */
export function parseWatchEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  let event: RawEvent;
  try {
    event = JSON.parse(line) as RawEvent;
  } catch (cause) {
    throw new NetworkError('a line of the watch is not JSON', { cause });
  }
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event.type, object: event.object as T };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', object: event.object as KubeObject };
    case 'ERROR':
      throw apiErrorOf(event.object, 500);
    default:
      throw new NetworkError(`a watch event has the unknown type ${JSON.stringify(event.type)}`);
  }
}

export async function* watchEvents<T extends KubeObject>(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent<T>> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    for (const line of splitter.push(chunk)) yield parseWatchEvent<T>(line);
  }
}

/** True on the bookmark that ends the initial state of a watch opened with sendInitialEvents. */
export function isInitialEventsEnd(event: WatchEvent<KubeObject>): boolean {
  return event.type === 'BOOKMARK' && event.object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true';
}
