import { expect, it } from 'vitest';
import type { ContainerState, ContainerStatus, PodSandboxStatus } from '../../proto/cri-types.ts';
import { FakeClock } from '../../lib/clock.ts';
import { RuntimeCache } from './runtime-cache.ts';

const pod = { 'io.kubernetes.pod.uid': 'u', 'io.kubernetes.pod.name': 'p', 'io.kubernetes.pod.namespace': 'n' };
const sandbox = (id: string, isReady: boolean): PodSandboxStatus => ({
  id,
  labels: pod,
  state: isReady ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
  network: { ip: '10.0.0.1' },
});
const container = (id: string, state: ContainerState): ContainerStatus => ({
  id,
  state,
  labels: { ...pod, 'io.kubernetes.container.name': 'c' },
});

it('never goes back, whatever order events come in', () => {
  const changes: string[] = [];
  const cache = new RuntimeCache(new FakeClock(), (uid) => changes.push(uid));
  cache.applyContainer(container('c1', 'CONTAINER_RUNNING'));
  cache.applyContainer(container('c1', 'CONTAINER_EXITED'));
  cache.applyContainer(container('c1', 'CONTAINER_RUNNING'));
  expect(cache.container('c1')?.state).toBe('exited');
  cache.removeContainer('c1');
  cache.applyContainer(container('c1', 'CONTAINER_EXITED'));
  expect(cache.pod('u').containers).toEqual([]);
  cache.applySandbox(sandbox('s1', false));
  cache.applySandbox(sandbox('s1', true));
  expect(cache.pod('u').sandboxes[0]?.isReady).toBe(false);
  expect(changes).toHaveLength(4);
});

it('takes events about a sandbox as what they are', () => {
  const cache = new RuntimeCache(new FakeClock(), () => {});
  const about = (type: 'CONTAINER_STARTED_EVENT' | 'CONTAINER_STOPPED_EVENT', isReady: boolean) =>
    cache.applyEvent({ containerId: 's1', containerEventType: type, podSandboxStatus: sandbox('s1', isReady) });
  expect(about('CONTAINER_STARTED_EVENT', true)).toBe(true);
  // Some caller looked for a container of that id.
  cache.removeContainer('s1');
  expect(about('CONTAINER_STOPPED_EVENT', false)).toBe(true);
  expect(cache.pod('u').sandboxes[0]?.isReady).toBe(false);
  cache.applyEvent({ containerId: 's1', containerEventType: 'CONTAINER_DELETED_EVENT' });
  expect(cache.identities()).toEqual([]);
});

it('drops what a listing does not have, but not what came during it', () => {
  const cache = new RuntimeCache(new FakeClock(), () => {});
  cache.applyContainer(container('old', 'CONTAINER_RUNNING'));
  const token = cache.startListing();
  cache.applyContainer(container('new', 'CONTAINER_RUNNING'));
  cache.finishListing(token, new Set(), new Set());
  expect(cache.pod('u').containers.map((each) => each.id)).toEqual(['new']);
});
