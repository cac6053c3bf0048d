// For tests with real namespaces and cgroups (root only): a launcher in a network namespace and below a cgroup of its own,
// a rootfs with busybox, and a look at what is left on the host.
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { createLauncher, type LauncherOptions } from './launcher.ts';
import type { ContainerSpec, ExitEvent, Launcher, SandboxSpec } from './port.ts';

const root = join(import.meta.dirname, '../..');
const busybox = join(root, '.cache/tools/bin/busybox');
const compiled = join(root, 'build/sampan-launcher');

/** Real tests need root and the static busybox of scripts/setup. */
/** test/uml runs the tests on a kernel that has no nftables (pods get addresses, but no host ports) and is slow. */
export const isUml = process.env['SAMPAN_TEST_KERNEL'] === 'uml';

export const canLaunch = process.getuid?.() === 0 && existsSync(busybox);

export interface TestHost {
  directory: string;
  /** Creates a launcher on the same state; call again after a "crash". */
  launcher(network?: LauncherOptions['network'], tamper?: LauncherOptions['tamper']): Promise<Launcher>;
  /** Of the network namespace, the cgroup root and the directory. */
  name: string;
  sandbox(overrides?: Partial<SandboxSpec>): SandboxSpec;
  container(
    id: string,
    args: string[],
    overrides?: Omit<Partial<ContainerSpec>, 'process'> & { process?: Partial<ContainerSpec['process']> },
  ): ContainerSpec;
  log(id: string): string;
  serverPid(): number;
  shimPid(id: string): number;
  /** Runs a program in the test's network namespace. */
  inNetns(...args: string[]): string;
  /** What of ours is on the host: mounts, cgroups, processes, links. */
  leftovers(): string[];
  dispose(): void;
}

