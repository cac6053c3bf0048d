// One request passed on to a backend and its answer passed back, bodies streamed both ways: a slow reader on either side
// slows the other down. Nothing is written to the client before the backend has answered, so that a failure is a Status.
//
//   client ── exchange ──► headers.ts ──► Outbound ──► backend
//          ◄── rewrite.ts (HTML links, redirects) ◄──
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createDeflate, createGunzip, createGzip, createInflate } from 'node:zlib';
import { type ApiError, errors } from '../../api/errors.ts';
import type { Exchange } from '../http/exchange.ts';
import { answerHeaders, requestHeaders } from './headers.ts';
import type { Location } from './locations.ts';
import { dialError, type Outbound, type OutboundTls } from './outbound.ts';
import { type LinkPlace, LinkRewriter, rewriteUrl } from './rewrite.ts';

export interface Onward extends Location {
  /** Path and query, encoded. */
  path: string;
  tls?: OutboundTls;
  /** What `Host` says; default: what the client named. */
  hostHeader?: string;
  /** Set on the request, over what the client sent. */
  headers?: OutgoingHttpHeaders;
  /** The client's path up to the backend's: redirects and links are rewritten to stay below it, CORS headers are dropped. */
  prefix?: string;
  /** The error of a backend that cannot be reached; default 503 `error trying to reach service`. */
  unreachable?(text: string): ApiError;
}

/** Ends when the answer has been passed on. Throws before anything was answered, never later. */
export async function forward(outbound: Outbound, exchange: Exchange, onward: Onward): Promise<void> {
  const headers = headersFor(exchange, onward, false);
  const hasBody = carriesBody(exchange);
  // Node sends the body of a GET or DELETE unframed unless it is told its length or to send chunks.
  if (hasBody && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
  const request = outbound.request({ ...onward, method: exchange.method, headers });
  const onAbort = () => request.destroy();
  exchange.signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (hasBody) {
      // The answer may come before the body has been read: then what is left is of no interest.
      pipeline(exchange.request.body as Readable, request, { end: true }).catch(() => {});
    } else request.end();
    const answer = await answered(request, onward);
    if (answer === undefined) return;
    await passBack(exchange, answer, onward);
  } finally {
    exchange.signal.removeEventListener('abort', onAbort);
  }
}

function answered(request: ClientRequest, onward: Onward): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', (error) => reject(unreachable(onward, error)));
    request.on('upgrade', (_answer, socket: Duplex) => {
      socket.destroy();
      reject(unreachable(onward, new Error('the backend switched protocols without being asked')));
    });
  });
}

async function passBack(exchange: Exchange, answer: IncomingMessage, onward: Onward): Promise<void> {
  answer.on('error', () => {});
  const headers = answerHeaders(answer, { dropCors: onward.prefix !== undefined });
  const body = onward.prefix === undefined ? [] : rewriting(exchange, answer, headers, onward, onward.prefix);
  exchange.startRaw(answer.statusCode ?? 502, headers);
  const { response } = exchange;
  if (exchange.method === 'HEAD' || answer.statusCode === 204 || answer.statusCode === 304) {
    answer.resume();
    response.end();
    return;
  }
  answer.on('data', (chunk: Buffer) => {
    exchange.sentBytes += chunk.length;
  });
  // Whoever breaks off, the other side sees it: an answer that was cut off must not look complete.
  await pipeline([answer, ...body, response as never]).catch(() => {
    answer.destroy();
    response.destroy();
  });
}

/** Changes `headers` in place; the streams that the body goes through. */
function rewriting(
  exchange: Exchange,
  answer: IncomingMessage,
  headers: Record<string, string | string[]>,
  onward: Onward,
  prefix: string,
): Duplex[] {
  const place: LinkPlace = {
    prefix,
    backendHost: `${onward.host}:${onward.port}`,
    requestHost: String(exchange.request.headers[':authority'] ?? exchange.request.headers.host ?? ''),
  };
  if (typeof headers['location'] === 'string') {
    headers['location'] = rewriteUrl(headers['location'], place);
    return [];
  }
  const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim();
  if (type !== 'text/html') return [];
  const encoding = answer.headers['content-encoding'] ?? '';
  const around: Record<string, () => [Duplex, Duplex] | []> = {
    '': () => [],
    gzip: () => [createGunzip(), createGzip()],
    deflate: () => [createInflate(), createDeflate()],
  };
  // Links in an encoding that we cannot read stay as they are.
  const coders = around[encoding]?.();
  if (!coders) return [];
  delete headers['content-length'];
  const rewriter = new LinkRewriter(place);
  return coders.length === 0 ? [rewriter] : [coders[0], rewriter, coders[1]];
}

