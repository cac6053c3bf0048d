// One HTTP request and its answer, the same for HTTP/1.1 and HTTP/2. Writes each answer exactly once, with the headers
// that every answer carries.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import { type ApiError, errors } from '../../api/errors.ts';
import { writeYaml } from '../../api/yaml-write.ts';
import type { Identity } from '../auth/identity.ts';
import type { AuditRecord } from '../audit/record.ts';
import type { Flow } from '../flowcontrol/flow-control.ts';
import { readBody } from './body.ts';
import { plainMediaType, PROTOBUF, YAML } from './negotiate.ts';
import { byteLength, joinParts, type Part, writeCompressed, writeParts } from './parts.ts';
import { plainProtobuf } from './protobuf-answers.ts';
import { isTrue, type RequestInfo } from './request-info.ts';
import { warningTexts } from './warnings.ts';

/** A request as it arrived; over HTTP/2 body and response are the same stream. */
export interface RawRequest {
  method: string;
  /** The request target as sent. */
  url: string;
  headers: IncomingHttpHeaders;
  body: IncomingMessage | ServerHttp2Stream;
  response: RawResponse;
  /** An HTTP/1.1 request to switch protocols: the connection, and what came after the request's head. */
  upgrade?: { socket: Duplex; head: Buffer };
}

export type RawResponse = ServerResponse | ServerHttp2Stream;
type Headers = Record<string, string | number | string[]>;

/** Smaller answers cost more to compress than to send (upstream's threshold). */
const GZIP_FROM_BYTES = 128 * 1024;
/** Up to here an answer leaves as one buffer. */
const WHOLE_BYTES = 64 * 1024;
/** What is read and thrown away of a body that was refused. */
const DISCARD_LIMIT_BYTES = 16 * 1024 * 1024;

export class Exchange {
  readonly request: RawRequest;
  readonly response: RawResponse;
  info: RequestInfo;
  readonly auditId: string;
  readonly startedMs: number;
  user: Identity;
  /** Texts of `Warning` headers, in order, each once. */
  readonly warnings = new Set<string>();
  /** What admission notes for the audit log, by key. */
  readonly auditAnnotations = new Map<string, string>();
  /** When it has to be over, on the scale of `performance.now`. */
  deadlineMs = Number.POSITIVE_INFINITY;
  isExpired = false;
  /** What it waited for a seat and for others; no part of its own time. */
  waitedSeconds = 0;
  /** Undefined when it is not to be audited. */
  audit: AuditRecord | undefined;
  /** The FlowSchema and priority level it runs under. */
  flow: Flow | undefined;
  /** Called when a watch has sent what it begins with. */
  onInitialized: (() => void) | undefined;
  /** Bytes of the request's body, once it was read. */
  receivedBytes = 0;
  /** Bytes of the answer's body, for metrics. */
  sentBytes = 0;
  /** The answer's status code once it has begun; 200 before. */
  code = 200;
  #abort: AbortController | undefined;
  #isHandedOn = false;

  constructor(options: {
    request: RawRequest;
    info: RequestInfo;
    auditId: string;
    user: Identity;
    startedMs: number;
  }) {
    this.request = options.request;
    this.response = options.request.response;
    this.info = options.info;
    this.auditId = options.auditId;
    this.user = options.user;
    this.startedMs = options.startedMs;
  }

