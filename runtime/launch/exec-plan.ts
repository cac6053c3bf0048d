// ExecSpec → launch plan: one more process beside a running container's first. Pure.
import type { ContainerHost, Plan } from './container-plan.ts';
import type { ContainerSpec, ExecSpec, ProcessSpec, UserNamespace } from './port.ts';
import { finishSteps, insideLimits, limitSteps, oomSteps } from './process-steps.ts';
import { hostId } from './user-namespace.ts';
import { type Step, step } from './steps.ts';

/** What exec leaves out is the container's own. */
export function execProcess(spec: ExecSpec, container: ContainerSpec): ProcessSpec {
  const given = Object.fromEntries(Object.entries(spec.process).filter(([, value]) => value !== undefined));
  return { ...container.process, ...given } as ProcessSpec;
}

export function planExec(
  spec: ExecSpec,
  container: ContainerSpec,
  target: { pid: number; pidStart: string },
  host: Pick<ContainerHost, 'cgroups' | 'own' | 'seccomp'>,
  user?: UserNamespace,
): Plan {
  const warnings: string[] = [];
  const process = execProcess(spec, container);
  const steps = [
    step(
      'session',
      [
        'exec',
        container.id,
        '',
        '',
        '',
        [process.terminal && 'terminal', spec.stdin && 'stdin'].filter(Boolean).join(','),
        0,
        0,
        '',
        '',
      ],
      'this process stays with the exec and carries its streams',
    ),
    // What only the host's root may do is done by the session, which the process inherits from.
    ...(user ? [...oomSteps(process.oomScoreAdj, host.own, warnings), ownStreams(process, user)] : []),
    step(
      'enter',
      [
        target.pid,
        target.pidStart,
        `mnt,pid,net,ipc,uts,cgroup${user ? ',user' : ''}`,
        host.cgroups.unifiedDirectory(container.cgroup),
        ...host.cgroups.procsFiles(container.cgroup),
      ],
      "the container's namespaces, all at once",
    ),
    ...(process.terminal
      ? [
          step(
            'terminal',
            [process.terminalSize?.width ?? 0, process.terminalSize?.height ?? 0, process.uid, '0'],
            'its terminal',
          ),
        ]
      : []),
    ...(user ? [] : oomSteps(process.oomScoreAdj, host.own, warnings)),
    step('stdio', [process.uid], 'its session and standard streams'),
    ...limitSteps(process.rlimits, host.own, warnings),
    step('cwd', [process.cwd || '/'], 'where it starts'),
    ...finishSteps({
      process,
      seccomp: host.seccomp,
      own: user ? insideLimits(host.own) : host.own,
      warnings,
      wait: step('joined', [], 'the session has put us into the cgroups'),
    }),
  ];
  return { steps, warnings };
}

/** The pipes of a session belong to whoever writes to them inside. */
export function ownStreams(process: Pick<ProcessSpec, 'uid' | 'gid'>, user: UserNamespace): Step {
  const uid = hostId(user.uids, process.uid);
  const gid = hostId(user.gids, process.gid);
  if (uid === undefined || gid === undefined)
    throw new Error(`user ${process.uid}:${process.gid} is not mapped in the user namespace of the pod`);
  return step('own-streams', [uid, gid], 'its standard streams');
}