/**
 * Passes an upgrade on and joins the two connections; resolves when they are joined, `closed` when they are closed. A refusal
 * of the backend goes back as it came. Throws when the backend cannot be reached, or answers as if nobody had asked for an
 * upgrade.
 */
export function forwardUpgrade(
  outbound: Outbound,
  exchange: Exchange,
  onward: Onward,
): Promise<{ closed: Promise<void> }> {
  const headers = headersFor(exchange, onward, true);
  const request = outbound.request({ ...onward, method: exchange.method, headers, isAlone: true });
  return new Promise((resolve, reject) => {
    const onAbort = () => request.destroy();
    exchange.signal.addEventListener('abort', onAbort, { once: true });
    request.on('upgrade', (answer, backend, backendHead) => {
      exchange.signal.removeEventListener('abort', onAbort);
      const { socket, head } = exchange.takeConnection();
      socket.write(headOf(answer, 101));
      resolve({ closed: join(socket, backend as Duplex, head, backendHead) });
    });
    request.on('response', (answer) => {
      exchange.signal.removeEventListener('abort', onAbort);
      const code = answer.statusCode ?? 500;
      if (code < 400) {
        answer.destroy();
        reject(errors.internal(`invalid upgrade response: status code ${code}`));
        return;
      }
      passBack(exchange, answer, onward).then(() => resolve({ closed: Promise.resolve() }), reject);
    });
    request.on('error', (error) => reject(unreachable(onward, error)));
    request.end();
  });
}

function headersFor(exchange: Exchange, onward: Onward, upgrade: boolean): OutgoingHttpHeaders {
  const headers = requestHeaders(exchange.request.headers, { remoteAddress: remoteAddress(exchange), upgrade });
  if (onward.prefix !== undefined) headers['x-forwarded-uri'] = exchange.info.rawPath;
  if (onward.hostHeader !== undefined) headers['host'] = onward.hostHeader;
  return Object.assign(headers, onward.headers);
}

function remoteAddress({ request }: Exchange): string | undefined {
  const { body } = request;
  if ('session' in body) return ((body as ServerHttp2Stream).session as Http2Session | undefined)?.socket.remoteAddress;
  return (body as IncomingMessage).socket.remoteAddress;
}

/** HTTP/1.1 says it in headers, HTTP/2 by leaving the stream open. */
function carriesBody({ request }: Exchange): boolean {
  const { headers, body } = request;
  if ('endAfterHeaders' in body) return !body.endAfterHeaders;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function unreachable(onward: Onward, error: NodeJS.ErrnoException): ApiError {
  const text = dialError(onward, error);
  return onward.unreachable?.(text) ?? errors.serviceUnavailable(`error trying to reach service: ${text}`);
}

function headOf(answer: IncomingMessage, code: number): string {
  const lines = [`HTTP/1.1 ${code} ${answer.statusMessage || 'Switching Protocols'}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2)
    lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Pipes both ways; when one side is gone, so is the other. Resolves then. */
function join(left: Duplex, right: Duplex, leftHead: Buffer, rightHead: Buffer): Promise<void> {
  if (leftHead.length > 0) right.write(leftHead);
  if (rightHead.length > 0) left.write(rightHead);
  left.pipe(right);
  right.pipe(left);
  return new Promise((resolve) => {
    const end = () => {
      left.destroy();
      right.destroy();
      resolve();
    };
    for (const side of [left, right]) {
      side.on('close', end);
      side.on('error', end);
    }
    if (left.destroyed || right.destroyed) end();
  });
}
