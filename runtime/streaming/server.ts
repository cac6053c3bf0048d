// The streaming server: exec, attach and port-forward on URLs with one-time tokens, over WebSocket or SPDY/3.1.
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { portForwardProtocol, servePortForward } from './port-forward.ts';
import { type ClientChannels, runSession } from './session.ts';
import { spdyChannels, spdyExecProtocols } from './spdy-exec.ts';
import type { StreamBackend, StreamTargets } from './targets.ts';
import { TokenCache } from './tokens.ts';
import { webSocketTunnel } from './tunnel.ts';
import { execProtocols, webSocketChannels } from './websocket.ts';
import { portForwardChannels, serveChannelPortForward } from './websocket-port-forward.ts';

// An import would also load what `node:http` exports of fetch: 13 MB that nobody here uses.
const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');

const tunnelledPortForward = `SPDY/3.1+${portForwardProtocol}`;

type Target =
  | ({ kind: 'exec' } & StreamTargets['exec'])
  | ({ kind: 'attach' } & StreamTargets['attach'])
  | ({ kind: 'portforward' } & StreamTargets['portForward']);

export interface StreamingServer {
  /** `http://127.0.0.1:12345`. */
  url: string;
  execUrl(target: StreamTargets['exec']): string;
  attachUrl(target: StreamTargets['attach']): string;
  portForwardUrl(target: StreamTargets['portForward']): string;
  /** Cuts off what is open. */
  stop(): Promise<void>;
}

export async function serveStreaming(options: {
  address: string;
  /** 0: any free one. */
  port: number;
  backend: StreamBackend;
  clock: Clock;
  log: Logger;
}): Promise<StreamingServer> {
  const { backend, clock, log } = options;
  const tokens = new TokenCache<Target>(clock);
  const sockets = new Set<Duplex>();
  let accepting: ReturnType<typeof webSocketServers> | undefined;

  const server = createServer((request, response) => {
    const known = /^\/(exec|attach|portforward)\//.test(request.url ?? '');
    response.writeHead(known ? 400 : 404, { 'content-type': 'text/plain' });
    response.end(known ? 'unable to upgrade: the request has no Upgrade header\n' : 'not found\n');
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    upgrade(request, socket, head).catch((error: unknown) => {
      log.debug({ err: error }, 'stream ended with an error');
      socket.destroy();
    });
  });

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const [, kind, token = ''] = /^\/(exec|attach|portforward)\/([^/?]+)/.exec(request.url ?? '') ?? [];
    const target = kind ? tokens.consume(token) : undefined;
    if (!target || target.kind !== kind) return refuse(socket, 404, 'the token is unknown, was used, or has expired');
    const offered = request.headers.upgrade?.toLowerCase();
    if (offered === 'websocket') return overWebSocket(request, socket, head, target);
    if (offered === 'spdy/3.1') return overSpdy(request, socket, head, target);
    refuse(socket, 400, `unable to upgrade: ${request.headers.upgrade ?? 'nothing'} is neither websocket nor SPDY/3.1`);
  }

  async function overWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, target: Target): Promise<void> {
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((p) => p.trim());
    if (target.kind === 'portforward') {
      if (!protocols.includes(tunnelledPortForward) && protocols.includes(portForwardChannels)) {
        if (target.ports.length === 0)
          return refuse(socket, 400, 'unable to upgrade: query parameter "port" is required');
        accepting ??= webSocketServers();
        const webSocket = await accept((await accepting).channels, request, socket, head);
        serveChannelPortForward(webSocket, target, backend);
        return;
      }
      if (!protocols.includes(tunnelledPortForward)) {
        return refuse(
          socket,
          400,
          `unable to upgrade: port-forward needs the WebSocket protocol ${tunnelledPortForward} or ${portForwardChannels}`,
        );
      }
      delete request.headers['sec-websocket-protocol'];
      accepting ??= webSocketServers();
      const webSocket = await accept((await accepting).tunnels, request, socket, head);
      servePortForward(webSocketTunnel(webSocket), target, backend, clock);
      return;
    }
    const protocol = execProtocols.find((p) => protocols.includes(p));
    if (!protocol)
      return refuse(
        socket,
        400,
        `unable to upgrade: the WebSocket protocol must be one of ${execProtocols.join(', ')}`,
      );
    accepting ??= webSocketServers();
    const webSocket = await accept((await accepting).channels, request, socket, head);
    await runTarget(webSocketChannels(webSocket, protocol, target), target);
  }

  async function overSpdy(request: IncomingMessage, socket: Duplex, head: Buffer, target: Target): Promise<void> {
    const offered = String(request.headers['x-stream-protocol-version'] ?? '')
      .split(',')
      .map((p) => p.trim())
      .filter((p) => p !== '');
    const supported: readonly string[] = target.kind === 'portforward' ? [portForwardProtocol] : spdyExecProtocols;
    // A client that names none is of the time before versions.
    const protocol = offered.length === 0 ? supported.at(-1) : offered.find((p) => supported.includes(p));
    if (protocol === undefined) {
      return refuse(
        socket,
        403,
        `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${supported.join(' ')}]`,
        supported.map((p) => `X-Accepted-Stream-Protocol-Versions: ${p}`),
      );
    }
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: SPDY/3.1'];
    if (offered.length > 0) lines.push(`X-Stream-Protocol-Version: ${protocol}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) socket.unshift(head);
    if (target.kind === 'portforward') {
      servePortForward(socket, target, backend, clock);
      return;
    }
    await runTarget(await spdyChannels(socket, protocol, target, clock), target);
  }

  function runTarget(client: ClientChannels, target: Target & { kind: 'exec' | 'attach' }): Promise<void> {
    if (target.kind === 'exec') return runSession(client, () => backend.exec(target.spec), target.spec.process.args);
    return runSession(client, () => backend.attach(target.containerId), undefined);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.address, resolve);
  });
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  return {
    url,
    execUrl: (target) => `${url}/exec/${tokens.issue({ kind: 'exec', ...target })}`,
    attachUrl: (target) => `${url}/attach/${tokens.issue({ kind: 'attach', ...target })}`,
    portForwardUrl: (target) => `${url}/portforward/${tokens.issue({ kind: 'portforward', ...target })}`,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Loaded at the first WebSocket: many nodes see none. */
async function webSocketServers(): Promise<{ channels: WebSocketServer; tunnels: WebSocketServer }> {
  const { WebSocketServer } = await import('ws');
  const common = { noServer: true, maxPayload: 32 << 20, perMessageDeflate: false };
  const channels = new WebSocketServer({
    ...common,
    handleProtocols: (offered) => execProtocols.find((protocol) => offered.has(protocol)) ?? false,
  });
  // ws refuses a protocol with a slash, so it is taken off the request and put on the answer here.
  const tunnels = new WebSocketServer(common);
  tunnels.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${tunnelledPortForward}`));
  return { channels, tunnels };
}

function accept(server: WebSocketServer, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket> {
  return new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve));
}

function refuse(socket: Duplex, code: number, message: string, headers: readonly string[] = []): void {
  const body = `${message}\n`;
  const lines = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...headers,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
