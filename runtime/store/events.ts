// Fan-out of container and sandbox events to GetContainerEvents. A reader that falls behind is ended, so that it
// lists again; events of a recovery wait for the first reader.
import { BoundedStream } from '../../lib/stream.ts';

/** Events that may wait for one reader, and that are kept for the first reader after a start. */
export const eventLimit = 1000;

export class EventHub<E> {
  #readers = new Set<BoundedStream<E>>();
  #backlog: E[] | undefined = [];

  emit(event: E): void {
    if (this.#backlog) {
      if (this.#backlog.length < eventLimit) this.#backlog.push(event);
      return;
    }
    for (const reader of this.#readers) reader.push(event);
  }

  subscribe(): BoundedStream<E> {
    const reader: BoundedStream<E> = new BoundedStream<E>({
      limit: eventLimit,
      onClose: () => void this.#readers.delete(reader),
    });
    this.#readers.add(reader);
    for (const event of this.#backlog ?? []) reader.push(event);
    this.#backlog = undefined;
    return reader;
  }

  close(): void {
    for (const reader of this.#readers) reader.end();
  }
}
