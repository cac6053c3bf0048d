// Questions for other domains, handed to the host's resolvers over UDP, each on a socket of its own (a fresh source port is what
// protects against forged answers). The next resolver is asked when one is silent.
import { createSocket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { decode, type Packet } from 'dns-packet';

const TIMEOUT_MS = 2_000;

export class Forwarder {
  #upstreams: readonly string[];
  #limit: number;
  #waiting = new Set<() => void>();

  constructor(upstreams: readonly string[], limit: number) {
    this.#upstreams = upstreams;
    this.#limit = limit;
  }

  /** The upstream's answer; undefined when none answers in time, or too many questions wait. */
  async ask(message: Buffer): Promise<Packet | undefined> {
    for (const upstream of this.#upstreams) {
      if (this.#waiting.size >= this.#limit) return undefined;
      const found = await this.#askOne(message, upstream);
      if (found) return found;
    }
    return undefined;
  }

  close(): void {
    for (const cancel of [...this.#waiting]) cancel();
  }

  #askOne(message: Buffer, upstream: string): Promise<Packet | undefined> {
    return new Promise((resolve) => {
      const socket = createSocket(upstream.includes(':') ? 'udp6' : 'udp4');
      const question = Buffer.from(message);
      const id = randomInt(0x10000);
      question.writeUInt16BE(id, 0);
      const finish = (packet?: Packet) => {
        clearTimeout(timer);
        this.#waiting.delete(cancel);
        socket.close();
        resolve(packet);
      };
      const cancel = () => finish();
      const timer = setTimeout(cancel, TIMEOUT_MS);
      this.#waiting.add(cancel);
      socket.on('error', cancel);
      socket.on('message', (reply) => {
        try {
          const packet = decode(reply);
          if (packet.id === id && packet.type === 'response') finish(packet);
        } catch {
          // Not an answer: keep waiting for one.
        }
      });
      socket.connect(53, upstream, () => socket.send(question));
    });
  }
}
