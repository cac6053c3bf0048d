// The TLS listener: fastify over HTTP/2 and HTTP/1.1. Every request is taken over before routing and parsing, whatever
// its method, path or content type, so that one place answers everything with a Status.
import type { IncomingMessage } from 'node:http';
import type { Http2SecureServer, Http2ServerRequest, ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { fastify } from 'fastify';
import { type PeerCertificate, peerCertificate } from '../auth/authenticate.ts';
import type { KeyPair } from '../auth/pki.ts';
import type { RawRequest, RawResponse } from './exchange.ts';

/** Go's default for request headers is 1 MiB; nothing sane needs a tenth. */
const MAX_HEADER_BYTES = 64 * 1024;
const MAX_SESSION_MEGABYTES = 512;

export interface ListenerOptions {
  address: string;
  /** 0: any free one. */
  port: number;
  serving: KeyPair;
  /** Client certificates are checked against it. */
  caPem: string;
  /** `url` is the request target as sent. Must not throw. */
  onRequest(request: RawRequest, response: RawResponse, url: string, peer: PeerCertificate): void;
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
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<TLSSocket>();
  const peers = new WeakMap<object, PeerCertificate>();
  const targets = new WeakMap<object, string>();

  const app = fastify({
    http2: true,
    https: {
      allowHTTP1: true,
      key: options.serving.keyPem,
      cert: options.serving.certificatePem,
      ca: options.caPem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      ...({ maxHeaderSize: MAX_HEADER_BYTES } as object),
      settings: { maxHeaderListSize: MAX_HEADER_BYTES, maxConcurrentStreams: 1000 },
      // Node refuses new streams, and then ends the session, when what waits for a slow reader is more than 10 MB: one
      // large list. What waits is bounded by our own back-pressure.
      maxSessionMemory: MAX_SESSION_MEGABYTES,
      maxSessionRejectedStreams: 10_000,
    },
    // A quiet watch is no reason to end a session.
    http2SessionTimeout: 0,
    forceCloseConnections: false,
    logger: false,
    // Routing is ours: fastify sees one path, and never a malformed one.
    rewriteUrl(request) {
      targets.set(request, request.url ?? '/');
      return '/';
    },
    clientErrorHandler(error, socket) {
      answerBroken(socket as Duplex, (error as { code?: string }).code);
    },
  });
  app.addHook('onRequest', (request, reply, _done) => {
    reply.hijack();
    const raw = request.raw as unknown as RawRequest;
    options.onRequest(raw, reply.raw as unknown as RawResponse, targets.get(raw) ?? '/', peerOf(raw, peers));
  });
  await app.ready();

  const server = app.server as unknown as Http2SecureServer;
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
    options.onUpgrade(request, socket, head, peerOf(request, peers));
  });
  server.on('error', (error) => options.onProblem(error, 'server'));
  server.on('sessionError', (error: unknown) => options.onProblem(error, 'HTTP/2 session'));
  server.on('tlsClientError', () => {});

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

/** Read once per connection: all requests of a connection have the same peer. */
function peerOf(request: RawRequest | Http2ServerRequest, known: WeakMap<object, PeerCertificate>): PeerCertificate {
  const session = (request as Http2ServerRequest).stream?.session;
  const key: object = session ?? request.socket;
  let peer = known.get(key);
  if (!peer) {
    const socket = (session ? session.socket : request.socket) as TLSSocket;
    peer = peerCertificate(socket.getPeerX509Certificate?.(), socket.authorized);
    known.set(key, peer);
  }
  return peer;
}

/** What the HTTP/1 parser could not read. */
function answerBroken(socket: Duplex, code: string | undefined): void {
  if (code === 'ECONNRESET' || !socket.writable) {
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
