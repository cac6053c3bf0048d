// One cluster per data directory: a unix socket that lives as long as the process. Whoever can connect knows that the
// cluster runs, may ask it to stop, and sees the connection close when it has ended, even by kill -9.
import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Layout } from '../layout.ts';
import { UserError } from '../user-error.ts';

export interface Hold {
  askedToStop: Promise<void>;
  release(): Promise<void>;
}

const socketPath = (layout: Layout) => join(layout.dataDir, 'up.sock');

export async function holdDataDir(layout: Layout): Promise<Hold> {
  const path = socketPath(layout);
  const other = await connectTo(path);
  if (other) {
    other.destroy();
    throw new UserError(
      `a cluster is already running in ${layout.dataDir}: use it, end it with 'sampan down', or choose another --data-dir`,
    );
  }
  rmSync(path, { force: true });
  let asked: () => void;
  const askedToStop = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => connections.delete(socket));
    socket.on('data', (data) => {
      if (data.toString().startsWith('stop')) asked();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
  return {
    askedToStop,
    release: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy();
      }),
  };
}

/** Asks the cluster to stop and resolves true when its process has ended; false when none was running. */
export async function stopHolder(layout: Layout): Promise<boolean> {
  const socket = await connectTo(socketPath(layout));
  if (!socket) return false;
  await new Promise<void>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
    socket.write('stop\n');
  });
  return true;
}

function connectTo(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