export function createTestHost(): TestHost {
  execFileSync('make', ['-s', '-C', join(root, 'runtime/native')]);
  const directory = mkdtempSync(join(tmpdir(), 'sampan-launch-'));
  const name = basename(directory);
  const netns = `/run/netns/${name}`;
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('nsenter', [`--net=${netns}`, 'ip', 'link', 'set', 'lo', 'up']);
  const rootfs = join(directory, 'rootfs');
  for (const each of ['bin', 'tmp', 'etc', 'data']) mkdirSync(join(rootfs, each), { recursive: true });
  cpSync(busybox, join(rootfs, 'bin/busybox'));
  for (const applet of [
    'sh',
    'cat',
    'sleep',
    'id',
    'hostname',
    'ps',
    'ls',
    'stty',
    'nc',
    'true',
    'mount',
    'unshare',
    'chroot',
    'mkdir',
    'touch',
    'tail',
    'dd',
    'mknod',
    'grep',
    'readlink',
    'kill',
    'wget',
    'ip',
  ])
    symlinkSync('busybox', join(rootfs, 'bin', applet));
  const binary = join(directory, 'launcher');
  writeFileSync(binary, `#!/bin/sh\nexec nsenter --net=${netns} ${compiled} "$@"\n`, { mode: 0o755 });
  const stateDir = join(directory, 'state');
  const find = (what: string) =>
    execFileSync('find', ['/sys/fs/cgroup', '-maxdepth', '3', '-name', what], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);
  const processes = () =>
    readdirSync('/proc')
      .filter((each) => /^\d+$/.test(each))
      .flatMap((pid) => {
        try {
          const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
          const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
          const state = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
          // A zombie is gone; PID 1 of some hosts takes its time to notice.
          return state !== 'Z' && (cgroup.includes(name) || command.includes(directory)) ? [`${pid} ${command}`] : [];
        } catch {
          return [];
        }
      });

  return {
    directory,
    name,
    launcher: (network, tamper) =>
      createLauncher({
        ...(tamper && { tamper }),
        stateDir,
        binary,
        cgroupRoot: `/${name}`,
        network: {
          bridge: 'sampantest0',
          podCidr: '10.77.0.0/24',
          ...network,
          nft: (args, input) =>
            new Promise((resolve, reject) => {
              if (isUml) return resolve('');
              const child = spawn('nsenter', [`--net=${netns}`, 'nft', ...args], {
                stdio: ['pipe', 'pipe', 'inherit'],
              });
              let output = '';
              child.stdout.on('data', (bytes: Buffer) => {
                output += bytes.toString();
              });
              child.once('close', (code) =>
                code === 0 ? resolve(output) : reject(new Error(`nft exited with ${code}: ${input}`)),
              );
              child.stdin.on('error', () => undefined); // a query reads no input
              child.stdin.end(input);
            }),
        },
        clock: systemClock,
        log: silentLogger,
      }),
    sandbox: (overrides = {}) => ({
      id: 's1',
      hostname: 'pod-1',
      network: 'pod',
      pid: 'container',
      ipc: 'pod',
      cgroupParent: '/kubepods/pod1',
      ...overrides,
    }),
    container(id, args, overrides = {}) {
      for (const each of ['upper', 'work']) mkdirSync(join(directory, id, each), { recursive: true });
      return {
        id,
        sandboxId: 's1',
        rootfs: {
          lowerDirs: [rootfs],
          upperDir: join(directory, id, 'upper'),
          workDir: join(directory, id, 'work'),
          readonly: false,
        },
        mounts: [],
        maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
        readonlyPaths: ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus'],
        privileged: false,
        seccomp: { kind: 'runtime-default' },
        resources: {},
        cgroup: `/kubepods/pod1/${id}`,
        logPath: join(directory, `${id}.log`),
        stdin: false,
        stdinOnce: false,
        ...overrides,
        process: {
          args,
          env: ['PATH=/bin'],
          cwd: '/',
          uid: 0,
          gid: 0,
          additionalGids: [],
          terminal: false,
          capabilities: [
            'CHOWN',
            'DAC_OVERRIDE',
            'FSETID',
            'FOWNER',
            'MKNOD',
            'NET_RAW',
            'SETGID',
            'SETUID',
            'SETFCAP',
            'SETPCAP',
            'NET_BIND_SERVICE',
            'SYS_CHROOT',
            'KILL',
            'AUDIT_WRITE',
          ],
          noNewPrivileges: true,
          ...overrides.process,
        },
      };
    },
    log: (id) => readFileSync(join(directory, `${id}.log`), 'utf8'),
    serverPid: () =>
      Number(
        processes()
          .find((line) => line.includes('serve '))
          ?.split(' ')[0] ?? 0,
      ),
    shimPid: (id) =>
      Number(/^shim=(\d+)/m.exec(readFileSync(join(stateDir, 'containers', id, 'facts'), 'utf8'))?.[1] ?? 0),
    inNetns: (...args) => execFileSync('nsenter', [`--net=${netns}`, ...args], { encoding: 'utf8' }),
    leftovers: () => [
      ...readFileSync('/proc/self/mounts', 'utf8')
        .split('\n')
        .filter((line) => line.includes(directory)),
      ...find(name),
      ...processes(),
      ...execFileSync('nsenter', [`--net=${netns}`, 'ip', '-o', 'link'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line && !line.includes(' lo:')),
      ...readdirSync(join(stateDir, 'containers')),
      ...readdirSync(join(stateDir, 'sandboxes')),
    ],
    dispose() {
      execFileSync('ip', ['netns', 'delete', name]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves with the exit of one container; for tests that wait for it. */
export function exits(launcher: Launcher): { of(id: string): Promise<ExitEvent>; all: ExitEvent[] } {
  const all: ExitEvent[] = [];
  const waiting = new Map<string, (event: ExitEvent) => void>();
  launcher.onExit((event) => {
    all.push(event);
    waiting.get(event.containerId)?.(event);
  });
  return {
    all,
    of: (id) =>
      new Promise((resolve) => {
        const known = all.find((event) => event.containerId === id);
        if (known) return resolve(known);
        waiting.set(id, resolve);
      }),
  };
}

export async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Waits until `check` holds, by looking again; fails after 10 s. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tried = 0; tried < 1000; tried++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never happened: ${what}`);
}
