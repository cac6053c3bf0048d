import { expect, it } from 'vitest';
import { type LogsSources, serveContainerLogs } from './logs-endpoint.ts';

it.each([
  ['ErrImagePull', 'container "c" in pod "p" is waiting to start: image can\'t be pulled'],
  ['ImagePullBackOff', 'container "c" in pod "p" is waiting to start: trying and failing to pull image'],
  ['CreateContainerConfigError', 'container "c" in pod "p" is waiting to start: CreateContainerConfigError'],
  [undefined, 'container "c" in pod "p" is waiting to start - no logs yet'],
])('a container that waits with %s has no log yet', async (waiting, message) => {
  const sources = { cache: { pod: () => ({ containers: [] }) }, clock: { now: () => 0 } } as unknown as LogsSources;
  const target = { uid: 'u', pod: 'p', container: 'c', waiting };
  const served = serveContainerLogs(sources, target, new URLSearchParams(), {} as never, new AbortController().signal);
  await expect(served).rejects.toMatchObject({ code: 400, message });
});
