// Probes and lifecycle hooks: exactly one handler each.
import { fieldErrors } from '../field-error.ts';
import { isHttpHeaderName } from '../names.ts';
import type { HTTPGetAction, Lifecycle, LifecycleHandler, PodOS, Probe } from '../types/core-v1.ts';
import { type Findings, invalidEach, nonNegative, portNumber, portNumberOrName } from './checks.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<LifecycleHandler, 'sleep'>;

/** `graceSeconds` is the pod's terminationGracePeriodSeconds, undefined when that is missing and reported elsewhere. */
export function* validateProbes(
  container: { livenessProbe?: Probe; readinessProbe?: Probe; startupProbe?: Probe },
  graceSeconds: number | undefined,
  field: string,
): Findings {
  const { livenessProbe, readinessProbe, startupProbe } = container;
  if (livenessProbe) {
    yield* probe(livenessProbe, graceSeconds, `${field}.livenessProbe`);
    yield* succeedsOnce(livenessProbe, `${field}.livenessProbe`);
  }
  if (readinessProbe) {
    yield* probe(readinessProbe, graceSeconds, `${field}.readinessProbe`);
    const own = readinessProbe.terminationGracePeriodSeconds;
    if (own !== undefined) {
      yield invalid(
        `${field}.readinessProbe.terminationGracePeriodSeconds`,
        own,
        'must not be set for readinessProbes',
      );
    }
  }
  if (startupProbe) {
    yield* probe(startupProbe, graceSeconds, `${field}.startupProbe`);
    yield* succeedsOnce(startupProbe, `${field}.startupProbe`);
  }
}

function* succeedsOnce({ successThreshold = 0 }: Probe, field: string): Findings {
  if (successThreshold !== 1) yield invalid(`${field}.successThreshold`, successThreshold, 'must be 1');
}

function* probe(each: Probe, graceSeconds: number | undefined, field: string): Findings {
  yield* handler(each, graceSeconds, field);
  yield* nonNegative(each.initialDelaySeconds, `${field}.initialDelaySeconds`);
  yield* nonNegative(each.timeoutSeconds, `${field}.timeoutSeconds`);
  yield* nonNegative(each.periodSeconds, `${field}.periodSeconds`);
  yield* nonNegative(each.successThreshold, `${field}.successThreshold`);
  yield* nonNegative(each.failureThreshold, `${field}.failureThreshold`);
  const own = each.terminationGracePeriodSeconds;
  if (own !== undefined && own <= 0) {
    yield invalid(`${field}.terminationGracePeriodSeconds`, own, 'must be greater than 0');
  }
}

export function* validateLifecycle(
  lifecycle: Lifecycle | undefined,
  graceSeconds: number | undefined,
  os: PodOS | undefined,
  field: string,
): Findings {
  if (!lifecycle) return;
  if (lifecycle.postStart) yield* handler(lifecycle.postStart, graceSeconds, `${field}.postStart`);
  if (lifecycle.preStop) yield* handler(lifecycle.preStop, graceSeconds, `${field}.preStop`);
  if (lifecycle.stopSignal !== undefined) yield* stopSignal(lifecycle.stopSignal, os, `${field}.stopSignal`);
}

const REAL_TIME = [
  ...Array.from({ length: 15 }, (_, i) => `SIGRTMIN+${i + 1}`),
  ...Array.from({ length: 14 }, (_, i) => `SIGRTMAX-${i + 1}`),
];
const SIGNALS = (
  'SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL ' +
  'SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU ' +
  'SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ'
)
  .split(' ')
  .concat(REAL_TIME)
  .sort();
const WINDOWS_SIGNALS = ['SIGKILL', 'SIGTERM'];

function* stopSignal(signal: string, os: PodOS | undefined, field: string): Findings {
  if (!os) yield forbidden(field, 'may not be set for containers with empty `spec.os.name`');
  // Another name of a system is reported where it stands.
  const supported = os?.name === 'windows' ? WINDOWS_SIGNALS : os?.name === 'linux' ? SIGNALS : undefined;
  if (supported && !supported.includes(signal)) yield notSupported(field, signal, supported);
}

const ONE_HANDLER = 'may not specify more than 1 handler type';

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const;

function* handler(each: Handler, graceSeconds: number | undefined, field: string): Findings {
  let handlers = 0;
  for (const name of HANDLERS) {
    if (each[name] === undefined) continue;
    if (handlers++ > 0) yield forbidden(`${field}.${name}`, ONE_HANDLER);
    else yield* action(each, name, graceSeconds, `${field}.${name}`);
  }
  if (handlers === 0) yield required(field, 'must specify a handler type');
}

function action(
  each: Handler,
  name: (typeof HANDLERS)[number],
  graceSeconds: number | undefined,
  field: string,
): Findings {
  switch (name) {
    case 'exec':
      return command(each.exec?.command, field);
    case 'httpGet':
      return httpGet(each.httpGet as HTTPGetAction, field);
    case 'tcpSocket':
      return portNumberOrName(each.tcpSocket?.port, `${field}.port`);
    case 'grpc':
      return portNumber(each.grpc?.port, `${field}.port`);
    case 'sleep':
      return sleep(each.sleep?.seconds ?? 0, graceSeconds, field);
  }
}

function command(words: readonly string[] | undefined, field: string): Findings {
  return words?.length ? [] : [required(`${field}.command`)];
}

function* httpGet(action: HTTPGetAction, field: string): Findings {
  if (!action.path) yield required(`${field}.path`);
  yield* portNumberOrName(action.port, `${field}.port`);
  if (action.scheme !== 'HTTP' && action.scheme !== 'HTTPS') {
    yield notSupported(`${field}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS']);
  }
  for (const { name } of action.httpHeaders ?? []) {
    yield* invalidEach(`${field}.httpHeaders`, name, isHttpHeaderName(name));
  }
}

function* sleep(seconds: number, graceSeconds: number | undefined, field: string): Findings {
  if (graceSeconds === undefined || (seconds >= 0 && seconds <= graceSeconds)) return;
  yield invalid(field, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`);
}
