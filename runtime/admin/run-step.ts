// Executes a RUN step of a build in a container of our own: same isolation as any container, the host's network, no
// record in the store (what a crash leaves is unknown to the store and removed at the next start).
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CriContext, newId } from '../cri/context.ts';
import { processEnv } from '../cri/spec/process.ts';
import { defaultCapabilities } from '../cri/spec/security.ts';
import { resolveUserString } from '../cri/spec/user.ts';
import type { RunStep } from '../images/build/run.ts';
import { ImageError } from '../images/errors.ts';
import { followOutput } from './follow-output.ts';
import { ensureDirectory } from '../snapshots/ensure-directory.ts';

/** Where a program that is written in the Dockerfile appears while it runs. */
const SCRIPT = '/.sampan-run';

export function runStepWith(context: CriContext): RunStep {
  return async ({ chain, config, args, script, network, buildArgs, onOutput, store }) => {
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
    const program = script === undefined ? undefined : join(directory, 'script');
    if (program) {
      writeFileSync(program, script as string, { mode: 0o755 });
      mountPoints.push(SCRIPT.slice(1));
    }
    const log = followOutput(logPath, onOutput);
    const exit = context.exits.expect(id);
    try {
      const { upperDir, workDir } = snapshots.prepare(id, chain);
      ensureDirectory(view, upperDir, cwd);
      await context.launcher.createSandbox({
        id,
        hostname: 'build',
        network: network === 'none' ? 'none' : 'node',
        pid: 'container',
        ipc: 'pod',
        cgroupParent: `/build/${id}`,
      });
      await context.launcher.createContainer({
        id,
        sandboxId: id,
        process: {
          args: program ? [SCRIPT] : args,
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
          ...(program ? [{ source: program, target: SCRIPT, readonly: true, propagation: 'private' as const }] : []),
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
      const said = log.end();
      if (exitCode !== 0) {
        const what = program ? 'the script' : `the command ${JSON.stringify(args)}`;
        throw new ImageError('invalid', `${what} exited with ${exitCode}: ${said}`);
      }
      await context.launcher.removeContainer(id);
      return await store(snapshots.diff(id, 0, new Set(mountPoints)));
    } finally {
      log.end();
      exit.cancel();
      await context.launcher.removeContainer(id);
      await context.launcher.removeSandbox(id);
      await snapshots.release(id);
      rmSync(directory, { recursive: true, force: true });
    }
  };
}
