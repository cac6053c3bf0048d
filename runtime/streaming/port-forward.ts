// Port forwarding over a SPDY connection: for each connection of the user the client opens an error and a data stream
// with the same request id. The connection lives on when one of them fails.
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock, Timer } from '../../lib/clock.ts';
import { SpdyConnection, type SpdyStream } from '../../lib/spdy/connection.ts';
import { streamPatienceMs } from './spdy-exec.ts';
import type { StreamBackend, StreamTargets } from './targets.ts';

export const portForwardProtocol = 'portforward.k8s.io';

interface Pair {
  error?: SpdyStream;
  data?: SpdyStream;
  timer: Timer;
}

export function servePortForward(
  transport: Duplex,
  target: StreamTargets['portForward'],
  backend: StreamBackend,
  clock: Clock,
): SpdyConnection {
  const pairs = new Map<string, Pair>();
  const connection: SpdyConnection = new SpdyConnection(transport, {
    role: 'server',
    onStream(stream) {
      const type = stream.header('streamtype');
      if (type !== 'error' && type !== 'data') throw new Error(`unexpected stream type "${type}"`);
      // Clients before request ids open the data stream right after its error stream.
      const id = stream.header('requestid') || String(type === 'error' ? stream.id : stream.id - 2);
      const pair = pairs.get(id) ?? {
        timer: clock.after(streamPatienceMs, () => {
          pairs.delete(id);
          pair.error?.destroy();
          pair.data?.destroy();
        }),
      };
      if (pair[type]) throw new Error(`a second ${type} stream for request ${id}`);
      pair[type] = stream;
      pairs.set(id, pair);
      if (!pair.error || !pair.data) return;
      pairs.delete(id);
      pair.timer.cancel();
      void forward(pair.error, pair.data, target, backend);
    },
    onClose() {
      for (const pair of pairs.values()) pair.timer.cancel();
      pairs.clear();
    },
  });
  return connection;
}

async function forward(
  error: SpdyStream,
  data: SpdyStream,
  target: StreamTargets['portForward'],
  backend: StreamBackend,
): Promise<void> {
  error.resume();
  const portText = data.header('port');
  const port = Number(portText);
  let socket: Duplex | undefined;
  try {
    if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`"${portText}" is not a port`);
    if (target.ports.length > 0 && !target.ports.includes(port)) throw new Error(`port ${port} was not asked for`);
    socket = await backend.dial(target.sandboxId, port);
    // Each direction is closed by itself: the user may have said all while the pod still answers.
    const toPod = pipeline(data, socket);
    toPod.catch(() => {});
    await pipeline(socket, data);
    // Clients up to kubectl 1.31 keep the user's connection open until the error stream has ended, too.
    error.end();
    await toPod;
  } catch (fault) {
    const message = (fault as NodeJS.ErrnoException).message;
    if (!error.destroyed && !data.destroyed && !(fault as NodeJS.ErrnoException).code?.startsWith('ERR_STREAM_')) {
      error.write(`error forwarding port ${portText} to pod ${target.sandboxId}, uid : ${message}`);
    }
    data.end();
    data.resume();
    socket?.destroy();
  } finally {
    error.end();
  }
}
