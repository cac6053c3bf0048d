// A server over real HTTP/2 that answers as a script says: for tests of what goes wrong on the wire.
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface ScriptedRequest {
  method: string;
  /** Path without the query. */
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  stream: ServerHttp2Stream;
}

export type Script = (request: ScriptedRequest) => void | Promise<void>;

export interface ScriptedServer {
  url: string;
  /** In order of arrival: `GET /api/v1/pods`. */
  seen: string[];
  sessions: Set<Http2Session>;
  stop(): Promise<void>;
}

/** Starts on a free port of 127.0.0.1; with `tls` it demands what node:tls is told to. */
export async function startScriptedServer(
  script: Script,
  tls?: { key: string; cert: string; ca?: string; requestCert?: boolean; rejectUnauthorized?: boolean },
): Promise<ScriptedServer> {
  const server: Http2Server = tls ? createSecureServer(tls) : createServer();
  const sessions = new Set<Http2Session>();
  const seen: string[] = [];
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const url = new URL(String(headers[':path']), 'http://scripted');
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      seen.push(`${headers[':method']} ${url.pathname}`);
      void script({
        method: String(headers[':method']),
        path: url.pathname,
        query: url.searchParams,
        headers,
        body: Buffer.concat(chunks).toString('utf8'),
        stream,
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    seen,
    sessions,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

export function answerJson(
  stream: ServerHttp2Stream,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': status, 'content-type': 'application/json', ...headers });
  stream.end(JSON.stringify(body));
}

export const statusBody = (code: number, reason: string, message: string) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason,
  code,
});
