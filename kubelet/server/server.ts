// The node server: what the API server, metrics-server and Prometheus ask of a node. HTTPS; access.ts says who may.
//   /containerLogs/{ns}/{pod}/{container}   /exec /attach /{ns}/{pod}[/{uid}]/{container}   /portForward/{ns}/{pod}
//   POST /run/{ns}/{pod}[/{uid}]/{container}   /logs/...   /pods   /runningpods   /configz   /healthz
//   /stats/summary   /metrics   /metrics/resource   /metrics/cadvisor   /metrics/probes
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PodStatus } from '../../api/types/core-v1.ts';
import { CriError } from '../cri/client.ts';
import type { PodWorker } from '../pods/worker.ts';
import type { NodeAccess } from './access.ts';
import { json, text } from './answers.ts';
import { checkpoint } from './checkpoint.ts';
import { HttpError } from './http-error.ts';
import { QueryError } from './log-query.ts';
import { type LogsSources, serveContainerLogs } from './logs-endpoint.ts';
import { type MetricsSources, serveMetrics, serveStats } from './metrics-endpoints.ts';
import { serveNodeLogs } from './node-logs.ts';
import { passThrough, plainAnswer } from './pass-through.ts';
import { runCommand, type StreamSources, streamingUrl } from './streams.ts';

export interface ServingKeys {
  certPem: string;
  keyPem: string;
}

export interface NodeServerOptions extends MetricsSources, LogsSources, Omit<StreamSources, 'podUid'> {
  address: string;
  port: number;
  keys: ServingKeys;
  clientCaPem: string;
  access: NodeAccess;
  /** What `/configz` shows. */
  config: object;
  /** What `/logs/` shows. */
  hostLogsDir: string;
  /** Where archives of checkpoints go. */
  checkpointsDir: string;
  health(): string[];
}

export interface NodeServer {
  port: number;
  /** New connections are served with these. */
  replaceKeys(keys: ServingKeys): void;
  closed: Promise<void>;
}

