// A real etcd for tests: random ports, a directory of its own, killed and removed afterwards.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, globSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface TestEtcd {
  /** `http://127.0.0.1:port`; stays the same through restarts. */
  readonly endpoint: string;
  readonly port: number;
  /** Ends with SIGKILL and waits; the data stay. */
  kill(): Promise<void>;
  /** Starts again on the same data and port, and waits until it serves. */
  start(): Promise<void>;
  /** Ends it and removes everything. */
  stop(): Promise<void>;
}

/** The binary: $SAMPAN_ETCD, the PATH, or the one that scripts/setup unpacked; undefined when there is none. */
export function findEtcd(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const root = new URL('../../../', import.meta.url).pathname;
  const candidates = [
    ...(env.SAMPAN_ETCD ? [env.SAMPAN_ETCD] : []),
    ...(env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'etcd')),
    ...globSync('.cache/tools/**/{bin,etcd*}/etcd', { cwd: root }).map((each) => join(root, each)),
  ];
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export async function startEtcd(options: { fsync?: boolean; quotaBytes?: number } = {}): Promise<TestEtcd> {
  const binary = findEtcd();
  if (!binary) throw new Error('no etcd found: run scripts/setup, or set SAMPAN_ETCD to an etcd 3.4 or newer');
  const directory = mkdtempSync(join(tmpdir(), 'sampan-etcd-'));
  const [port, peerPort] = await freePorts();
  const endpoint = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const args = ['--name=test', `--data-dir=${join(directory, 'data')}`];
    args.push(`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`);
    args.push(`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=test=${peer}`);
    // One member need not wait for others: elections at once.
    args.push('--heartbeat-interval=20', '--election-timeout=100', '--log-level=error', '--logger=zap');
    if (options.quotaBytes) args.push(`--quota-backend-bytes=${options.quotaBytes}`);
    if (options.fsync === false) args.push('--unsafe-no-fsync');
    const started = spawn(binary as string, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    let output = '';
    started.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    });
    for (let attempt = 0; ; attempt++) {
      if (started.exitCode !== null || attempt > 400) throw new Error(`etcd did not start: ${output}`);
      if (await isHealthy(endpoint)) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  async function kill(): Promise<void> {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => running.once('exit', () => resolve()));
    running.kill('SIGKILL');
    await gone;
  }

  const onExit = () => child?.kill('SIGKILL');
  process.once('exit', onExit);
  const etcd: TestEtcd = {
    endpoint,
    port,
    start,
    kill,
    async stop() {
      await kill();
      process.removeListener('exit', onExit);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await start();
  } catch (error) {
    await etcd.stop();
    throw error;
  }
  return etcd;
}

async function isHealthy(endpoint: string): Promise<boolean> {
  try {
    const response = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(1000) });
    return response.ok && (await response.text()).includes('true');
  } catch {
    return false;
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports as [number, number];
}

export interface TcpProxy {
  endpoint: string;
  /** Ends all connections; new ones are accepted. */
  cut(): void;
  close(): Promise<void>;
}

/** Passes connections on to a local port, and can cut them. */
export async function startTcpProxy(port: number): Promise<TcpProxy> {
  const sockets = new Set<import('node:net').Socket>();
  const server = createServer((client) => {
    const target = connect(port, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {
        client.destroy();
        target.destroy();
      });
    }
    client.pipe(target);
    target.pipe(client);
  });
  const own = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    endpoint: `http://127.0.0.1:${own}`,
    cut,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
