// The TLS listener, HTTP/2 and HTTP/1.1 on one port: node's own server without a framework, because one place routes and
// answers everything. HTTP/2 requests are taken as streams: node's request and response objects for them cost more than
// the rest of a GET.
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Random } from '../../lib/clock.ts';
import { certificatesOf, type PeerCertificate, peerCertificate } from '../auth/peer-certificate.ts';
import type { KeyPair } from '../auth/pki.ts';
import type { RawRequest } from './exchange.ts';

/** Go's default for request headers is 1 MiB; nothing sane needs a tenth. */
const MAX_HEADER_BYTES = 64 * 1024;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 32_000;
const MAX_SESSION_MEGABYTES = 512;

export interface ListenerOptions {
  address: string;
  /** 0: any free one. */
  port: number;
  serving: KeyPair;
  /** Client certificates are checked against it. */
  caPem: string;
  /** Those of proxies that name users are checked against this one. */
  proxyCaPem: string;
  /** The part of HTTP/2 requests after which the client is asked to connect anew, maybe to another server. */
  goawayChance?: number;
  random?: Random;
  /** How long a client may take for the headers of an HTTP/1.1 request. Default 32 s, as upstream. */
  headersTimeoutMs?: number;
  onTlsError?(): void;
  /** Must not throw. */
  onRequest(request: RawRequest, peer: PeerCertificate): void;
  /** An HTTP/1.1 upgrade. The socket is the callee's. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, peer: PeerCertificate): void;
  onProblem(error: unknown, what: string): void;
}

export interface Listener {
  readonly port: number;
  /** No new connections and requests; resolves when all connections are closed, the last by force after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export async function listen(options: ListenerOptions): Promise<Listener> {
  const { goawayChance = 0, random = Math.random } = options;
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<TLSSocket>();
  const peers: Peers = { known: new WeakMap(), proxyAuthorities: certificatesOf(options.proxyCaPem) };

  const server = createSecureServer({
    allowHTTP1: true,
    key: options.serving.keyPem,
    cert: options.serving.certificatePem,
    ca: [options.caPem, options.proxyCaPem],
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ...({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(5000, options.headersTimeoutMs ?? 5000),
      // Bodies are the pipeline's to limit: what goes to a pod may take long.
      requestTimeout: 0,
    } as object),
    settings: { maxHeaderListSize: MAX_HEADER_BYTES, maxConcurrentStreams: 1000 },
    // Node refuses new streams, and then ends the session, when what waits for a slow reader is more than 10 MB: one
    // large list. What waits is bounded by our own back-pressure.
    maxSessionMemory: MAX_SESSION_MEGABYTES,
    ...({ maxSessionRejectedStreams: 10_000 } as object),
  });
  server.on('request', (incoming: unknown, outgoing: unknown) => {
    const request = incoming as IncomingMessage;
    const response = outgoing as ServerResponse;
    const { method = 'GET', url = '/', headers } = request;
    options.onRequest({ method, url, headers, body: request, response }, peerOf(request.socket as TLSSocket, peers));
  });
  // A listener of `request` makes node turn HTTP/2 streams into requests as well; ours takes them as they are.
  server.removeAllListeners('stream');
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const { ':method': method = 'GET', ':path': url = '/' } = headers;
    if (headers.expect === '100-continue') stream.additionalHeaders({ ':status': 100 });
    const peer = peerOf((stream.session as ServerHttp2Session | undefined) ?? stream, peers);
    options.onRequest({ method, url, headers, body: stream, response: stream }, peer);
    // GOAWAY: what is open on the connection ends as it would have.
    if (goawayChance > 0 && random() < goawayChance) stream.session?.close();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => answerBroken(socket, error.code));
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    options.onUpgrade(request, socket, head, peerOf(request.socket as TLSSocket, peers));
  });
  server.on('error', (error) => options.onProblem(error, 'server'));
  server.on('sessionError', (error: unknown) => options.onProblem(error, 'HTTP/2 session'));
  server.on('tlsClientError', () => options.onTlsError?.());

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.address, port: options.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });

  return {
    port: (server.address() as AddressInfo).port,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.close();
      (server as unknown as { closeIdleConnections?: () => void }).closeIdleConnections?.();
      const force = setTimeout(() => {
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(force);
    },
  };
}

interface Peers {
  known: WeakMap<object, PeerCertificate>;
  proxyAuthorities: readonly X509Certificate[];
}

/** Read once per connection: all requests of a connection have the same peer. */
function peerOf(
  connection: TLSSocket | ServerHttp2Session | ServerHttp2Stream,
  { known, proxyAuthorities }: Peers,
): PeerCertificate {
  let peer = known.get(connection);
  if (!peer) {
    // A stream without a session is over already: nobody will read what it is answered.
    const socket = ('socket' in connection ? connection.socket : connection) as TLSSocket;
    peer = peerCertificate(socket.getPeerX509Certificate?.(), socket.authorized, proxyAuthorities);
    known.set(connection, peer);
  }
  return peer;
}

/** What the HTTP/1 parser could not read. */
function answerBroken(socket: Duplex, code: string | undefined): void {
  if (code === 'ECONNRESET' || code === 'ERR_HTTP_REQUEST_TIMEOUT' || !socket.writable) {
    socket.destroy();
    return;
  }
  const tooLarge = code === 'HPE_HEADER_OVERFLOW';
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: tooLarge ? 'the request headers are too large' : 'the request could not be parsed as HTTP',
    reason: tooLarge ? 'RequestEntityTooLarge' : 'BadRequest',
    code: tooLarge ? 431 : 400,
  };
  socket.end(
    rawResponse(status.code, tooLarge ? 'Request Header Fields Too Large' : 'Bad Request', JSON.stringify(status)),
  );
}

/** A whole HTTP/1.1 response for a socket that no response object belongs to. */
export function rawResponse(code: number, reason: string, json: string): string {
  return `HTTP/1.1 ${code} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\nConnection: close\r\n\r\n${json}`;
}
