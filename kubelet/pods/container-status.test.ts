// What a container that could not be started is said to be: waiting for its next try, if there is one.
import { expect, test } from 'vitest';
import type { Container, ContainerStatus, Pod } from '../../api/types/core-v1.ts';
import { containerStatuses } from './container-status.ts';
import type { ObservedContainer } from './observed.ts';

const app: Container = { name: 'app', image: 'app:1' };
const exited = (exitCode: number) =>
  ({
    id: 'one',
    name: 'app',
    state: 'exited',
    exitCode,
    reason: 'StartError',
    message: 'no',
    restartCount: 0,
    finishedAtMs: 0,
    startedAtMs: 0,
  }) as unknown as ObservedContainer;

let restarts: number | undefined;
function stateOf(
  spec: Partial<Pod['spec']> & object,
  list: 'main' | 'init',
  exitCode = 128,
  isTerminating = false,
  old: ContainerStatus[] = [],
) {
  const [status] = containerStatuses(
    {
      pod: { metadata: {}, spec: { containers: [], ...spec } },
      observed: { sandboxes: [], containers: [exited(exitCode)] } as never,
      runtimeName: 'fake',
      waiting: new Map([['app', { reason: 'RunContainerError', message: 'no' }]]),
      old,
      readiness: () => undefined,
      startup: () => undefined,
      terminationMessage: () => '',
      isTerminating,
    },
    [app],
    list === 'init',
  );
  restarts = status?.restartCount;
  return Object.keys(status?.state ?? {})[0];
}

test.each([
  ['of a pod that restarts it', { containers: [app] }, 'main', 'waiting'],
  ['of restartPolicy Never', { containers: [app], restartPolicy: 'Never' }, 'main', 'terminated'],
  ['of restartPolicy OnFailure', { containers: [app], restartPolicy: 'OnFailure' }, 'main', 'waiting'],
  ['an init container', { initContainers: [app] }, 'init', 'waiting'],
  ['an init container, Never', { initContainers: [app], restartPolicy: 'Never' }, 'init', 'terminated'],
  ['for debugging', { ephemeralContainers: [app] }, 'main', 'terminated'],
] as const)('a container that failed to start, %s', (_, spec, list, expected) => {
  expect(stateOf(spec as never, list)).toBe(expected);
});

test('a container that failed to start, of a pod that ends', () => {
  expect(stateOf({ containers: [app] }, 'main', 128, true)).toBe('terminated');
});

test('the restart count does not go back while the instances of a pod that ends are removed', () => {
  const told = { name: 'app', restartCount: 2, state: { terminated: { exitCode: 1 } } } as ContainerStatus;
  stateOf({ containers: [app] }, 'main', 1, true, [told]);
  expect(restarts).toBe(2);
});
