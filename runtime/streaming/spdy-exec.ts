// exec and attach over SPDY/3.1: the client opens one stream per channel, named by the header `streamtype`. v1 to v3
// report a failure as text, v4 (and v5, which differs only on WebSocket) as a Status; sizes come with v3.
import type { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { SpdyConnection, type SpdyStream } from '../../lib/spdy/connection.ts';
import type { Clock } from '../../lib/clock.ts';
import { type ClientChannels, parseSize } from './session.ts';
import { type Outcome, statusJson, statusText } from './status.ts';
import type { StreamFlags } from './targets.ts';

export const spdyExecProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
] as const;

/** The client has this long to open its streams. */
export const streamPatienceMs = 30_000;

/** Resolves when all streams that `flags` ask for are open; rejects when the client leaves or takes too long. */
export function spdyChannels(
  transport: Duplex,
  protocol: string,
  flags: StreamFlags,
  clock: Clock,
): Promise<ClientChannels> {
  const wanted = new Set(['error']);
  for (const name of ['stdin', 'stdout', 'stderr'] as const) if (flags[name]) wanted.add(name);
  if (flags.tty && protocol !== 'v2.channel.k8s.io' && protocol !== 'channel.k8s.io') wanted.add('resize');
  const streams = new Map<string, SpdyStream>();
  const gone = new AbortController();
  return new Promise((resolve, reject) => {
    const timer = clock.after(streamPatienceMs, () => {
      connection.close();
      reject(new Error(`the client did not open its streams in ${streamPatienceMs / 1000} s`));
    });
    const connection = new SpdyConnection(transport, {
      role: 'server',
      onStream(stream) {
        const name = stream.header('streamtype');
        if (!wanted.has(name) || streams.has(name)) throw new Error(`unexpected stream type "${name}"`);
        streams.set(name, stream);
        if (streams.size < wanted.size) return;
        timer.cancel();
        resolve(channelsOf(connection, streams, protocol, gone.signal));
      },
      onClose() {
        timer.cancel();
        gone.abort();
        reject(new Error('the client went away'));
      },
    });
  });
}

function channelsOf(
  connection: SpdyConnection,
  streams: Map<string, SpdyStream>,
  protocol: string,
  gone: AbortSignal,
): ClientChannels {
  const writer = (name: string) => {
    const stream = streams.get(name);
    return stream && ((data: Uint8Array) => write(stream, data));
  };
  const text = protocol !== 'v5.channel.k8s.io' && protocol !== 'v4.channel.k8s.io';
  // Directions nobody uses must not fill up.
  for (const name of ['error', 'stdout', 'stderr']) streams.get(name)?.resume();
  return {
    stdin: streams.get('stdin') as Readable | undefined,
    writeStdout: writer('stdout'),
    writeStderr: writer('stderr'),
    onResize(listener) {
      let pending = '';
      streams.get('resize')?.on('data', (data: Buffer) => {
        // One JSON object per write of the client, but nothing forbids two in a frame or one in two.
        pending += data.toString('utf8');
        for (let end = pending.indexOf('}'); end >= 0; end = pending.indexOf('}')) {
          const size = parseSize(pending.slice(0, end + 1));
          pending = pending.slice(end + 1);
          if (size) listener(size.width, size.height);
        }
        if (pending.length > 4096) pending = '';
      });
    },
    gone,
    async finish(outcome: Outcome) {
      const error = streams.get('error') as SpdyStream;
      const message = text ? statusText(outcome) : statusJson(outcome);
      if (message !== '' && !connection.isClosed) await write(error, Buffer.from(message));
      const ends = [...streams.values()].map((stream) => endOf(stream));
      await Promise.all(ends);
      connection.close();
    },
  };
}

function write(stream: SpdyStream, data: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve();
    stream.write(data, () => resolve());
  });
}

function endOf(stream: SpdyStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) return resolve();
    stream.once('close', resolve);
    stream.end(() => resolve());
  });
}
