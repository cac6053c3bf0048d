// Messages on an HTTP/2 stream: a flag byte, four bytes of length, the message. Compressed ones are refused: nobody was told that they
// would be understood.
import { GrpcError, status } from './status.ts';

const PREFIX = 5;

export function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX);
  return framed;
}

/** Cuts chunks into messages of at most `maxBytes`. */
export class Deframer {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #wanted = PREFIX;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True while a message has come in part only. */
  get partial(): boolean {
    return this.#held > 0;
  }

  /** The messages that are whole now. @throws GrpcError */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const messages: Buffer[] = [];
    while (this.#held >= this.#wanted) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      const length = all.readUInt32BE(1);
      if (all[0] !== 0) throw new GrpcError(status.UNIMPLEMENTED, 'compressed messages are not supported');
      if (length > this.#maxBytes) {
        throw new GrpcError(
          status.RESOURCE_EXHAUSTED,
          `Received message larger than max (${length} vs. ${this.#maxBytes})`,
        );
      }
      const end = PREFIX + length;
      const whole = all.length >= end;
      if (whole) messages.push(all.subarray(PREFIX, end));
      const rest = whole ? all.subarray(end) : all;
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#held = rest.length;
      this.#wanted = whole ? PREFIX : end;
    }
    return messages;
  }
}
