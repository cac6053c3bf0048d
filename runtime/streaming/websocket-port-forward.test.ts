// Port forwarding over the channels of a WebSocket.
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { serveStreaming, type StreamingServer } from './server.ts';

let streaming: StreamingServer;
const echo = createServer((socket) => {
  socket.on('data', (chunk) => socket.end(chunk.toString().toUpperCase()));
  socket.on('error', () => {});
});

beforeAll(async () => {
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const { port } = echo.address() as AddressInfo;
  streaming = await serveStreaming({
    address: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log: silentLogger,
    backend: {
      exec: () => Promise.reject(new Error('not here')),
      attach: () => Promise.reject(new Error('not here')),
      dial: (_sandbox, asked) =>
        asked === 80 ? Promise.resolve(connect(port, '127.0.0.1')) : Promise.reject(new Error('connection refused')),
    },
  });
});
afterAll(async () => {
  await streaming.stop();
  await new Promise((resolve) => echo.close(resolve));
});

/** Everything said on each channel until it is closed. */
function talk(
  ports: readonly number[],
  say: string,
  until: (heard: Map<number, string>) => boolean,
): Promise<Map<number, string>> {
  const url = streaming.portForwardUrl({ sandboxId: 's', ports }).replace('http', 'ws');
  const socket = new WebSocket(url, 'v4.channel.k8s.io');
  const heard = new Map<number, string>();
  return new Promise((resolve, reject) => {
    socket.on('open', () => socket.send(Buffer.concat([Buffer.of(0), Buffer.from(say)])));
    socket.on('message', (message: Buffer) => {
      const channel = message[0] as number;
      heard.set(channel, (heard.get(channel) ?? '') + message.subarray(1).toString('latin1'));
      if (until(heard)) socket.close();
    });
    socket.on('close', () => resolve(heard));
    socket.on('error', reject);
  });
}

it('says the port on both channels, then passes both ways', async () => {
  const heard = await talk([80], 'hello', () => false);
  expect([...heard]).toEqual([
    [0, 'P\0HELLO'],
    [1, 'P\0'],
  ]);
});

it('tells on the error channel of a port why it cannot be reached', async () => {
  const heard = await talk([80, 443], '', (so) => (so.get(3)?.length ?? 0) > 2);
  expect(heard.get(3)).toBe('\u00bb\u0001error forwarding port 443 to pod s, uid : connection refused');
});

it('needs ports', async () => {
  await expect(talk([], '', () => true)).rejects.toThrow('400');
});