  get method(): string {
    return this.request.method;
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
      if (this.response.destroyed) abort.abort();
      else this.response.once('close', () => abort.abort());
    }
    return this.#abort.signal;
  }

  abort(): void {
    void this.signal;
    this.#abort?.abort();
  }

  /** The address of the peer; empty when the connection is gone. */
  get remoteAddress(): string {
    const { body } = this.request;
    const connection = 'session' in body ? body.session : body;
    return connection?.socket?.remoteAddress ?? '';
  }

  get isAnswered(): boolean {
    return this.#isHandedOn || this.response.headersSent;
  }

  get isUpgrade(): boolean {
    return this.request.upgrade !== undefined;
  }

  /** The connection of an upgrade, from now on the caller's: nothing is answered here any more. */
  takeConnection(): { socket: Duplex; head: Buffer } {
    const { upgrade } = this.request;
    if (!upgrade || this.isAnswered) throw new Error('there is no connection to take over');
    this.#isHandedOn = true;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.code = 101;
    upgrade.socket.once('close', () => this.abort());
    (this.response as ServerResponse).detachSocket(upgrade.socket as Socket);
    return upgrade;
  }

  async readBody(): Promise<Buffer> {
    if (this.isUpgrade) throw errors.badRequest('a request with a body cannot ask for an upgrade');
    const body = await readBody(this.request.body, Number(this.request.headers['content-length'] ?? 0));
    this.receivedBytes = body.length;
    this.audit?.requestBody(body);
    return body;
  }

  /** Notes something for the audit log, at that level and above. What was said first stands. */
  annotate(key: string, value: string, level: 'Metadata' | 'Request' = 'Metadata'): void {
    if (level === 'Request' && !this.audit?.keepsRequest) return;
    if (!this.auditAnnotations.has(key)) this.auditAnnotations.set(key, value);
  }

  /** Sends `body` as it is. */
  send(code: number, type: string, body: Buffer, headers?: Readonly<Record<string, string>>): Promise<void> {
    return this.#send(code, type, [body], headers);
  }

  async #send(
    code: number,
    type: string,
    body: readonly Part[],
    headers?: Readonly<Record<string, string>>,
    json = body,
  ): Promise<void> {
    if (this.isAnswered) return;
    const size = byteLength(body);
    const all: Headers = this.#commonHeaders(type);
    for (const name in headers) all[name] = headers[name] as string;
    this.sentBytes = size;
    const { response, audit } = this;
    if (audit && (audit.keepsResponse || code >= 400)) audit.response(code, joinParts(json, byteLength(json)));
    if (size >= GZIP_FROM_BYTES && /\bgzip\b/.test(this.header('accept-encoding') ?? '')) {
      all['content-encoding'] = 'gzip';
      all['vary'] = 'Accept-Encoding';
      this.#begin(code, all);
      if (this.method === 'HEAD') response.end();
      else await writeCompressed(response, body);
      return;
    }
    all['content-length'] = size;
    this.#begin(code, all);
    const [only] = body;
    if (this.method === 'HEAD') response.end();
    else if (body.length === 1 && Buffer.isBuffer(only)) response.end(only);
    else if (size <= WHOLE_BYTES) response.end(joinParts(body, size));
    else await writeParts(response, body);
  }

  /** Sends JSON bytes: indented when the client asks for `pretty`, as YAML when `type` is that. */
  sendJson(
    code: number,
    json: readonly Part[] | Part,
    type = 'application/json',
    headers?: Readonly<Record<string, string>>,
  ): Promise<void> {
    const parts = typeof json === 'string' ? [Buffer.from(json)] : Buffer.isBuffer(json) ? [json] : json;
    if (type === YAML) {
      const text = writeYaml(JSON.parse(joinParts(parts, byteLength(parts)).toString('utf8')));
      return this.#send(code, type, [Buffer.from(text)], headers, parts);
    }
    if (type === PROTOBUF) {
      const whole = joinParts(parts, byteLength(parts));
      const message = plainProtobuf(JSON.parse(whole.toString('utf8')));
      return message
        ? this.#send(code, type, [message], headers, parts)
        : this.#send(code, 'application/json', parts, headers);
    }
    if (!this.wantsPretty) return this.#send(code, type, parts, headers);
    const whole = joinParts(parts, byteLength(parts));
    const text = JSON.stringify(JSON.parse(whole.toString('utf8')), null, 2);
    return this.send(code, type, Buffer.from(`${text}\n`), headers);
  }

  /**
   * Sends what is made piece by piece: whole when it is short, else as the client takes it, so that nobody else waits for a
   * long answer to be made. `json` is asked for what the audit log keeps.
   */
  async sendPieces(code: number, type: string, pieces: Iterable<Part>, json: () => readonly Part[]): Promise<void> {
    const iterator = pieces[Symbol.iterator]();
    const first: Part[] = [];
    let size = 0;
    while (size < GZIP_FROM_BYTES) {
      const next = iterator.next();
      if (next.done) return this.#send(code, type, first, undefined, this.audit?.keepsResponse ? json() : first);
      first.push(next.value);
      size += byteLength([next.value]);
    }
    if (this.isAnswered) return;
    const headers: Headers = this.#commonHeaders(type);
    const compresses = /\bgzip\b/.test(this.header('accept-encoding') ?? '');
    if (compresses) {
      headers['content-encoding'] = 'gzip';
      headers['vary'] = 'Accept-Encoding';
    }
    if (this.audit?.keepsResponse) {
      const parts = json();
      this.audit.response(code, joinParts(parts, byteLength(parts)));
    }
    this.#begin(code, headers);
    const rest = this.#counted(first, iterator);
    if (this.method === 'HEAD') this.response.end();
    else await (compresses ? writeCompressed(this.response, rest) : writeParts(this.response, rest));
  }

  *#counted(first: readonly Part[], rest: Iterator<Part>): Generator<Part> {
    yield* first;
    this.sentBytes = byteLength(first);
    for (let next = rest.next(); !next.done; next = rest.next()) {
      this.sentBytes += byteLength([next.value]);
      yield next.value;
    }
  }

  /** Sends what was made of the JSON that `json` is asked for where the audit log keeps it. */
  sendMade(code: number, type: string, body: readonly Part[], json: () => readonly Part[]): Promise<void> {
    return this.#send(code, type, body, undefined, this.audit?.keepsResponse ? json() : body);
  }

  /** Sends a Status or another object that has one form only, in the language that the client reads. */
  sendObject(code: number, object: object, headers?: Readonly<Record<string, string>>): Promise<void> {
    return this.sendJson(code, JSON.stringify(object), plainMediaType(this.header('accept')), headers);
  }

  sendText(code: number, text: string): Promise<void> {
    return this.send(code, 'text/plain; charset=utf-8', Buffer.from(text), { 'x-content-type-options': 'nosniff' });
  }

  /** 304: the client has it already. */
  sendNotModified(headers: Readonly<Record<string, string>>): void {
    if (this.isAnswered) return;
    this.#begin(304, { 'audit-id': this.auditId, 'cache-control': 'no-cache, private', ...headers });
    this.response.end();
  }

  async sendError(error: ApiError): Promise<void> {
    const retryAfter = error.status.details?.retryAfterSeconds;
    await this.sendObject(error.code, error.status, {
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    });
    this.#discardBody();
  }

  /** 429 in plain text, as upstream sends it. */
  async sendTooManyRequests(message: string, retryAfterSeconds: number, isClosing = false): Promise<void> {
    await this.send(429, 'text/plain; charset=utf-8', Buffer.from(`${message}\n`), {
      'retry-after': String(retryAfterSeconds),
      'x-content-type-options': 'nosniff',
      ...(isClosing && 'writeHead' in this.response && { connection: 'close' }),
    });
    this.#discardBody();
  }

  /** Starts an answer that goes on (a watch, a log): the headers leave at once. */
  startStream(code: number, type: string): void {
    this.#begin(code, this.#commonHeaders(type));
    this.audit?.stage('ResponseStarted', code);
    if ('flushHeaders' in this.response) this.response.flushHeaders();
  }

  /** Starts an answer with somebody else's headers; the caller writes the body. */
  startRaw(code: number, headers: Headers): Writable {
    this.#begin(code, { 'audit-id': this.auditId, ...headers });
    return this.response as Writable;
  }

  /** A client that has left gets no headers; what is written then goes nowhere. */
  #begin(code: number, headers: Headers): void {
    const { response } = this;
    this.code = code;
    if ('writeHead' in response) response.writeHead(code, headers);
    else if (!response.destroyed && !response.closed) response.respond({ ...headers, ':status': code });
  }

  /** Reads on what a refused request still sends, so that the client sees the answer; breaks off what does not end. */
  #discardBody(): void {
    const { body } = this.request;
    if (this.isUpgrade || body.readableEnded || body.destroyed) return;
    let left = DISCARD_LIMIT_BYTES;
    body.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) body.destroy();
    });
    body.on('error', () => {});
    body.resume();
  }

  #commonHeaders(type: string): Headers {
    const headers: Headers = {
      'content-type': type,
      'audit-id': this.auditId,
      'cache-control': 'no-cache, private',
    };
    const { flow } = this;
    if (flow && flow.schema.uid !== '') {
      headers['x-kubernetes-pf-flowschema-uid'] = flow.schema.uid;
      headers['x-kubernetes-pf-prioritylevel-uid'] = flow.level.uid;
    }
    if (this.warnings.size > 0) headers['warning'] = warningTexts(this.warnings).map(warningHeader);
    return headers;
  }

  get wantsPretty(): boolean {
    const asked = this.info.query.get('pretty');
    if (asked !== null) return isTrue(asked);
    const agent = this.header('user-agent') ?? '';
    return agent.startsWith('curl') || agent.startsWith('Wget') || agent.startsWith('Mozilla/5.0');
  }
}

/** RFC 7234: code, agent, quoted text. */
export function warningHeader(text: string): string {
  const clean = [...text].map((char) => (char < ' ' || char > '~' ? '?' : char)).join('');
  return `299 - "${clean.replace(/[\\"]/g, '\\$&')}"`;
}
