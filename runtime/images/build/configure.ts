// Steps that change only how the image is run: one function from step and configuration to configuration. Pure.
import type { RunConfig } from '../oci.ts';
import { type Command, DockerfileError, type HealthCheck, type Step } from './dockerfile.ts';

export interface Configured {
  run: RunConfig;
  /** True when this Dockerfile's stage has set CMD: a new ENTRYPOINT leaves it then. */
  hasCmd: boolean;
  author?: string;
}

export type ConfigStep = Exclude<Step, { kind: 'arg' | 'copy' | 'run' | 'workdir' }>;

const DEFAULT_SHELL = ['/bin/sh', '-c'];

export function argsOf(command: Command, run: RunConfig): string[] {
  return command.form === 'exec' ? command.args : [...(run.Shell ?? DEFAULT_SHELL), command.text];
}

/** `fill` replaces variables. Nothing given is changed. Throws DockerfileError. */
export function configure(before: Configured, step: ConfigStep, fill: (text: string) => string): Configured {
  const run = { ...before.run };
  const after: Configured = { ...before, run };
  switch (step.kind) {
    case 'env':
      // Each pair sees the environment as it was before the instruction.
      for (const { name, value } of step.pairs.map((pair) => ({ ...pair, value: fill(pair.value) }))) {
        run.Env = [...(run.Env ?? []).filter((entry) => !entry.startsWith(`${name}=`)), `${name}=${value}`];
      }
      break;
    case 'label':
      for (const { name, value } of step.pairs) run.Labels = { ...run.Labels, [fill(name)]: fill(value) };
      break;
    case 'cmd':
      run.Cmd = argsOf(step.command, run);
      after.hasCmd = true;
      break;
    case 'entrypoint':
      run.Entrypoint = argsOf(step.command, run);
      // A base image's arguments do not fit a new entrypoint.
      if (!before.hasCmd) delete run.Cmd;
      break;
    case 'user':
      run.User = fill(step.value);
      break;
    case 'stopsignal':
      run.StopSignal = fill(step.value);
      break;
    case 'maintainer':
      after.author = step.value;
      break;
    case 'shell':
      run.Shell = step.args;
      break;
    case 'onbuild':
      run.OnBuild = [...(run.OnBuild ?? []), step.value];
      break;
    case 'healthcheck':
      run.Healthcheck = healthcheckOf(step.check, run, step.line);
      break;
    case 'expose':
      for (const value of step.values.map(fill)) {
        if (!/^\d+(-\d+)?(\/(tcp|udp|sctp))?$/i.test(value))
          throw new DockerfileError(step.line, `"${value}" is not a port`);
        run.ExposedPorts = { ...run.ExposedPorts, [value.includes('/') ? value.toLowerCase() : `${value}/tcp`]: {} };
      }
      break;
    case 'volume':
      for (const value of step.values.map(fill)) run.Volumes = { ...run.Volumes, [value]: {} };
      break;
  }
  return after;
}

const DURATION_OPTIONS = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
} as const;

/** As Docker keeps it in an image: durations in nanoseconds. Kubernetes does not look at it. */
function healthcheckOf({ command, options }: HealthCheck, run: RunConfig, line: number): RunConfig['Healthcheck'] {
  if (command === 'none') return { Test: ['NONE'] };
  const shell = run.Shell ? ['CMD', ...run.Shell] : ['CMD-SHELL'];
  const check: NonNullable<RunConfig['Healthcheck']> = {
    Test: command.form === 'exec' ? ['CMD', ...command.args] : [...shell, command.text],
  };
  for (const [option, field] of Object.entries(DURATION_OPTIONS)) {
    const text = options[option];
    if (text !== undefined) check[field] = nanoseconds(text, `--${option}`, line);
  }
  const { retries } = options;
  if (retries !== undefined) {
    if (!/^\d{1,6}$/.test(retries)) throw new DockerfileError(line, `--retries=${retries} is not a number`);
    check.Retries = Number(retries);
  }
  return check;
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

/** Go's durations: `1h30m`, `1.5s`. */
function nanoseconds(text: string, option: string, line: number): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw new DockerfileError(line, `${option}=${text} is not a duration such as 30s`);
  }
  return Math.round(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number), 0));
}
