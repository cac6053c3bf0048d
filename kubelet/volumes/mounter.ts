// Mounts of the kubelet's own: tmpfs for secrets and memory volumes, bind mounts for sub-paths. By mount(8), since Node
// cannot call mount(2); never on the way of an ordinary pod.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Mounter {
  /** `sizeBytes` 0 or undefined: the kernel's default. */
  tmpfs(target: string, options?: { sizeBytes?: number; mode?: number }): Promise<void>;
  /** Any filesystem: `mount -t type -o options source target`. */
  mount(type: string, source: string, target: string, options: readonly string[]): Promise<void>;
  bind(source: string, target: string): Promise<void>;
  /** Makes `target` a shared mount of itself, so that mounts below it can propagate into containers and back. */
  share(target: string): Promise<void>;
  /** Succeeds when nothing is mounted there. */
  unmount(target: string): Promise<void>;
  /** Mount points at or below `prefix`, deepest first. */
  below(prefix: string): string[];
}

function run(file: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { timeout: 30_000 }, (error, _stdout, stderr) => {
      if (error) reject(new Error(`${file} ${args.join(' ')}: ${stderr.trim() || error.message}`, { cause: error }));
      else resolve();
    });
  });
}

/** Undoes the octal escapes of /proc/self/mountinfo. */
const unescape = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

export function createMounter(): Mounter {
  const below = (prefix: string) =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => unescape(line.split(' ')[4] ?? ''))
      .filter((point) => point === prefix || point.startsWith(`${prefix}/`))
      .reverse();
  return {
    below,
    tmpfs(target, { sizeBytes, mode = 0o755 } = {}) {
      const options = [`mode=${mode.toString(8)}`, ...(sizeBytes ? [`size=${sizeBytes}`] : [])];
      return run('mount', ['-t', 'tmpfs', '-o', options.join(','), 'tmpfs', target]);
    },
    mount: (type, source, target, options) =>
      run('mount', ['-t', type, ...(options.length > 0 ? ['-o', options.join(',')] : []), source, target]),
    // As it is: mount(8) would look up where a descriptor below /proc leads, and what is there may be another thing by the time it mounts it.
    bind: (source, target) => run('mount', ['--no-canonicalize', '--bind', source, target]),
    async share(target) {
      if (!below(target).includes(target)) await run('mount', ['--bind', target, target]);
      await run('mount', ['--make-rshared', target]);
    },
    async unmount(target) {
      for (const point of below(target)) await run('umount', ['-l', point]);
    },
  };
}

/** For tests and for users without the privilege: directories instead of mounts. */
export function createPlainMounter(): Mounter & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    async tmpfs(target) {
      calls.push(`tmpfs ${target}`);
    },
    async mount(type, source, target, options) {
      calls.push(`mount ${type} ${source} ${target} ${options.join(',')}`);
    },
    async bind(source, target) {
      calls.push(`bind ${source} ${target}`);
    },
    async share(target) {
      calls.push(`share ${target}`);
    },
    async unmount(target) {
      calls.push(`unmount ${target}`);
    },
    below: () => [],
  };
}
