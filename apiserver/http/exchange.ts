// One HTTP request and its answer, the same for HTTP/1.1 and HTTP/2. Writes each answer exactly once, with the headers
// that every answer carries.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ApiError } from '../../api/errors.ts';
import type { Identity } from '../auth/identity.ts';
import { readBody } from './body.ts';
import { isTrue, type RequestInfo } from './request-info.ts';

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

/** Smaller answers cost more to compress than to send (upstream's threshold). */
const GZIP_FROM_BYTES = 128 * 1024;
/** What is read and thrown away of a body that was refused. */
const DISCARD_LIMIT_BYTES = 16 * 1024 * 1024;
const compress = promisify(gzip);

export class Exchange {
  readonly request: RawRequest;
  readonly response: RawResponse;
  info: RequestInfo;
  readonly auditId: string;
  readonly startedMs: number;
  user: Identity;
  /** Texts of `Warning` headers, in order, each once. */
  readonly warnings = new Set<string>();
  /** Bytes of the answer's body, for metrics. */
  sentBytes = 0;
  #abort: AbortController | undefined;

  constructor(options: {
    request: RawRequest;
    response: RawResponse;
    info: RequestInfo;
    auditId: string;
    user: Identity;
    startedMs: number;
  }) {
    this.request = options.request;
    this.response = options.response;
    this.info = options.info;
    this.auditId = options.auditId;
    this.user = options.user;
    this.startedMs = options.startedMs;
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Aborts when the client goes away before the answer is complete, or through `abort`. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      // A client that left before anybody asked sends no second `close`.
      if (isClosed(this.response)) abort.abort();
      else this.response.once('close', () => abort.abort());
    }
    return this.#abort.signal;
  }

  abort(): void {
    void this.signal;
    this.#abort?.abort();
  }

  get isAnswered(): boolean {
    return this.response.headersSent;
  }

  readBody(): Promise<Buffer> {
    return readBody(this.request as Parameters<typeof readBody>[0]);
  }

  /** Sends `body` as it is. */
  async send(code: number, type: string, body: Buffer, headers?: Readonly<Record<string, string>>): Promise<void> {
    if (this.isAnswered) return;
    let bytes = body;
    this.#setCommonHeaders(type);
    for (const name in headers) this.response.setHeader(name, headers[name] as string);
    if (bytes.length >= GZIP_FROM_BYTES && /\bgzip\b/.test(this.header('accept-encoding') ?? '')) {
      bytes = await compress(bytes, { level: 1 });
      if (this.isAnswered) return;
      this.response.setHeader('content-encoding', 'gzip');
      this.response.setHeader('vary', 'Accept-Encoding');
    }
    this.response.setHeader('content-length', bytes.length);
    this.sentBytes = bytes.length;
    this.response.statusCode = code;
    this.response.end(this.method === 'HEAD' ? '' : bytes);
  }

  /** Sends JSON bytes, indented when the client asks for `pretty`. */
  sendJson(
    code: number,
    json: Buffer | string,
    type = 'application/json',
    headers?: Readonly<Record<string, string>>,
  ): Promise<void> {
    const bytes = typeof json === 'string' ? Buffer.from(json) : json;
    if (!this.#wantsPretty()) return this.send(code, type, bytes, headers);
    const text = JSON.stringify(JSON.parse(bytes.toString('utf8')), null, 2);
    return this.send(code, type, Buffer.from(`${text}\n`), headers);
  }

  sendText(code: number, text: string): Promise<void> {
    return this.send(code, 'text/plain; charset=utf-8', Buffer.from(text), { 'x-content-type-options': 'nosniff' });
  }

  /** 304: the client has it already. */
  sendNotModified(headers: Readonly<Record<string, string>>): void {
    if (this.isAnswered) return;
    this.response.setHeader('audit-id', this.auditId);
    this.response.setHeader('cache-control', 'no-cache, private');
    for (const name in headers) this.response.setHeader(name, headers[name] as string);
    this.response.statusCode = 304;
    this.response.end();
  }

  async sendError(error: ApiError): Promise<void> {
    const retryAfter = error.status.details?.retryAfterSeconds;
    await this.sendJson(error.code, JSON.stringify(error.status), 'application/json', {
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
      ...(error.code === 401 && { 'www-authenticate': 'Bearer realm="kubernetes-master"' }),
    });
    this.#discardBody();
  }

  /** Starts an answer that goes on (a watch, a log): the headers leave at once. */
  startStream(code: number, type: string): void {
    this.#setCommonHeaders(type);
    this.response.statusCode = code;
    (this.response as ServerResponse).flushHeaders();
  }

  /** Reads on what a refused request still sends, so that the client sees the answer; breaks off what does not end. */
  #discardBody(): void {
    const { request } = this;
    if (request.complete || request.destroyed) return;
    let left = DISCARD_LIMIT_BYTES;
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) request.destroy();
    });
    request.on('error', () => {});
    request.resume();
  }

  #setCommonHeaders(type: string): void {
    const { response } = this;
    response.setHeader('content-type', type);
    response.setHeader('audit-id', this.auditId);
    response.setHeader('cache-control', 'no-cache, private');
    if (this.warnings.size > 0)
      response.setHeader('warning', [...this.warnings].map(warningHeader) as unknown as string);
  }

  #wantsPretty(): boolean {
    const asked = this.info.query.get('pretty');
    if (asked !== null) return isTrue(asked);
    const agent = this.header('user-agent') ?? '';
    return agent.startsWith('curl') || agent.startsWith('Wget') || agent.startsWith('Mozilla/5.0');
  }
}

function isClosed(response: RawResponse): boolean {
  const { stream } = response as Http2ServerResponse;
  return stream ? stream.destroyed : (response as ServerResponse).destroyed;
}

/** RFC 7234: code, agent, quoted text. */
export function warningHeader(text: string): string {
  const clean = [...text].map((char) => (char < ' ' || char > '~' ? '?' : char)).join('');
  return `299 - "${clean.replace(/[\\"]/g, '\\$&')}"`;
}
