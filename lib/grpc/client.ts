// A gRPC client over one HTTP/2 connection in plain text: unary calls and streams of answers. It connects when it is called, and again
// when the connection has gone; a call that meets no server fails at once, it does not wait for one.
import http2 from 'node:http2';
import { connect } from 'node:net';
import { Deframer, frame } from './frames.ts';
import type { MethodDefinition } from './proto-file.ts';
import { decodeDetails, GrpcError, status, type StatusCode } from './status.ts';

export type GrpcTarget = { socketPath: string } | { host: string; port: number };

export interface CallOptions {
  /** The server is told of it too; default: none. */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface GrpcClient {
  /** @throws GrpcError */
  unary<Answer>(method: MethodDefinition, request: object, options?: CallOptions): Promise<Answer>;
  /** Answers at the speed of the reader; `onOpen` once the server has accepted the call. Leaving the loop cancels the call. @throws GrpcError */
  stream<Answer>(
    method: MethodDefinition,
    request: object,
    options?: CallOptions & { onOpen?: (() => void) | undefined },
  ): AsyncGenerator<Answer, void, undefined>;
  /** Calls under way fail. */
  close(): void;
}

const WINDOW_BYTES = 1 << 20;

export function createGrpcClient(target: GrpcTarget, options: { maxReceiveBytes?: number } = {}): GrpcClient {
  const { maxReceiveBytes = 4 << 20 } = options;
  let connection: Connection | undefined;
  let closed = false;
  const start = (method: MethodDefinition, request: object, callOptions: CallOptions) => {
    if (closed) throw new GrpcError(status.CANCELLED, 'the client is closed');
    if (callOptions.signal?.aborted) throw new GrpcError(status.CANCELLED, 'Cancelled on client');
    const bytes = method.requestSerialize(request);
    if (!connection?.usable) connection = new Connection(target);
    return new Call(connection, method, frame(bytes), callOptions);
  };
  return {
    async unary(method, request, callOptions = {}) {
      const call = start(method, request, callOptions);
      const deframer = new Deframer(maxReceiveBytes);
      let answer: Buffer | undefined;
      let failure: unknown;
      call.stream.on('data', (chunk: Buffer) => {
        try {
          answer = deframer.push(chunk)[0] ?? answer;
        } catch (error) {
          failure = error;
          call.cancel();
        }
      });
      await call.ended.catch((error: unknown) => {
        throw failure ?? error;
      });
      if (!answer) throw new GrpcError(status.INTERNAL, 'the call succeeded without an answer');
      return method.responseDeserialize(answer) as never;
    },

    async *stream(method, request, callOptions = {}) {
      const call = start(method, request, callOptions);
      // Whoever stops reading does not ask how it ended.
      call.ended.catch(() => {});
      if (callOptions.onOpen) call.stream.once('response', callOptions.onOpen);
      const deframer = new Deframer(maxReceiveBytes);
      try {
        try {
          for await (const chunk of call.stream as AsyncIterable<Buffer>) {
            for (const message of deframer.push(chunk)) yield method.responseDeserialize(message) as never;
          }
        } catch (error) {
          // What the stream failed with is told by how the call ended.
          if (error instanceof GrpcError || error instanceof RangeError) throw error;
        }
        await call.ended;
      } finally {
        call.cancel();
      }
    },

    close() {
      closed = true;
      connection?.close();
    },
  };
}

class Connection {
  readonly session: http2.ClientHttp2Session;
  readonly authority: string;
  /** Why there is none, once that is known. */
  failure: Error | undefined;

  constructor(target: GrpcTarget) {
    // What stands for a unix socket in grpc-go and grpc-js too.
    this.authority =
      'socketPath' in target
        ? 'localhost'
        : `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
    this.session = http2.connect(`http://${this.authority}`, {
      createConnection: () =>
        'socketPath' in target
          ? connect({ path: target.socketPath })
          : connect({ host: target.host, port: target.port }),
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    this.session.on('error', (error) => {
      this.failure ??= error;
    });
  }

  get usable(): boolean {
    return !this.session.closed && !this.session.destroyed;
  }

