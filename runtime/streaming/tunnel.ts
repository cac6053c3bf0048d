// A byte stream inside the binary messages of a WebSocket.
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { sendMessage } from './websocket.ts';

export function webSocketTunnel(socket: WebSocket): Duplex {
  const tunnel = new Duplex({
    read: () => socket.resume(),
    write(chunk: Buffer, _encoding, callback) {
      void sendMessage(socket, chunk).then(() => callback());
    },
    final(callback) {
      socket.close(1000);
      callback();
    },
    destroy(error, callback) {
      socket.terminate();
      callback(error);
    },
  });
  socket.on('message', (message: Buffer) => {
    if (!tunnel.push(message)) socket.pause();
  });
  socket.on('close', () => tunnel.push(null));
  socket.on('error', (error) => tunnel.destroy(error));
  return tunnel;
}
