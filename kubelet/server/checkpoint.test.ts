import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import type { CriClient } from '../cri/client.ts';
import { RuntimeCache } from '../pods/runtime-cache.ts';
import { checkpoint } from './checkpoint.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'checkpoint-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('has the runtime write a container down, and says when it cannot', async () => {
  const cache = new RuntimeCache(new FakeClock(), () => {});
  const labels = {
    'io.kubernetes.pod.uid': 'u',
    'io.kubernetes.pod.name': 'web',
    'io.kubernetes.pod.namespace': 'default',
    'io.kubernetes.container.name': 'app',
  };
  cache.applyContainer({ id: 'c1', labels, state: 'CONTAINER_RUNNING' });
  const asked: unknown[] = [];
  let refuse = false;
  const cri = {
    async call(_method: string, request: unknown) {
      if (refuse) throw new Error('method CheckpointContainer not implemented');
      asked.push(request);
      return {};
    },
  } as unknown as CriClient;
  const ask = (container: string, query = '') =>
    checkpoint(
      { cri, cache, clock: new FakeClock(), checkpointsDir: join(dir, 'checkpoints') },
      { uid: 'u', namespace: 'default', pod: 'web', container },
      new URLSearchParams(query),
    );
  const { items } = await ask('app', 'timeout=5');
  expect(items[0]).toMatch(/checkpoints\/checkpoint-web_default-app-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.tar$/);
  expect(asked).toEqual([{ containerId: 'c1', location: items[0], timeout: 5 }]);
  await expect(ask('none')).rejects.toMatchObject({ code: 404, message: 'container none does not exist' });
  await expect(ask('app', 'timeout=x')).rejects.toMatchObject({ code: 404 });
  refuse = true;
  await expect(ask('app')).rejects.toMatchObject({
    code: 500,
    message: 'checkpointing of default/web/app failed (method CheckpointContainer not implemented)',
  });
});
