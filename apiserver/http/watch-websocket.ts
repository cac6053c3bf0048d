// A watch as WebSocket messages, one event each: for browsers, which cannot read an endless answer line by line.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { ApiError } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import type { CacheEvent } from '../cache/port.ts';
import type { Exchange } from './exchange.ts';
import type { Negotiated } from './negotiate.ts';
import { lineEncoder, watchError, type WatchStreamOptions } from './watch-response.ts';

/** Clients have nothing to say on a watch. */
const server = new WebSocketServer({
  noServer: true,
  maxPayload: 1024,
  // Browsers that bring a token name it as a protocol: it is not the one to be spoken.
  handleProtocols: (offered) =>
    [...offered].find((each) => !each.startsWith('base64url.bearer.authorization.k8s.io.')) ?? false,
});

export function isWebSocketUpgrade(exchange: Exchange): boolean {
  return exchange.isUpgrade && /^websocket$/i.test(exchange.header('upgrade') ?? '');
}

/** Ends after `timeoutMs`, when the client leaves, or when `batches` ends. */
export async function streamWatchToWebSocket(
  exchange: Exchange,
  kind: Kind,
  batches: AsyncIterable<CacheEvent[]>,
  { shape }: Negotiated,
  options: WatchStreamOptions,
): Promise<void> {
  const { signal } = exchange;
  const encode = shape.kind === 'object' ? undefined : lineEncoder(exchange, kind, shape, options.clock);
  const { socket, head } = exchange.takeConnection();
  const webSocket = await open(exchange.request.body as IncomingMessage, socket, head);
  if (!webSocket) return;
  webSocket.on('error', () => webSocket.terminate());
  webSocket.on('close', () => exchange.abort());
  exchange.onInitialized?.();
  const timer = options.clock.after(options.timeoutMs, () => exchange.abort(), { background: true });
  try {
    for await (const batch of batches) {
      for (const event of batch) await send(webSocket, encode ? encode(event) : event.line, exchange);
      if (signal.aborted) break;
    }
  } catch (error) {
    await send(webSocket, `${JSON.stringify({ type: 'ERROR', object: watchError(error).status })}\n`, exchange);
    if (!(error instanceof ApiError) && !(error instanceof StreamOverflowError)) throw error;
  } finally {
    timer.cancel();
    webSocket.close(1000);
  }
}

/** Undefined when the handshake was refused: the client has been told. */
function open(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket | undefined> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    server.handleUpgrade(request, socket, head, resolve);
  });
}

/** Resolves when the message has left: a slow reader holds the watch up, until the cache ends it. */
function send(webSocket: WebSocket, message: Buffer | string, exchange: Exchange): Promise<void> {
  if (webSocket.readyState !== webSocket.OPEN) return Promise.resolve();
  exchange.sentBytes += message.length;
  return new Promise((resolve) => webSocket.send(message, { binary: false }, () => resolve()));
}
