// Real kubectl, old (SPDY) and new (WebSocket), through a tiny API server that passes upgrades on as they are.
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { kubectls } from '../../test/kubectls.ts';
import { FakeLauncher } from '../testing/fake-launcher.ts';
import { type StreamingServer, serveStreaming } from './server.ts';

/** SPDY and WebSockets: up to 1.29 and from 1.31 on. Where there is one kubectl only, that. */
const chosen = kubectls()
  .filter(([version]) => ['1.27', '1.32', 'installed'].includes(version))
  .map(([, path]) => path);

let launcher: FakeLauncher;
let streaming: StreamingServer;
let api: Server;
let apiUrl = '';
let home = '';

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'sampan-kubectl-'));
  launcher = new FakeLauncher(systemClock);
  streaming = await serveStreaming({
    address: '127.0.0.1',
    port: 0,
    backend: launcher,
    clock: systemClock,
    log: silentLogger,
  });
  api = createServer((request, response) => {
    const body = documents[(request.url ?? '').replace(/\?.*/, '')];
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(body ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404, reason: 'NotFound' }),
    );
  });
  api.on('upgrade', passOn);
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  apiUrl = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
});

afterAll(async () => {
  for (const socket of passedOn) socket.destroy();
  await new Promise((resolve) => {
    api.close(resolve);
    api.closeAllConnections();
  });
  await streaming.stop();
  rmSync(home, { recursive: true, force: true });
});

const thePod = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'x' }] },
  status: { phase: 'Running' },
};

const documents: Record<string, object> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
  '/api/v1': {
    kind: 'APIResourceList',
    groupVersion: 'v1',
    resources: [
      { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'], shortNames: ['po'] },
    ],
  },
  '/api/v1/namespaces/default/pods/p': thePod,
};

/** Upgraded connections are nobody's but ours to close. */
const passedOn = new Set<Duplex>();

function passOn(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  passedOn.add(socket);
  socket.once('close', () => passedOn.delete(socket));
  const url = new URL(request.url ?? '', 'http://api');
  const has = (name: string) => url.searchParams.get(name) === 'true';
  const flags = { tty: has('tty'), stdin: has('stdin'), stdout: has('stdout'), stderr: has('stderr') };
  const args = url.searchParams.getAll('command');
  const target = url.pathname.endsWith('/portforward')
    ? streaming.portForwardUrl({ sandboxId: 'sandbox1', ports: [] })
    : streaming.execUrl({
        ...flags,
        spec: { containerId: 'c', process: { args, env: [], cwd: '/', terminal: flags.tty }, stdin: flags.stdin },
      });
  const to = new URL(target);
  const upstream = connect(Number(to.port), to.hostname, () => {
    const lines = [`${request.method} ${to.pathname} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    upstream.write(head);
    socket.pipe(upstream).pipe(socket);
  });
  for (const end of [socket, upstream]) {
    end.on('error', () => {
      socket.destroy();
      upstream.destroy();
    });
  }
}

interface Done {
  code: number;
  stdout: Buffer;
  stderr: string;
}

function kubectl(binary: string, args: readonly string[], input?: Buffer): Promise<Done> {
  return new Promise((resolve) => {
    const child = execFile(
      binary,
      ['--server', apiUrl, ...args],
      {
        encoding: 'buffer',
        maxBuffer: 16 << 20,
        env: { HOME: home, PATH: '/usr/bin:/bin', KUBECONFIG: '/dev/null' },
        timeout: 15_000,
      },
      (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr: stderr.toString() }),
    );
    child.stdin?.on('error', () => {}).end(input);
  });
}

describe.each(chosen)('%s', (binary) => {
  test('exec returns both outputs and the exit code', async () => {
    launcher.onExec = (spec, process) => {
      process.stdout.write(`ran ${spec.process.args.join(' ')}\n`);
      process.stderr.write('complaint\n');
      process.exit(3);
    };
    const done = await kubectl(binary, ['exec', 'p', '--', 'sh', '-c', 'exit 3']);
    expect(done.stdout.toString()).toBe('ran sh -c exit 3\n');
    expect(done.stderr).toContain('complaint');
    expect(done.code).toBe(3);
  });

  test('a command that cannot start is an internal error', async () => {
    launcher.onExec = () => {
      throw new Error('no such container');
    };
    const done = await kubectl(binary, ['exec', 'p', '--', 'x']);
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('error executing command in container: no such container');
  });

  test('two megabytes go in and come back unchanged, and the end of stdin arrives', async () => {
    launcher.onExec = (_spec, process) => {
      process.stdin.on('data', (data) => process.stdout.write(data));
      process.stdin.on('end', () => process.exit(0));
    };
    const input = randomBytes(2 << 20);
    const done = await kubectl(binary, ['exec', '-i', 'p', '--', 'cat'], input);
    expect(done.code).toBe(0);
    expect(digest(done.stdout)).toBe(digest(input));
  });

  test('port-forward carries many connections both ways', async () => {
    const echo = createTcpServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const port = (echo.address() as AddressInfo).port;
    launcher.onDial = (_sandbox, wanted) => {
      if (wanted !== 80) throw new Error('connection refused');
      return connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    };
    const child = spawn(binary, ['--server', apiUrl, 'port-forward', 'pod/p', ':80', ':81'], {
      env: { HOME: home, PATH: '/usr/bin:/bin', KUBECONFIG: '/dev/null' },
    });
    let errors = '';
    child.stderr.on('data', (data) => {
      errors += data;
    });
    try {
      const [good, bad] = await forwardedPorts(child.stdout);
      const contents = [randomBytes(700_000), randomBytes(300_000), randomBytes(10)];
      const echoed = await Promise.all(contents.map((content) => roundTrip(good as number, content)));
      expect(echoed.map(digest)).toEqual(contents.map(digest));
      expect((await roundTrip(bad as number, Buffer.from('x'))).length).toBe(0);
      await waitUntil(() => errors.includes('connection refused'));
    } finally {
      child.kill();
      await new Promise((resolve) => child.once('close', resolve));
      echo.close();
    }
  });
});

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function forwardedPorts(stdout: NodeJS.ReadableStream): Promise<number[]> {
  return new Promise((resolve) => {
    let text = '';
    stdout.on('data', (data) => {
      text += data;
      const ports = [...text.matchAll(/127\.0\.0\.1:(\d+) -> (\d+)/g)];
      if (ports.length === 2) resolve(ports.map((match) => Number(match[1])));
    });
  });
}

function roundTrip(port: number, content: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (data) => parts.push(data));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(parts)));
    socket.end(content);
  });
}

async function waitUntil(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(condition()).toBe(true);
}
