// The images of a node as a person handles them: built from a Dockerfile in real containers, looked at, saved, loaded,
// pushed, pulled, and made of a container's changes.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CriClient, createCriClient } from '../../kubelet/cri/client.ts';
import { type Output, root, TestHost, tool } from './harness.ts';

const host = new TestHost('images');
const children: ChildProcess[] = [];
const socket = join(host.dataDir, 'runtime/cri.sock');
let cri: CriClient;

async function image(command: string, ...args: string[]): Promise<Output> {
  return host.run([join(root, 'scripts/sampan'), 'image', command, '--data-dir', host.dataDir, ...args]);
}
async function must(command: string, ...args: string[]): Promise<Output> {
  const output = await image(command, ...args);
  if (output.code !== 0)
    throw new Error(`image ${command} ${args.join(' ')} ended with ${output.code}: ${output.stderr}`);
  return output;
}

const DOCKERFILE = `FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]

FROM base AS compiled
ARG WHO=nobody
WORKDIR /work
RUN --network=none <<EOF
set -e
ls /sys/class/net > interfaces
echo "made for $WHO" > made
echo "said by the build"
EOF
RUN <<EOF
#!/bin/busybox ash
echo "a script of its own, as $(id -u)" > script
EOF

FROM base
COPY --from=compiled /work /made
HEALTHCHECK CMD true
CMD ["/bin/sleep", "1000"]
`;

beforeAll(async () => {
  mkdirSync(host.dataDir, { recursive: true });
  mkdirSync(join(host.dir, 'context'));
  execFileSync('cp', [tool('busybox'), join(host.dir, 'context/busybox')]);
  writeFileSync(join(host.dir, 'context/Dockerfile'), DOCKERFILE);
  const runtime = host.spawn(
    [join(root, 'scripts/sampan'), 'runtime', '--data-dir', host.dataDir, '--cgroup-root', host.cgroup],
    'runtime.log',
  );
  children.push(runtime);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    for (const stream of [runtime.stdout, runtime.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (existsSync(socket)) resolve();
      });
    }
    runtime.once('exit', (code) => reject(new Error(`the runtime ended with ${code}: ${said}`)));
  });
  cri = createCriClient(socket);
});

afterAll(async () => {
  cri?.close();
  for (const child of children) {
    if (child.exitCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    }
  }
  // The runtime leaves containers alone when it ends; this is for pods of a test that failed.
  await host.run([join(root, 'scripts/sampan'), 'down', '--data-dir', host.dataDir]);
  expect(host.dispose()).toEqual({});
});