/** Resolves once it listens; the server ends when `signal` aborts. */
export async function startNodeServer(options: NodeServerOptions, signal: AbortSignal): Promise<NodeServer> {
  const tls = ({ certPem, keyPem }: ServingKeys) => ({ cert: certPem, key: keyPem, ca: options.clientCaPem });
  const server = createServer({
    ...tls(options.keys),
    requestCert: true,
    // Who has no certificate may have a token; else gets a 401 that says so instead of a broken handshake.
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
  return {
    port: (server.address() as { port: number }).port,
    replaceKeys: (keys) => server.setSecureContext({ ...tls(keys), minVersion: 'TLSv1.2' }),
    closed,
  };
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

async function onRequest(
  options: NodeServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reader = new AbortController();
  response.once('close', () => reader.abort());
  try {
    const url = new URL(request.url ?? '/', 'https://node');
    await options.access.check(request, url.pathname);
    await route(options, request.method ?? 'GET', url, response, reader.signal);
  } catch (error) {
    const code = codeOf(error);
    if (code === 500) options.log.warn({ err: error, url: request.url }, 'a request to the node server failed');
    if (response.headersSent) return void response.destroy();
    text(response, (error as Error).message, code);
  }
}

async function route(
  options: NodeServerOptions,
  method: string,
  url: URL,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const [first = '', ...rest] = url.pathname.replace(/\/$/, '').split('/').slice(1).map(decodeURIComponent);
  const query = url.searchParams;
  options.metrics.httpRequests.add({ long_running: 'false', method, path: first, server_type: 'readwrite' });
  if (first === 'run' && method === 'POST') {
    const output = await runCommand({ ...options, podUid: podUidOf(options) }, rest, query);
    return text(response, output.toString());
  }
  if (first === 'checkpoint' && method === 'POST') {
    const [namespace = '', pod = '', container = ''] = rest;
    const { uid } = workerOf(options, namespace, pod).identity;
    return json(response, await checkpoint(options, { uid, namespace, pod, container }, query));
  }
  if (method !== 'GET' && method !== 'HEAD')
    throw new HttpError(405, 'method not allowed: streaming endpoints want an upgraded connection');
  switch (first) {
    case 'healthz':
      return health(options, rest[0], response);
    case 'containerLogs': {
      const [namespace = '', pod = '', container = ''] = rest;
      const { identity, status } = workerOf(options, namespace, pod);
      const waiting = waitingReason(status, container);
      return serveContainerLogs(options, { uid: identity.uid, pod, container, waiting }, query, response, signal);
    }
    case 'logs':
      return serveNodeLogs(options.hostLogsDir, rest.join('/'), response);
    case 'pods':
      return json(response, podList(options));
    case 'runningpods':
      return json(response, runningPods(options));
    case 'configz':
      return json(response, { kubeletconfig: options.config });
    case 'stats':
      return serveStats(options, rest.join('/'), query, response);
    case 'metrics':
      return serveMetrics(options, rest.join('/'), response);
    default:
      throw new HttpError(404, '404 page not found');
  }
}

function codeOf(error: unknown): number {
  if (error instanceof HttpError) return error.code;
  if (error instanceof QueryError) return 422;
  return error instanceof CriError && error.code === 'notFound' ? 404 : 500;
}

/** `/healthz` asks everything; `/healthz/syncloop` the loop over pods; `ping` and `log` only whether anybody answers. */
function health(options: NodeServerOptions, check: string | undefined, response: ServerResponse): void {
  if (check !== undefined && !['ping', 'log', 'syncloop'].includes(check))
    throw new HttpError(404, '404 page not found');
  const problems = check === 'ping' || check === 'log' ? [] : options.health();
  text(response, problems.length === 0 ? 'ok' : problems.join('\n'), problems.length === 0 ? 200 : 500);
}

function podList({ pods }: NodeServerOptions) {
  const items = pods
    .all()
    .flatMap((each) => (each.pod ? [{ ...each.pod, status: each.status ?? each.pod.status }] : []));
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

/** What the runtime has running, as pods with the little it knows of them. */
function runningPods({ cache }: NodeServerOptions) {
  const items = cache.identities().flatMap(({ uid, name, namespace }) => {
    const running = cache.pod(uid).containers.filter((each) => each.state === 'running');
    if (running.length === 0) return [];
    const containers = running.map((each) => ({ name: each.name, image: each.image, resources: {} }));
    return [{ metadata: { name, namespace, uid }, spec: { containers }, status: {} }];
  });
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

function workerOf({ pods }: NodeServerOptions, namespace: string, name: string): PodWorker {
  const worker = pods.byKey(`${namespace}/${name}`);
  if (!worker) throw new HttpError(404, `pod "${name}" in namespace "${namespace}" is not on this node`);
  return worker;
}

const podUidOf = (options: NodeServerOptions) => (namespace: string, name: string) =>
  workerOf(options, namespace, name).identity.uid;

function waitingReason(status: PodStatus | undefined, container: string): string | undefined {
  const all = [status?.initContainerStatuses, status?.containerStatuses, status?.ephemeralContainerStatuses];
  return all.flatMap((each) => each ?? []).find((each) => each.name === container)?.state?.waiting?.reason;
}

async function onUpgrade(
  options: NodeServerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    const asked = new URL(request.url ?? '/', 'https://node');
    await options.access.check(request, asked.pathname);
    const url = await streamingUrl({ ...options, podUid: podUidOf(options) }, asked);
    await passThrough(request, socket, head, url);
  } catch (error) {
    const code = codeOf(error);
    if (code === 500) options.log.warn({ err: error, url: request.url }, 'cannot open a stream to a container');
    if (socket.writable) socket.end(plainAnswer(code, (error as Error).message));
  }
}