  close(): void {
    this.session.destroy();
  }
}

class Call {
  readonly stream: http2.ClientHttp2Stream;
  /** Settles once, with the status that the server gave or that follows from how it went away. */
  readonly ended: Promise<void>;
  #connection: Connection;
  #failure: GrpcError | undefined;
  #status: { code: StatusCode; details: string } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(connection: Connection, method: MethodDefinition, body: Buffer, options: CallOptions) {
    this.#connection = connection;
    const { timeoutMs, signal } = options;
    this.stream = connection.session.request({
      ':method': 'POST',
      ':path': method.path,
      ':authority': connection.authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'sampan',
      ...(timeoutMs !== undefined && { 'grpc-timeout': timeoutHeader(timeoutMs) }),
    });
    const { stream } = this;
    stream.on('response', (headers) => this.#onHeaders(headers));
    stream.on('trailers', (trailers) => this.#readStatus(trailers));
    stream.on('error', () => {});
    stream.end(body);
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(
        () => this.#fail(new GrpcError(status.DEADLINE_EXCEEDED, `Deadline exceeded after ${timeoutMs / 1000}s`)),
        timeoutMs,
      );
    }
    const onAbort = () => this.#fail(new GrpcError(status.CANCELLED, 'Cancelled on client'));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.ended = new Promise((resolve, reject) => {
      stream.once('close', () => {
        clearTimeout(this.#timer);
        signal?.removeEventListener('abort', onAbort);
        const { code, details } = this.#failure ?? this.#status ?? this.#withoutStatus();
        if (code === status.OK) resolve();
        else reject(this.#failure ?? new GrpcError(code, details));
      });
    });
  }

  cancel(): void {
    if (!this.stream.closed) this.stream.close(http2.constants.NGHTTP2_CANCEL);
  }

  #fail(error: GrpcError): void {
    this.#failure ??= error;
    this.cancel();
  }

  #onHeaders(headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader): void {
    this.#readStatus(headers);
    const http = headers[':status'] ?? 200;
    if (http !== 200 && !this.#status) {
      this.#status = { code: codeOfHttp(http), details: `Received HTTP status code ${http}` };
    }
  }

  #readStatus(headers: http2.IncomingHttpHeaders): void {
    const code = headers['grpc-status'];
    if (code === undefined) return;
    const details = decodeDetails(String(headers['grpc-message'] ?? ''));
    this.#status = { code: (Number(code) in codes ? Number(code) : status.UNKNOWN) as StatusCode, details };
  }

  #withoutStatus(): { code: StatusCode; details: string } {
    const { failure, usable } = this.#connection;
    if (failure) {
      return { code: status.UNAVAILABLE, details: `No connection established. Last error: ${failure.message}` };
    }
    if (!usable) return { code: status.UNAVAILABLE, details: 'Connection dropped' };
    const reset = this.stream.rstCode;
    return { code: codeOfReset(reset), details: `Received RST_STREAM with code ${reset}` };
  }
}

const codes: Record<number, true> = Object.fromEntries(Object.values(status).map((code) => [code, true]));

/** At most eight digits. */
function timeoutHeader(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.ceil(whole / 1000)}S`;
}

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function codeOfHttp(http: number): StatusCode {
  if (http === 400) return status.INTERNAL;
  if (http === 401) return status.UNAUTHENTICATED;
  if (http === 403) return status.PERMISSION_DENIED;
  if (http === 404) return status.UNIMPLEMENTED;
  return [429, 502, 503, 504].includes(http) ? status.UNAVAILABLE : status.UNKNOWN;
}

function codeOfReset(reset: number): StatusCode {
  const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INADEQUATE_SECURITY } =
    http2.constants;
  if (reset === NGHTTP2_CANCEL) return status.CANCELLED;
  if (reset === NGHTTP2_REFUSED_STREAM) return status.UNAVAILABLE;
  if (reset === NGHTTP2_ENHANCE_YOUR_CALM) return status.RESOURCE_EXHAUSTED;
  return reset === NGHTTP2_INADEQUATE_SECURITY ? status.PERMISSION_DENIED : status.INTERNAL;
}
