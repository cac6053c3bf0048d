// Port forwarding over the channels of a WebSocket, as browsers and the JavaScript client do it: the ports are named in the
// request, and the n-th has channel 2n for data and 2n+1 for errors. Each channel begins with its port, two bytes, the low
// one first.
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { StreamBackend, StreamTargets } from './targets.ts';
import { sendMessage } from './websocket.ts';

export const portForwardChannels = 'v4.channel.k8s.io';
/** Two channels each, and a channel is one byte. */
const maxPorts = 64;

export function serveChannelPortForward(
  webSocket: WebSocket,
  target: StreamTargets['portForward'],
  backend: StreamBackend,
): void {
  const say = (channel: number, data: Buffer) => sendMessage(webSocket, Buffer.concat([Buffer.of(channel), data]));
  const connections = target.ports.slice(0, maxPorts).map((port, index) => connect(port, index));
  // A message to a connection that is not made yet waits for it: the messages come one after the other.
  let last = Promise.resolve();
  webSocket.on('message', (message: Buffer, isBinary: boolean) => {
    const channel = message[0];
    if (!isBinary || channel === undefined || channel % 2 === 1) return;
    const connection = connections[channel / 2];
    if (!connection || message.length === 1) return;
    webSocket.pause();
    last = last.then(async () => {
      const socket = await connection;
      if (socket && !socket.destroyed && !socket.write(message.subarray(1))) await drained(socket);
      webSocket.resume();
    });
  });
  webSocket.on('error', () => webSocket.terminate());
  webSocket.on('close', () => {
    for (const each of connections) void each.then((socket) => socket?.destroy());
  });

  async function connect(port: number, index: number): Promise<Duplex | undefined> {
    const [data, error] = [2 * index, 2 * index + 1];
    const first = Buffer.alloc(2);
    first.writeUInt16LE(port);
    await say(data, first);
    await say(error, first);
    try {
      const socket = await backend.dial(target.sandboxId, port);
      void passOn(socket, data, error, port);
      return socket;
    } catch (fault) {
      await fail(error, port, fault);
      return undefined;
    }
  }

  async function passOn(socket: Duplex, data: number, error: number, port: number): Promise<void> {
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) await say(data, chunk);
    } catch (fault) {
      await fail(error, port, fault);
    }
    // One port is what clients ask for: with its connection the whole is over.
    if (target.ports.length === 1) webSocket.close(1000);
  }

  async function fail(channel: number, port: number, fault: unknown): Promise<void> {
    const text = `error forwarding port ${port} to pod ${target.sandboxId}, uid : ${(fault as Error).message}`;
    await say(channel, Buffer.from(text));
  }
}

function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      socket.off('drain', settle);
      socket.off('close', settle);
      resolve();
    };
    socket.on('drain', settle);
    socket.on('close', settle);
  });
}
