// Runs a command in a user-mode Linux: another kernel in a process of this host, with this host's files, all capabilities and
// cgroup v2 alone. What it writes is gone with it.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const tools = join(root, '.cache/tools/uml');

export const hasUml = existsSync(join(tools, 'linux.uml'));

export interface UmlRun {
  /** Undefined when the machine did not come to its end. */
  code: number | undefined;
  /** Of its console: the command's output, both streams. */
  output: string;
}

/** `script` is run by /bin/sh, in the root directory. Killed after `timeoutMs`. */
export async function runInUml(
  script: string,
  options: { memoryMegabytes: number; timeoutMs: number },
): Promise<UmlRun> {
  const directory = mkdtempSync(join(tmpdir(), 'sampan-uml-'));
  try {
    writeFileSync(join(directory, 'command'), script);
    const child = spawn(
      join(tools, 'linux.uml'),
      [
        `mem=${options.memoryMegabytes}M`,
        ...['rootfstype=hostfs', 'rootflags=/', 'ro', 'quiet', 'raid6_pq=x', 'con=null', 'con0=null,fd:1'],
        `init=${join(import.meta.dirname, 'init.sh')}`,
        `uml_dir=${directory}`,
        `sampan_modules=${tools}`,
        `sampan_command=${join(directory, 'command')}`,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        // The guest's memory is a file there.
        env: { TMPDIR: '/dev/shm', LD_PRELOAD: join(tools, 'xstate.so') },
        // Its processes are processes of the host: all of them are in this group.
        detached: true,
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
    const killAll = () => {
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {
        // Gone already.
      }
    };
    const timer = setTimeout(killAll, options.timeoutMs);
    await new Promise<void>((done, fail) => {
      child.once('error', fail);
      child.once('close', () => done());
    });
    clearTimeout(timer);
    killAll();
    const code = /uml: ended with (\d+)/.exec(output)?.[1];
    return { code: code === undefined ? undefined : Number(code), output };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
