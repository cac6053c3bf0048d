// exec and attach over WebSocket: binary messages whose first byte is the channel (0 stdin, 1 stdout, 2 stderr,
// 3 outcome, 4 terminal size). v5 adds channel 255: the rest of the message names a channel the client has closed.
import { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import { type ClientChannels, parseSize } from './session.ts';
import { type Outcome, statusJson } from './status.ts';
import type { StreamFlags } from './targets.ts';

export const execProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

export function webSocketChannels(socket: WebSocket, protocol: string, flags: StreamFlags): ClientChannels {
  const gone = new AbortController();
  const listeners: ((width: number, height: number) => void)[] = [];
  const sizes: { width: number; height: number }[] = [];
  const stdin = flags.stdin ? new Readable({ read: () => socket.resume() }) : undefined;
  socket.on('message', (message: Buffer, isBinary: boolean) => {
    if (!isBinary || message.length === 0) return;
    const data = message.subarray(1);
    switch (message[0]) {
      case channel.stdin:
        if (data.length > 0 && stdin && !stdin.readableEnded && !stdin.push(data)) socket.pause();
        return;
      case channel.resize: {
        const size = flags.tty ? parseSize(data.toString('utf8')) : undefined;
        if (!size) return;
        if (listeners.length === 0) sizes.push(size);
        for (const listener of listeners) listener(size.width, size.height);
        return;
      }
      case channel.close:
        if (protocol === 'v5.channel.k8s.io' && data[0] === channel.stdin) stdin?.push(null);
        return;
    }
  });
  const leave = () => {
    gone.abort();
    stdin?.destroy();
  };
  socket.on('close', leave);
  socket.on('error', leave);
  const write = (number: number) => (data: Uint8Array) =>
    sendMessage(socket, Buffer.concat([Buffer.from([number]), data]));
  // An empty message on the first output tells the client that the streams are there.
  void write(flags.stdout ? channel.stdout : flags.stderr ? channel.stderr : channel.error)(Buffer.alloc(0));
  return {
    stdin,
    writeStdout: flags.stdout ? write(channel.stdout) : undefined,
    writeStderr: flags.stderr ? write(channel.stderr) : undefined,
    onResize(listener) {
      listeners.push(listener);
      for (const size of sizes.splice(0)) listener(size.width, size.height);
    },
    gone: gone.signal,
    async finish(outcome: Outcome) {
      await write(channel.error)(Buffer.from(statusJson(outcome)));
      socket.resume();
      socket.close(1000);
    },
  };
}

/** Resolves when the message is with the kernel, also when the client has gone. */
export function sendMessage(socket: WebSocket, message: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) return resolve();
    socket.send(message, { binary: true }, () => resolve());
  });
}
