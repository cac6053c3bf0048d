// The whole runtime with real containers, as root: its process is started, killed and started again.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { buffer, text } from 'node:stream/consumers';

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SpdyStream } from '../lib/spdy/connection.ts';
import type { ContainerConfig } from '../proto/cri-types.ts';
import { connectRuntime, type RuntimeClient } from './testing/harness.ts';
import { openSpdy } from './testing/spdy-client.ts';

const binary = join(import.meta.dirname, '../build/sampan-launcher');
const isPossible = process.getuid?.() === 0 && existsSync(binary);
const root = test.skipIf(!isPossible);
const name = `spt${process.pid}`;
const image = 'example.com/tool:1';

let directory: string;
let child: ChildProcess;
let client: RuntimeClient;

async function start(): Promise<void> {
  child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'testing/runtime-process.ts'), join(directory, 'state'), binary, name, '10.251.9.0/24'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the runtime ended with ${code}`)));
  });
  client = connectRuntime(join(directory, 'state/cri.sock'));
}

async function end(signal: NodeJS.Signals): Promise<void> {
  client.close();
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

beforeAll(async () => {
  if (!isPossible) return;
  directory = mkdtempSync(join(tmpdir(), 'sampan-real-'));
  const context = join(directory, 'context');
  mkdirSync(join(context, 'bin'), { recursive: true });
  execFileSync('gcc', ['-O1', '-static', '-o', join(context, 'bin/tool'), join(import.meta.dirname, 'testing/tool.c')]);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM scratch\nCOPY bin /bin\nRUN ["/bin/tool", "write", "/made"]\nWORKDIR /srv\nCMD ["/bin/tool", "serve"]\n',
  );
  await start();
  await client.images('Build', { contextDirectory: context, tags: [image] });
});

afterAll(async () => {
  if (!isPossible) return;
  await end('SIGTERM');
  rmSync(directory, { recursive: true, force: true });
});

async function runPod(pod: string): Promise<string> {
  const config = {
    metadata: { name: pod, namespace: 'n', uid: pod, attempt: 0 },
    hostname: pod,
    logDirectory: join(directory, 'logs', pod),
    linux: { cgroupParent: `/pods/${pod}`, securityContext: { namespaceOptions: { pid: 'CONTAINER' as const } } },
  };
  return (await client.call('RunPodSandbox', { config })).podSandboxId as string;
}

async function run(podSandboxId: string, container: string, more: Partial<ContainerConfig> = {}): Promise<string> {
  const config: ContainerConfig = {
    metadata: { name: container, attempt: 0 },
    image: { image },
    logPath: `${container}.log`,
    ...more,
  };
  const { containerId = '' } = await client.call('CreateContainer', { podSandboxId, config });
  await client.call('StartContainer', { containerId });
  return containerId;
}

const statusOf = async (containerId: string) => (await client.call('ContainerStatus', { containerId })).status;
const logOf = (pod: string, container: string) =>
  readFileSync(join(directory, 'logs', pod, `${container}.log`), 'utf8');

async function until<T>(read: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read();
    if (holds(value) || i > 400) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const exited = (id: string) =>
  until(
    () => statusOf(id),
    (status) => status?.state === 'CONTAINER_EXITED',
  );

async function remove(podSandboxId: string): Promise<void> {
  await client.call('StopPodSandbox', { podSandboxId });
  await client.call('RemovePodSandbox', { podSandboxId });
}

/** Processes of the test image. */
function toolProcesses(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('/bin/tool\0');
    } catch {
      return false;
    }
  });
}

root('a container runs, logs, executes, and stops by its signal', async () => {
  const pod = await runPod('a');
  const id = await run(pod, 'main');
  await until(
    () => logOf('a', 'main'),
    (log) => log !== '',
  );
  expect(logOf('a', 'main')).toMatch(/^\d{4}-\d\d-\d\dT\S+Z? stdout F serving\n$/);
  const hello = await client.call('ExecSync', {
    containerId: id,
    cmd: ['/bin/tool', 'cat', '/etc/hostname'],
    timeout: 5,
  });
  expect([String(hello.stdout), hello.exitCode]).toEqual(['a\n', 0]);
  expect((await client.call('ExecSync', { containerId: id, cmd: ['/bin/tool', 'exit', '7'] })).exitCode).toBe(7);
  expect(String((await client.call('ExecSync', { containerId: id, cmd: ['/bin/tool', 'cat', '/made'] })).stdout)).toBe(
    'made\n',
  );
  await expect(
    client.call('ExecSync', { containerId: id, cmd: ['/bin/tool', 'sleep', '60'], timeout: 1 }),
  ).rejects.toMatchObject({ code: 4 });
  await client.call('StopContainer', { containerId: id, timeout: 10 });
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 0, reason: 'Completed' });
  await remove(pod);
});

root('exit codes, commands that are not there, and stubborn ones', async () => {
  const pod = await runPod('b');
  expect(await exited(await run(pod, 'three', { command: ['/bin/tool', 'exit', '3'] }))).toMatchObject({
    exitCode: 3,
    reason: 'Error',
  });
  await expect(run(pod, 'missing', { command: ['/bin/nothing'] })).rejects.toThrow(/nothing|no such file/i);
  const stubborn = await run(pod, 'stubborn', { command: ['/bin/tool', 'stubborn'] });
  await until(
    () => logOf('b', 'stubborn'),
    (log) => log !== '',
  );
  await client.call('StopContainer', { containerId: stubborn, timeout: 1 });
  expect(await statusOf(stubborn)).toMatchObject({ exitCode: 137 });
  await remove(pod);
});

root('too much memory is an OOM kill', async () => {
  const pod = await runPod('c');
  const id = await run(pod, 'eat', {
    command: ['/bin/tool', 'eat'],
    linux: { resources: { memoryLimitInBytes: 32 << 20 } },
  });
  expect(await exited(id)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
  await remove(pod);
});

root('streams reach real processes: stdin and its end, terminals, ports', async () => {
  const pod = await runPod('e');
  const id = await run(pod, 'main', { command: ['/bin/tool', 'listen', '8080'] });
  await until(
    () => logOf('e', 'main'),
    (log) => log !== '',
  );

  const cat = { containerId: id, cmd: ['/bin/tool', 'cat'], stdin: true, stdout: true };
  const connection = await openSpdy((await client.call('Exec', cat)).url as string, 'v4.channel.k8s.io');
  const [error, stdin, stdout] = ['error', 'stdin', 'stdout'].map((type) => connection.open({ streamtype: [type] }));
  const content = randomBytes(600_000);
  stdin?.end(content);
  expect((await buffer(stdout as SpdyStream)).equals(content)).toBe(true);
  expect(JSON.parse(await text(error as SpdyStream))).toMatchObject({ status: 'Success' });

  const tty = { containerId: id, cmd: ['/bin/tool', 'exit', '5'], stdout: true, tty: true };
  const terminal = await openSpdy((await client.call('Exec', tty)).url as string, 'v4.channel.k8s.io');
  const [outcome, screen] = ['error', 'stdout', 'resize'].map((type) => terminal.open({ streamtype: [type] }));
  expect(await text(screen as SpdyStream)).toBe('leaving\r\n');
  expect(JSON.parse(await text(outcome as SpdyStream)).details.causes).toEqual([{ reason: 'ExitCode', message: '5' }]);

  const forward = await openSpdy(
    (await client.call('PortForward', { podSandboxId: pod })).url as string,
    'portforward.k8s.io',
  );
  const pair = (port: string, requestId: string) =>
    ['error', 'data'].map((type) => forward.open({ streamtype: [type], port: [port], requestid: [requestId] })) as [
      SpdyStream,
      SpdyStream,
    ];
  const [, data] = pair('8080', '1');
  expect(await text(data)).toBe('hello from the pod\n');
  const [refused] = pair('81', '2');
  expect(await text(refused)).toMatch(/^error forwarding port 81 to pod .*refused/i);
  forward.close();
  await remove(pod);
});

root('kill -9 of the runtime: containers go on, exits are found, nothing is doubled', async () => {
  const pod = await runPod('d');
  const goesOn = await run(pod, 'main');
  const ends = await run(pod, 'ends', { command: ['/bin/tool', 'serve'] });
  const pid = JSON.parse(
    (await client.call('ContainerStatus', { containerId: ends, verbose: true })).info?.['info'] ?? '{}',
  ).pid as number;
  const before = await statusOf(goesOn);
  await end('SIGKILL');
  process.kill(pid, 'SIGTERM');
  await until(
    () => existsSync(`/proc/${pid}/exe`),
    (there) => !there,
  );
  expect(toolProcesses().length).toBe(1);
  await start();
  expect(await statusOf(goesOn)).toEqual(before);
  expect(await exited(ends)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 0 });
  expect((await client.call('ExecSync', { containerId: goesOn, cmd: ['/bin/tool', 'echo', 'x'] })).exitCode).toBe(0);
  await client.call('StopContainer', { containerId: goesOn, timeout: 5 });
  expect(await statusOf(goesOn)).toMatchObject({ exitCode: 0 });
  await remove(pod);
});

root('killed at any moment, the runtime comes back with whole pods only and leaves nothing', async () => {
  for (const delayMs of [3, 15, 40, 90]) {
    const work = (async () => {
      for (let i = 0; i < 20; i++) {
        const pod = await runPod(`k${delayMs}-${i}`);
        await run(pod, 'main');
        if (i % 2 === 0) await remove(pod);
      }
    })().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await end('SIGKILL');
    await work;
    await start();
    const containers = (await client.call('ListContainers')).containers ?? [];
    const running = containers.filter((c) => c.state === 'CONTAINER_RUNNING');
    await until(
      () => toolProcesses().length,
      (count) => count === running.length,
    );
    expect(toolProcesses().length).toBe(running.length);
    for (const sandbox of (await client.call('ListPodSandbox')).items ?? []) await remove(sandbox.id as string);
    expect(toolProcesses()).toEqual([]);
    for (const left of ['sandboxes', 'containers', 'images/snapshots/active']) {
      expect(readdirSync(join(directory, 'state', left))).toEqual([]);
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(join(directory, 'state/images'));
  }
});
