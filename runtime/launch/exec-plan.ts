// ExecSpec → launch plan: one more process beside a running container's first. Pure.
import type { ContainerHost, Plan } from './container-plan.ts';
import type { ContainerSpec, ExecSpec, ProcessSpec } from './port.ts';
import { finishSteps, limitSteps, oomSteps } from './process-steps.ts';
import { step } from './steps.ts';

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
    step(
      'enter',
      [
        target.pid,
        target.pidStart,
        'mnt,pid,net,ipc,uts,cgroup',
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
    ...oomSteps(process.oomScoreAdj, host.own, warnings),
    step('stdio', [process.uid], 'its session and standard streams'),
    ...limitSteps(process.rlimits, host.own, warnings),
    step('cwd', [process.cwd || '/'], 'where it starts'),
    ...finishSteps({
      process,
      seccomp: host.seccomp,
      own: host.own,
      warnings,
      wait: step('joined', [], 'the session has put us into the cgroups'),
    }),
  ];
  return { steps, warnings };
}
