// The node server: what the API server asks of a node. HTTPS with client certificates only.
//   /containerLogs/{ns}/{pod}/{container}   /exec /attach /{ns}/{pod}[/{uid}]/{container}   /portForward/{ns}/{pod}
//   /pods   /stats/summary   /metrics   /healthz
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { type CriClient, CriError } from '../cri/client.ts';
import { latestContainer, type ObservedContainer, previousContainer } from '../pods/observed.ts';
import type { Pods } from '../pods/pods.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import { accessOf } from './access.ts';
import { parseLogQuery, QueryError } from './log-query.ts';
import { readLog } from './log-reader.ts';
import { passThrough, plainAnswer } from './pass-through.ts';
import { metricsText, statsSummary } from './stats.ts';

export interface NodeServerOptions {
  address: string;
  port: number;
  certPem: string;
  keyPem: string;
  clientCaPem: string;
  nodeName: string;
  cri: CriClient;
  cache: RuntimeCache;
  pods: Pods;
  /** Tells when something about a pod's containers has changed; returns a function that unsubscribes. */
  onRuntimeChange(callback: (podUid: string) => void): () => void;
  health(): string[];
  clock: Clock;
  log: Logger;
}

class HttpError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Resolves with the port once it listens; the server ends when `signal` aborts. */
export async function startNodeServer(
  options: NodeServerOptions,
  signal: AbortSignal,
): Promise<{ port: number; closed: Promise<void> }> {
  const server = createServer({
    cert: options.certPem,
    key: options.keyPem,
    ca: options.clientCaPem,
    requestCert: true,
    // Who has no certificate gets a 401 that says so instead of a broken handshake.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
  });
  const open = new Set<Duplex>();
  server.on('secureConnection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('tlsClientError', (error) =>
    options.log.debug({ err: error }, 'a TLS handshake with the node server failed'),
  );
  server.on('request', (request, response) => void onRequest(options, request, response));
  server.on(
    'upgrade',
    (request: IncomingMessage, socket: Duplex, head: Buffer) => void onUpgrade(options, request, socket, head),
  );
  await listen(server, options);
  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()));
  const stop = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { port: (server.address() as { port: number }).port, closed };
}

