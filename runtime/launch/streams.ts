// An exec or attach: frames on one socket become streams. Output that nobody reads stops the socket at 256 KiB, and with
// it the process; both outputs must be read.
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { LaunchError, type ProcessStreams } from './port.ts';
import { sizePayload } from './shim.ts';
import { encodeFrame, FrameReader } from './wire.ts';

const BEHIND_LIMIT = 256 * 1024;
const STDIN_FRAME = 32 * 1024;

/** A byte stream with one reader; the pump asks it how much it holds. */
class Output implements AsyncIterableIterator<Uint8Array> {
  bytes = 0;
  #chunks: Uint8Array[] = [];
  #ended = false;
  #left = false;
  #waiting: ((result: IteratorResult<Uint8Array>) => void) | undefined;
  #drained: () => void;

  constructor(drained: () => void) {
    this.#drained = drained;
  }

  push(chunk: Uint8Array): void {
    if (this.#left || this.#ended) return;
    if (this.#waiting) {
      this.#waiting({ value: chunk, done: false });
      this.#waiting = undefined;
      return;
    }
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  end(): void {
    this.#ended = true;
    this.#waiting?.({ value: undefined, done: true });
    this.#waiting = undefined;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.bytes -= chunk.length;
      this.#drained();
      return Promise.resolve({ value: chunk, done: false });
    }
    if (this.#ended || this.#left) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** The reader leaves: what comes later is thrown away, so that the process does not stop. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#left = true;
    this.#chunks = [];
    this.bytes = 0;
    this.#drained();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** `ready` resolves when the other side has taken an attach. */
export function openStreams(socket: Socket, withStdin: boolean): ProcessStreams & { ready: Promise<void> } {
  const frames = new FrameReader();
  const drained = () => {
    if (stdout.bytes + stderr.bytes < BEHIND_LIMIT) socket.resume();
  };
  const stdout = new Output(drained);
  const stderr = new Output(drained);
  const exit = Promise.withResolvers<number>();
  const ready = Promise.withResolvers<void>();
  exit.promise.catch(() => undefined);
  ready.promise.catch(() => undefined);
  let closing = false;

  socket.on('data', (bytes: Buffer) => {
    for (const { kind, payload } of frames.push(bytes)) {
      if (kind === '1') stdout.push(payload);
      else if (kind === '2') stderr.push(payload);
      else if (kind === 'x') exit.resolve(payload.readInt32LE(0));
      else if (kind === 'K') ready.resolve();
    }
    if (stdout.bytes + stderr.bytes >= BEHIND_LIMIT) socket.pause();
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    const lost = new LaunchError('session', 'ECONNRESET', 'the connection to the process was lost');
    if (closing) exit.resolve(137);
    exit.reject(lost);
    ready.reject(lost);
    stdout.end();
    stderr.end();
  });
  // allowHalfOpen sockets do not close by themselves when the other side ends.
  socket.once('end', () => socket.end());

  const stdin = withStdin
    ? new Writable({
        write(chunk: Buffer, _encoding, done) {
          for (let at = 0; at < chunk.length; at += STDIN_FRAME) {
            const last = at + STDIN_FRAME >= chunk.length;
            socket.write(
              encodeFrame('i', chunk.subarray(at, at + STDIN_FRAME)),
              last ? (error) => done(error) : undefined,
            );
          }
          if (chunk.length === 0) done();
        },
        final(done) {
          if (!socket.destroyed) socket.write(encodeFrame('e'));
          done();
        },
      })
    : undefined;
  // A process that is gone takes no input; that is not the writer's failure.
  stdin?.on('error', () => undefined);

  return {
    stdin,
    stdout,
    stderr,
    exit: exit.promise,
    ready: ready.promise,
    resize(width, height) {
      if (!socket.destroyed) socket.write(encodeFrame('r', sizePayload(width, height)));
    },
    close() {
      closing = true;
      socket.destroy();
    },
  };
}
