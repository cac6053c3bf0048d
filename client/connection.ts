// HTTP/2 to one server: one session carries every request and watch; a second one is opened only when the server's
// limit of concurrent streams is reached or it said GOAWAY. A dead peer is found by pings. Refuses HTTP/1.
//
//   connecting ──► open ──► draining (GOAWAY: finishes its streams, takes no new ones) ──► closed
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { type ClientConfig, ClientClosedError, NetworkError } from './port.ts';

const pingEveryMs = 15_000;
const pingTimeoutMs = 15_000;
const connectTimeoutMs = 10_000;
/** Until the server's SETTINGS say otherwise. */
const assumedMaxStreams = 100;

/** A request that surely never reached the server: it may be sent again. */
export class UnsentError extends NetworkError {}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  stream: ClientHttp2Stream;
}

export interface Outgoing {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: Uint8Array | string;
  signal?: AbortSignal;
}

interface Link {
  session: ClientHttp2Session;
  ready: Promise<void>;
  draining: boolean;
  streams: number;
  ping: Timer | undefined;
}

export class Connection {
  #config: ClientConfig;
  #clock: Clock;
  #log: Logger;
  #links = new Set<Link>();
  #closed = false;

  constructor(config: ClientConfig, clock: Clock, log: Logger) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Sends a request and resolves with the head of its answer; the caller reads or closes `stream`. Throws UnsentError,
   * NetworkError, or the signal's reason. Aborting `signal` later is the caller's to turn into `stream.close`.
   */
  async open(request: Outgoing): Promise<Answer> {
    request.signal?.throwIfAborted();
    const link = await this.#link();
    request.signal?.throwIfAborted();
    const stream = this.#start(link, request);
    return new Promise<Answer>((resolve, reject) => {
      const onAbort = () => {
        stream.close(constants.NGHTTP2_CANCEL);
        finish(() => reject(request.signal?.reason));
      };
      const onResponse = (headers: Record<string, string | string[] | undefined>) => {
        finish(() => resolve({ status: Number(headers[':status']), headers, stream }));
      };
      const onClose = () => finish(() => reject(this.#lost(request, stream.rstCode)));
      const finish = (settle: () => void) => {
        request.signal?.removeEventListener('abort', onAbort);
        stream.off('response', onResponse);
        stream.off('close', onClose);
        settle();
      };
      request.signal?.addEventListener('abort', onAbort, { once: true });
      stream.on('response', onResponse);
      stream.on('close', onClose);
      stream.on('error', () => {}); // told by 'close' too, with the code in rstCode
      if (request.body !== undefined) stream.end(request.body);
    });
  }

  /** Ends every session; what is in flight fails with NetworkError. */
  close(): void {
    this.#closed = true;
    for (const link of this.#links) link.session.destroy();
  }

  #start(link: Link, request: Outgoing): ClientHttp2Stream {
    const headers: OutgoingHttpHeaders = {
      ':method': request.method,
      ':path': request.path,
      'user-agent': this.#config.userAgent,
      ...(this.#config.token && { authorization: `Bearer ${this.#config.token}` }),
      ...request.headers,
    };
    let stream: ClientHttp2Stream;
    try {
      stream = link.session.request(headers, { endStream: request.body === undefined });
    } catch (cause) {
      link.draining = true;
      throw new UnsentError(`${request.method} ${request.path}: the connection was closing`, { cause });
    }
    link.streams++;
    stream.once('close', () => {
      link.streams--;
      if (link.draining && link.streams === 0) link.session.close();
    });
    return stream;
  }

  #lost(request: Outgoing, code: number | undefined): NetworkError {
    const what = `${request.method} ${this.#config.server}${request.path}`;
    if (code === constants.NGHTTP2_REFUSED_STREAM) return new UnsentError(`${what}: refused by the server`);
    return new NetworkError(`${what}: connection lost before the answer (HTTP/2 code ${code ?? 'none'})`);
  }

  async #link(): Promise<Link> {
    if (this.#closed) throw new ClientClosedError(`client of ${this.#config.server} is closed`);
    for (const link of this.#links) {
      if (link.draining || link.session.destroyed || link.session.closed) continue;
      const max = link.session.remoteSettings?.maxConcurrentStreams ?? assumedMaxStreams;
      if (link.streams >= max) continue;
      await link.ready;
      return link;
    }
    const link = this.#connect();
    await link.ready;
    return link;
  }

  #connect(): Link {
    const { server, caPem, certificatePem, keyPem, insecure } = this.#config;
    const session = connect(server, {
      ...(caPem && { ca: caPem }),
      ...(certificatePem && { cert: certificatePem }),
      ...(keyPem && { key: keyPem }),
      ...(insecure && { rejectUnauthorized: false }),
      settings: { initialWindowSize: 1 << 20, enablePush: false },
      maxSessionMemory: 256, // MB; one session carries every watch and large lists
    });
    const link: Link = { session, ready: Promise.resolve(), draining: false, streams: 0, ping: undefined };
    this.#links.add(link);
    session.on('goaway', () => {
      link.draining = true;
      if (link.streams === 0) session.close();
    });
    session.once('close', () => {
      link.ping?.cancel();
      this.#links.delete(link);
    });
    link.ready = new Promise((resolve, reject) => {
      let failure: unknown;
      const timer = this.#clock.after(connectTimeoutMs, () => session.destroy(new Error('timed out')), {
        background: true,
      });
      session.on('error', (error) => {
        failure = error;
        this.#log.debug({ err: error, server }, 'connection failed');
      });
      session.once('connect', () => {
        timer.cancel();
        session.setLocalWindowSize(8 << 20); // the connection's window, shared by all watches
        this.#schedulePing(link);
        resolve();
      });
      session.once('close', () => {
        timer.cancel();
        const why =
          failure instanceof Error ? failure.message || String((failure as { code?: string }).code) : 'closed';
        reject(new NetworkError(`cannot connect to ${server}: ${why}`, { cause: failure }));
      });
    });
    link.ready.catch(() => {}); // each waiter sees the rejection itself
    return link;
  }

  #schedulePing(link: Link): void {
    link.ping = this.#clock.after(
      pingEveryMs,
      () => {
        if (link.session.destroyed) return;
        const deadline = this.#clock.after(
          pingTimeoutMs,
          () => {
            this.#log.warn({ server: this.#config.server }, 'server does not answer pings; connection dropped');
            link.session.destroy(undefined, constants.NGHTTP2_CANCEL);
          },
          { background: true },
        );
        link.ping = deadline;
        link.session.ping((error) => {
          deadline.cancel();
          if (!error && !link.session.destroyed) this.#schedulePing(link);
        });
      },
      { background: true },
    );
  }
}