function listen(server: Server, { port, address }: NodeServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function checkAccess(request: IncomingMessage): void {
  const access = accessOf(request.socket as TLSSocket);
  if (access.kind === 'unauthorized') throw new HttpError(401, 'Unauthorized');
  if (access.kind === 'forbidden') {
    throw new HttpError(
      403,
      `Forbidden (user=${access.user}, verb=${(request.method ?? '').toLowerCase()}, resource=nodes, subresource(s)=[proxy])`,
    );
  }
}

async function onRequest(
  options: NodeServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reader = new AbortController();
  response.once('close', () => reader.abort());
  try {
    const url = new URL(request.url ?? '/', 'https://node');
    const [first = '', ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
    if (first === 'healthz') return health(options, response);
    checkAccess(request);
    if (request.method !== 'GET')
      throw new HttpError(405, 'method not allowed: streaming endpoints want an upgraded connection');
    switch (first) {
      case 'containerLogs':
        return await logs(options, rest, url.searchParams, response, reader.signal);
      case 'pods':
        return json(response, podList(options));
      case 'stats':
        if (rest[0] === 'summary') return json(response, await statsSummary(options));
        break;
      case 'metrics':
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
        return void response.end(metricsText(options));
    }
    throw new HttpError(404, `404 page not found: ${url.pathname}`);
  } catch (error) {
    const code = error instanceof HttpError ? error.code : error instanceof QueryError ? 422 : 500;
    if (code === 500) options.log.warn({ err: error, url: request.url }, 'a request to the node server failed');
    if (response.headersSent) return void response.destroy();
    response.statusCode = code;
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end((error as Error).message);
  }
}

function health(options: NodeServerOptions, response: ServerResponse): void {
  const problems = options.health();
  response.statusCode = problems.length === 0 ? 200 : 500;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(problems.length === 0 ? 'ok' : problems.join('\n'));
}

function json(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}

function podList({ pods }: NodeServerOptions) {
  const items = pods
    .all()
    .flatMap((each) => (each.pod ? [{ ...each.pod, status: each.status ?? each.pod.status }] : []));
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

async function logs(
  options: NodeServerOptions,
  path: string[],
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const [namespace = '', pod = '', name = ''] = path;
  const { cache, clock } = options;
  const parsed = parseLogQuery(query, clock.now());
  const uid = podUid(options, namespace, pod);
  const observed = cache.pod(uid);
  const latest = latestContainer(observed, name);
  // Before its first start a container has no log; one that is about to be replaced shows the last it has.
  const usable = latest?.state === 'created' ? (previousContainer(observed, name) ?? latest) : latest;
  const chosen: ObservedContainer | undefined = parsed.previous ? previousContainer(observed, name) : usable;
  if (!chosen?.logPath) {
    const what = parsed.previous
      ? `previous terminated container "${name}" in pod "${pod}" not found`
      : `container "${name}" in pod "${pod}" is waiting to start`;
    throw new HttpError(400, what);
  }
  const following = {
    isRunning: () => {
      const state = cache.container(chosen.id)?.state;
      return state === 'running' || state === 'created';
    },
    onStopped: (callback: () => void) => options.onRuntimeChange((changed) => changed === uid && callback()),
  };
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('transfer-encoding', 'chunked');
  response.flushHeaders();
  for await (const bytes of readLog(chosen.logPath, parsed, following, signal)) {
    if (!response.write(bytes)) await drained(response, signal);
    if (signal.aborted) return;
  }
  response.end();
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function podUid({ pods }: NodeServerOptions, namespace: string, name: string): string {
  const worker = pods.byKey(`${namespace}/${name}`);
  if (!worker) throw new HttpError(404, `pod "${name}" in namespace "${namespace}" is not on this node`);
  return worker.identity.uid;
}

async function onUpgrade(
  options: NodeServerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    checkAccess(request);
    const url = await streamingUrl(options, new URL(request.url ?? '/', 'https://node'));
    await passThrough(request, socket, head, url);
  } catch (error) {
    const code =
      error instanceof HttpError ? error.code : error instanceof CriError && error.code === 'notFound' ? 404 : 500;
    if (code === 500) options.log.warn({ err: error, url: request.url }, 'cannot open a stream to a container');
    if (socket.writable) socket.end(plainAnswer(code, (error as Error).message));
  }
}

async function streamingUrl(options: NodeServerOptions, url: URL): Promise<string> {
  const [first = '', namespace = '', pod = '', ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const { cri, cache } = options;
  const uid = podUid(options, namespace, pod);
  const query = url.searchParams;
  if (first === 'portForward') {
    const sandbox = cache.pod(uid).sandboxes.find((each) => each.isReady);
    if (!sandbox) throw new HttpError(404, `pod "${pod}" has no running sandbox`);
    const port = query.getAll('port').map(Number);
    return (await cri.call('PortForward', { podSandboxId: sandbox.id, port })).url ?? '';
  }
  // Upstream's clients put the pod's uid between pod and container or leave it out.
  const name = rest.length > 1 ? (rest[1] as string) : (rest[0] ?? '');
  const container = latestContainer(cache.pod(uid), name);
  if (!container) throw new HttpError(404, `container not found ("${name}")`);
  const flag = (...names: string[]) => names.some((each) => ['1', 'true'].includes(query.get(each) ?? ''));
  const streams = {
    containerId: container.id,
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    tty: flag('tty'),
    stderr: flag('error', 'stderr') && !flag('tty'),
  };
  if (first === 'exec') return (await cri.call('Exec', { ...streams, cmd: query.getAll('command') })).url ?? '';
  if (first === 'attach') return (await cri.call('Attach', streams)).url ?? '';
  throw new HttpError(404, `404 page not found: ${url.pathname}`);
}