describe('images', () => {
  test('a Dockerfile of several stages is built, cached, and says what it does', async () => {
    const args = ['-t', 'local/app:1', '--build-arg', 'WHO=me', 'context'];
    const first = await must('build', ...args);
    expect(first.stdout).toBe('docker.io/local/app:1\n');
    expect(first.stderr).toContain('said by the build');
    const again = await must('build', ...args);
    expect(again.stderr).not.toContain('said by the build');
    const fresh = await must('build', '--no-cache', ...args);
    expect(fresh.stderr).toContain('said by the build');
    expect((await must('build', '-t', 'local/base:1', '--target', 'base', 'context')).code).toBe(0);
    writeFileSync(join(host.dir, 'bad'), 'FROM local/app:1\nRUN echo about to fail && exit 3\n');
    const failed = await image('build', '-t', 'x', '-f', 'bad', 'context');
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toMatch(/Dockerfile line 2: the command .* exited with 3: about to fail/);
  });

  test('history, inspect and ls tell what there is', async () => {
    const history = (await must('history', 'local/app:1')).stdout.split('\n');
    expect(history[0]).toMatch(/^CREATED BY +SIZE +COMMENT/);
    expect(history[1]).toContain('CMD ["/bin/sleep", "1000"]');
    expect(history.join('\n')).toContain('COPY busybox /bin/busybox');
    const [inspected] = JSON.parse((await must('inspect', 'local/app:1')).stdout);
    expect(inspected).toMatchObject({
      repoTags: ['docker.io/local/app:1'],
      config: { Cmd: ['/bin/sleep', '1000'], Healthcheck: { Test: ['CMD-SHELL', 'true'] } },
    });
    expect(inspected.layers.length).toBe(3);
    expect((await image('inspect', 'none')).stderr).toContain('image "none" not found');
    expect((await must('ls')).stdout).toMatch(/docker\.io\/local\/app:1 +[0-9a-f]{12} +[\d.]+ MB/);
  });

  test('an archive, a registry and a root file system are ways out and in again', async () => {
    const registry = host.spawn(
      [join(root, 'scripts/node'), join(root, 'runtime/testing/registry-process.ts'), 'robot', 'secret'],
      'registry.log',
    );
    children.push(registry);
    const port = await new Promise<string>((resolve) =>
      registry.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
    );
    const [before] = JSON.parse((await must('inspect', 'local/app:1')).stdout);
    const name = `127.0.0.1:${port}/team/app:1`;
    expect((await image('push', 'local/app:1', name)).stderr).toContain('401');
    mkdirSync(join(host.dir, 'docker'));
    const auth = Buffer.from('robot:secret').toString('base64');
    writeFileSync(join(host.dir, 'docker/config.json'), JSON.stringify({ auths: { [`127.0.0.1:${port}`]: { auth } } }));
    const push = [join(root, 'scripts/sampan'), 'image', 'push', '--data-dir', host.dataDir, 'local/app:1', name];
    expect(await host.run(push, { env: { DOCKER_CONFIG: join(host.dir, 'docker') } })).toMatchObject({ code: 0 });
    await must('tag', 'local/app:1', 'local/other:2');
    await must('save', '-o', 'app.tar', 'local/app:1');
    await must('rm', 'local/app:1', 'local/other:2');
    expect((await must('ls')).stdout).not.toContain('local/app');
    await must('load', 'app.tar');
    await must('rm', 'local/app:1', 'local/other:2');
    await must('pull', '--creds', 'robot:secret', name);
    const [after] = JSON.parse((await must('inspect', name)).stdout);
    expect(after.id).toBe(before.id);
    execFileSync('tar', ['-cf', join(host.dir, 'root.tar'), '-C', join(host.dir, 'context'), 'busybox']);
    await must('import', '--rootfs', '-t', 'local/rootfs:1', '--change', 'CMD ["/busybox"]', 'root.tar');
    expect(JSON.parse((await must('inspect', 'local/rootfs:1')).stdout)[0].config).toEqual({ Cmd: ['/busybox'] });
    await must('tag', name, 'local/app:1');
  });

  test('what a container has written becomes an image', async () => {
    const metadata = { name: 'p', namespace: 'n', uid: 'u', attempt: 0 };
    const { podSandboxId } = await cri.call('RunPodSandbox', {
      config: { metadata, logDirectory: host.dir, linux: { cgroupParent: '/pods/p' } },
    });
    const { containerId = '' } = await cri.call('CreateContainer', {
      podSandboxId,
      config: { metadata: { name: 'c', attempt: 0 }, image: { image: 'local/app:1' }, logPath: 'c.log' },
    });
    await cri.call('StartContainer', { containerId });
    const sh = async (script: string) =>
      String((await cri.call('ExecSync', { containerId, cmd: ['/bin/sh', '-c', script], timeout: 10 })).stdout);
    expect(await sh('cat /made/made /made/script /made/interfaces')).toBe(
      'made for me\na script of its own, as 0\nlo\n',
    );
    await sh('echo changed > /made/made; rm /made/script; mkdir -p /etc; echo new > /etc/new');
    await must('commit', '-m', 'by hand', '-c', 'CMD ["/bin/sh"]', containerId.slice(0, 12), 'local/committed:1');
    const [inspected] = JSON.parse((await must('inspect', 'local/committed:1')).stdout);
    expect(inspected.config.Cmd).toEqual(['/bin/sh']);
    expect(inspected.history.at(-1)).toMatchObject({ createdBy: 'commit', comment: 'by hand' });
    await must('save', '-o', 'committed.tar', 'local/committed:1');
    const layer = inspected.layers.at(-1).digest.replace(':', '/');
    execFileSync('tar', ['-xf', join(host.dir, 'committed.tar'), '-C', host.dir, `blobs/${layer}`]);
    const names = execFileSync('tar', ['-tzf', join(host.dir, 'blobs', layer)], { encoding: 'utf8' }).split('\n');
    expect(names).toEqual(expect.arrayContaining(['made/made', 'made/.wh.script', 'etc/new']));
    expect(names.filter((each) => /^(dev|proc|sys|etc\/hosts|etc\/resolv)/.test(each))).toEqual([]);
    await cri.call('StopPodSandbox', { podSandboxId });
    await cri.call('RemovePodSandbox', { podSandboxId });
    expect(readFileSync(join(host.dir, 'runtime.log'), 'utf8')).not.toContain('secret');
  });
});
