// Executes a RUN step of a build in a container of our own: same isolation as any container, the host's network, no
// record in the store (what a crash leaves is unknown to the store and removed at the next start).
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CriContext, newId } from '../cri/context.ts';
import { processEnv } from '../cri/spec/process.ts';
import { defaultCapabilities } from '../cri/spec/security.ts';
import { resolveUserString } from '../cri/spec/user.ts';
import type { RunStep } from '../images/build/run.ts';
import { ImageError } from '../images/errors.ts';
import { ensureDirectory } from '../snapshots/ensure-directory.ts';

export function runStepWith(context: CriContext): RunStep {
  return async ({ chain, config, args, buildArgs, onOutput, store }) => {
    const id = newId(context.random);
    const { snapshots, root } = context.images;
    const view = snapshots.view(chain);
    const directory = join(root, 'build', id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const logPath = join(directory, 'log');
    const user = resolveUserString(config.User ?? '', {
      passwd: view.readText('/etc/passwd'),
      group: view.readText('/etc/group'),
    });
    const cwd = config.WorkingDir || '/';
    // Places the launcher mounts on; they are not part of the change.
    const mountPoints = ['dev', 'proc', 'sys', 'etc/resolv.conf'].filter((path) => !view.find(`/${path}`));
    const exit = context.exits.expect(id);
    try {
      const { upperDir, workDir } = snapshots.prepare(id, chain);
      ensureDirectory(view, upperDir, cwd);
      await context.launcher.createSandbox({
        id,
        hostname: 'build',
        network: 'node',
        pid: 'container',
        ipc: 'pod',
        cgroupParent: `/build/${id}`,
      });
      await context.launcher.createContainer({
        id,
        sandboxId: id,
        process: {
          args,
          env: [...processEnv({}, config, { hostname: 'build', home: user.home }), ...buildArgs],
          cwd,
          uid: user.uid,
          gid: user.gid,
          additionalGids: user.groups,
          terminal: false,
          capabilities: [...defaultCapabilities],
          noNewPrivileges: false,
        },
        rootfs: { lowerDirs: snapshots.lowerDirs(chain), upperDir, workDir, readonly: false },
        mounts: [
          { source: context.host.resolvConf, target: '/etc/resolv.conf', readonly: true, propagation: 'private' },
        ],
        maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
        readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
        privileged: false,
        seccomp: { kind: 'runtime-default' },
        resources: {},
        cgroup: `/build/${id}/${id}`,
        logPath,
        stdin: false,
        stdinOnce: false,
      });
      await context.launcher.startContainer(id);
      const { exitCode } = await exit.event;
      const output = logText(logPath);
      if (output !== '') onOutput(output);
      if (exitCode !== 0) {
        throw new ImageError(
          'invalid',
          `the command ${JSON.stringify(args)} exited with ${exitCode}: ${output.slice(-1000)}`,
        );
      }
      await context.launcher.removeContainer(id);
      return await store(snapshots.diff(id, 0, new Set(mountPoints)));
    } finally {
      exit.cancel();
      await context.launcher.removeContainer(id);
      await context.launcher.removeSandbox(id);
      await snapshots.release(id);
      rmSync(directory, { recursive: true, force: true });
    }
  };
}

/** The text of a log in CRI's format: time, stream, P or F, content. */
function logText(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return '';
  }
  return text
    .split('\n')
    .map((line) => /^\S+ (?:stdout|stderr) ([PF]) (.*)$/s.exec(line))
    .map((match) => (match ? `${match[2]}${match[1] === 'F' ? '\n' : ''}` : ''))
    .join('');
}
