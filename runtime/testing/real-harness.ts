// A runtime with the real launcher and an image with busybox and the probe, for contract tests. Root only; see `canLaunch`.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerConfig, PodSandboxConfig } from '../../proto/cri-types.ts';
import type { Launcher } from '../launch/port.ts';
import { createTestHost, eventually, type TestHost } from '../launch/testing.ts';
import { type Harness, type RuntimeClient, startHarness } from './harness.ts';

const root = join(import.meta.dirname, '../..');
export const IMAGE = 'localhost/box:1';

export interface RealHarness {
  host: TestHost;
  harness: Harness<Launcher>;
  client: RuntimeClient;
  launcher: Launcher;
  /** Of its own name; `RunPodSandbox`'s answer. */
  runPod(config?: Partial<PodSandboxConfig>): Promise<string>;
  createContainer(sandbox: string, config?: Partial<ContainerConfig>): Promise<string>;
  /** Created and started. */
  runContainer(sandbox: string, config?: Partial<ContainerConfig>): Promise<string>;
  /** Its exit status; waits for it. */
  exit(container: string): Promise<{ exitCode: number; reason: string }>;
  /** What it wrote to its log so far, without times. */
  log(container: string): Promise<string>;
  /** ExecSync: output and exit code. */
  exec(container: string, ...cmd: string[]): Promise<{ out: string; err: string; code: number }>;
  /** Runs a shell script in a container of its own to the end. */
  script(sandbox: string, script: string, config?: Partial<ContainerConfig>): Promise<string>;
  /** Stops and removes every sandbox. */
  clean(): Promise<void>;
  /** Ends all and throws when something is left on the host. */
  stop(): Promise<void>;
}

export async function startRealHarness(): Promise<RealHarness> {
  const host = createTestHost();
  const launcher = await host.launcher();
  const harness = await startHarness({ launcher });
  const { client } = harness;
  await makeImage(host, client);
  let serial = 0;
  const logDirectory = join(harness.directory, 'pod-logs');
  const statusOf = async (containerId: string) => (await client.call('ContainerStatus', { containerId })).status;

  const real: RealHarness = {
    host,
    harness,
    client,
    launcher,
    async runPod(config = {}) {
      const name = `pod-${serial++}`;
      const { podSandboxId = '' } = await client.call('RunPodSandbox', {
        config: {
          metadata: { name, namespace: 'default', uid: `uid-${name}` },
          hostname: name,
          logDirectory,
          ...config,
          linux: { cgroupParent: `/kubepods/${name}`, ...config.linux },
        },
      });
      return podSandboxId;
    },
    async createContainer(podSandboxId, config = {}) {
      const name = `container-${serial++}`;
      const { containerId = '' } = await client.call('CreateContainer', {
        podSandboxId,
        config: {
          metadata: { name },
          image: { image: IMAGE },
          command: ['sleep', '1000'],
          logPath: `${name}.log`,
          ...config,
        },
      });
      return containerId;
    },
    async runContainer(sandbox, config) {
      const containerId = await real.createContainer(sandbox, config);
      await client.call('StartContainer', { containerId });
      return containerId;
    },
    async exit(containerId) {
      let found: { exitCode: number; reason: string } | undefined;
      await eventually(async () => {
        const status = await statusOf(containerId);
        if (status?.state !== 'CONTAINER_EXITED') return false;
        found = { exitCode: status.exitCode ?? 0, reason: status.reason ?? '' };
        return true;
      }, `container ${containerId} exits`);
      return found as { exitCode: number; reason: string };
    },
    async log(containerId) {
      const path = (await statusOf(containerId))?.logPath ?? '';
      return readFileSync(path, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(' ').slice(3).join(' '))
        .join('\n');
    },
    async exec(containerId, ...cmd) {
      const { stdout, stderr, exitCode } = await client.call('ExecSync', { containerId, cmd, timeout: 10 });
      return {
        out: Buffer.from(stdout ?? []).toString(),
        err: Buffer.from(stderr ?? []).toString(),
        code: exitCode ?? 0,
      };
    },
    async script(sandbox, script, config) {
      const id = await real.runContainer(sandbox, { command: ['sh', '-c', script], ...config });
      await real.exit(id);
      return real.log(id);
    },
    async clean() {
      const { items = [] } = await client.call('ListPodSandbox');
      for (const { id: podSandboxId } of items) {
        await client.call('StopPodSandbox', { podSandboxId });
        await client.call('RemovePodSandbox', { podSandboxId });
      }
    },
    async stop() {
      await real.clean();
      await launcher.teardown();
      await harness.stop();
      try {
        await eventually(() => host.leftovers().length === 0, 'nothing is left on the host');
      } catch (error) {
        throw new Error(`${(error as Error).message}:\n${host.leftovers().join('\n')}`, { cause: error });
      }
      host.dispose();
    },
  };
  return real;
}

/** Busybox with its usual names, the probe with and without the set-user-id bit, users and groups. */
async function makeImage(host: TestHost, client: RuntimeClient): Promise<void> {
  const rootfs = join(host.directory, 'image-rootfs');
  for (const each of ['bin', 'tmp', 'etc', 'data', 'root']) mkdirSync(join(rootfs, each), { recursive: true });
  chmodSync(join(rootfs, 'tmp'), 0o1777);
  copyFileSync(join(root, '.cache/tools/bin/busybox'), join(rootfs, 'bin/busybox'));
  chmodSync(join(rootfs, 'bin/busybox'), 0o755);
  const names = execFileSync(join(rootfs, 'bin/busybox'), ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', name));
  execFileSync('gcc', [
    '-O1',
    '-D_GNU_SOURCE',
    '-static',
    '-o',
    join(rootfs, 'bin/probe'),
    join(import.meta.dirname, 'probe.c'),
  ]);
  copyFileSync(join(rootfs, 'bin/probe'), join(rootfs, 'bin/probe-suid'));
  chmodSync(join(rootfs, 'bin/probe-suid'), 0o4755);
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/data:/bin/sh\n');
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nweb:x:1000:\nextra:x:50000:web\n');
  const archive = join(host.directory, 'rootfs.tar');
  execFileSync('tar', ['-c', '-f', archive, '-C', rootfs, '.']);
  await client.images('Import', { path: archive, name: IMAGE, rootfs: true, changes: ['CMD ["sh"]', 'ENV PATH=/bin'] });
  rmSync(rootfs, { recursive: true });
}
