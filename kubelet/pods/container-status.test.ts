import { expect, it } from 'vitest';
import type { ContainerStatus } from '../../api/types/core-v1.ts';
import { containerStatuses } from './container-status.ts';
import type { ObservedContainer, ObservedPod } from './observed.ts';

const container = { name: 'c', image: 'i' };
const told = (restartCount: number): ContainerStatus => ({
  name: 'c',
  ready: false,
  restartCount,
  image: 'i',
  imageID: '',
  state: { waiting: { reason: 'CrashLoopBackOff' } },
});

/** What is told of a container whose newest instance in the runtime is run `attempt`, exited. */
function statusOf(attempt: number, old: ContainerStatus): ContainerStatus | undefined {
  const exited = {
    id: `run-${attempt}`,
    name: 'c',
    restartCount: attempt,
    state: 'exited',
    exitCode: 1,
    image: 'i',
    imageRef: 'sha256:1',
    createdAtMs: 1,
    startedAtMs: 2,
    finishedAtMs: 3,
  } as unknown as ObservedContainer;
  return containerStatuses(
    {
      pod: { metadata: {}, spec: { containers: [container] } },
      observed: { sandboxes: [], containers: [exited] } as unknown as ObservedPod,
      runtimeName: 'r',
      waiting: new Map(),
      old: [old],
      readiness: () => undefined,
      startup: () => undefined,
      terminationMessage: () => '',
      isTerminating: false,
    },
    [container],
    false,
  )[0];
}

it.each([
  ['a newer run', 3, told(2), 3],
  ['the run that was told', 2, told(2), 2],
  ['an older one, when the runtime lost the newest in a crash', 1, told(2), 2],
])('counts restarts by %s', (_, attempt, old, expected) => {
  expect(statusOf(attempt, old)?.restartCount).toBe(expected);
});
