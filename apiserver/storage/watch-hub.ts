// The open watches of a store that holds its history in memory: new events go to each watch whose prefix they match.
import type { Mvcc } from './mvcc.ts';
import type { StoreEvent, WatchBatch } from './port.ts';
import { WatchBuffer } from './watch-buffer.ts';

interface Watch {
  prefix: string;
  /** Only events after this one; a watch may start at a revision not written yet. */
  after: number;
  buffer: WatchBuffer;
}

export class WatchHub {
  #watches = new Set<Watch>();
  #mvcc: Mvcc;
  #limit: number;

  /** `limit`: events that may wait for one reader. */
  constructor(mvcc: Mvcc, limit: number) {
    this.#mvcc = mvcc;
    this.#limit = limit;
  }

  /** Joins history and live events in one synchronous step, so that nothing falls between. Throws CompactedError. */
  open(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    const onAbort = () => buffer.end();
    const watch = { prefix, after: fromRevision } as Watch;
    const buffer = new WatchBuffer(this.#limit, () => {
      this.#watches.delete(watch);
      signal.removeEventListener('abort', onAbort);
    });
    watch.buffer = buffer;
    if (signal.aborted) {
      buffer.end();
      return buffer;
    }
    try {
      buffer.preload(this.#mvcc.eventsSince(prefix, fromRevision));
    } catch (error) {
      buffer.fail(error);
      return buffer;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    this.#watches.add(watch);
    return buffer;
  }

  publish(events: readonly StoreEvent[]): void {
    for (const watch of this.#watches) {
      let matching: StoreEvent[] | undefined;
      for (const event of events) {
        if (event.modRevision > watch.after && event.key.startsWith(watch.prefix)) {
          if (matching) matching.push(event);
          else matching = [event];
        }
      }
      if (matching) watch.buffer.push(matching);
    }
  }

  progress(prefix: string): void {
    for (const watch of this.#watches) {
      if (watch.prefix === prefix) watch.buffer.progress(this.#mvcc.revision);
    }
  }

  close(): void {
    for (const watch of this.#watches) watch.buffer.end();
  }
}
