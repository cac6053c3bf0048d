// A gRPC server on a unix socket, in plain text: unary calls and streams of answers. Deadlines and cancellations reach the handler as
// an aborted signal; what a handler throws is the status of its call.
import http2 from 'node:http2';
import { Deframer, frame } from './frames.ts';
import type { MethodDefinition, ServiceDefinition } from './proto-file.ts';
import { encodeDetails, GrpcError, status } from './status.ts';

/** Where a stream's answers go. */
export interface Sink {
  /** False when the client is slow: the message is kept, and more should wait for `drained`. Nothing is written once the call is over. */
  write(message: object): boolean;
  /** Resolves when the client has read on, or has gone. */
  drained(): Promise<void>;
}

export interface Handlers {
  unary?: Record<string, (request: never, signal: AbortSignal) => Promise<object>>;
  /** The call ends when the promise settles. */
  streams?: Record<string, (request: never, sink: Sink, signal: AbortSignal) => Promise<void>>;
}

export interface GrpcService {
  definition: ServiceDefinition;
  handlers: Handlers;
}

export interface GrpcServer {
  /** Cuts off calls under way. */
  stop(): Promise<void>;
}

interface Route {
  method: MethodDefinition;
  run(call: Call, request: object): Promise<void>;
}

const WINDOW_BYTES = 1 << 20;

export async function serveGrpc(
  socketPath: string,
  services: readonly GrpcService[],
  options: { maxReceiveBytes: number },
): Promise<GrpcServer> {
  const routes = new Map(services.flatMap(routesOf));
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({ settings: { initialWindowSize: WINDOW_BYTES } });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => receive(stream, headers, routes, options.maxReceiveBytes));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return {
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

function routesOf({ definition, handlers }: GrpcService): [string, Route][] {
  const routes: [string, Route][] = [];
  for (const [name, method] of Object.entries(definition)) {
    const unary = handlers.unary?.[name];
    const stream = handlers.streams?.[name];
    if (unary) {
      const run = async (call: Call, request: object) => call.answer(await unary(request as never, call.signal));
      routes.push([method.path, { method, run }]);
    } else if (stream) {
      const run = (call: Call, request: object) => {
        // The handler has begun when the client learns that it is heard.
        const work = stream(request as never, call, call.signal);
        call.open();
        return work.then(() => call.end());
      };
      routes.push([method.path, { method, run }]);
    }
  }
  return routes;
}

/** Reads the one message of a call, then runs it. */
function receive(
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  routes: ReadonlyMap<string, Route>,
  maxReceiveBytes: number,
): void {
  stream.on('error', () => {});
  if (headers[':method'] !== 'POST' || !headers['content-type']?.startsWith('application/grpc')) {
    stream.respond({ ':status': headers[':method'] === 'POST' ? 415 : 405 }, { endStream: true });
    return;
  }
  const path = headers[':path'] ?? '';
  const route = routes.get(path);
  const call = new Call(stream, route?.method, timeoutOf(headers['grpc-timeout']));
  if (!route) {
    call.fail(new GrpcError(status.UNIMPLEMENTED, `The server does not implement the method ${path}`));
    return;
  }
  const deframer = new Deframer(maxReceiveBytes);
  const messages: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    try {
      messages.push(...deframer.push(chunk));
    } catch (error) {
      call.fail(error);
    }
  });
  stream.on('end', () => {
    if (call.isOver) return;
    const [message] = messages;
    if (!message || messages.length > 1 || deframer.partial) {
      call.fail(new GrpcError(status.INTERNAL, 'one message is expected in a request'));
      return;
    }
    let request: object;
    try {
      request = route.method.requestDeserialize(message);
    } catch (error) {
      call.fail(new GrpcError(status.INTERNAL, `Error deserializing request: ${(error as Error).message}`));
      return;
    }
    route.run(call, request).catch((error: unknown) => call.fail(error));
  });
}

class Call implements Sink {
  readonly #stream: http2.ServerHttp2Stream;
  readonly #method: MethodDefinition | undefined;
  readonly #gone = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #trailers: Record<string, string> = { 'grpc-status': '0' };
  #waiting: (() => void) | undefined;

  constructor(stream: http2.ServerHttp2Stream, method: MethodDefinition | undefined, timeoutMs: number | undefined) {
    this.#stream = stream;
    this.#method = method;
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => {
        this.fail(new GrpcError(status.DEADLINE_EXCEEDED, 'Deadline exceeded'));
        this.#gone.abort();
      }, timeoutMs);
    }
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers));
    stream.on('drain', () => this.#wake());
    stream.on('close', () => {
      clearTimeout(this.#timer);
      this.#gone.abort();
      this.#wake();
    });
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Nothing more can be said. */
  get isOver(): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded || (this.#stream.headersSent && !this.#stream.writable);
  }

  open(): void {
    if (this.#stream.headersSent || this.isOver) return;
    this.#stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  }

  answer(message: object): void {
    this.write(message);
    this.end();
  }

  write(message: object): boolean {
    if (this.isOver || !this.#method) return true;
    this.open();
    return this.#stream.write(frame(this.#method.responseSerialize(message)));
  }

  drained(): Promise<void> {
    if (this.isOver || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  end(): void {
    if (this.isOver) return;
    this.open();
    this.#stream.end();
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    const { code, details } =
      error instanceof GrpcError
        ? error
        : { code: status.INTERNAL, details: (error as Error)?.message ?? String(error) };
    const trailers = { 'grpc-status': String(code), 'grpc-message': encodeDetails(details) };
    if (this.#stream.headersSent) {
      this.#trailers = trailers;
      this.#stream.end();
    } else {
      this.#stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
    }
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

const UNITS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function timeoutOf(header: string | string[] | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(header ?? ''));
  if (!match) return undefined;
  return Math.min(LONGEST_TIMER_MS, Number(match[1]) * (UNITS[match[2] as string] as number));
}
