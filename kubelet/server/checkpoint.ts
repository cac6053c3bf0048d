// POST /checkpoint/{namespace}/{pod}/{container}: the runtime writes down what a container is, for forensics. A runtime that cannot says so.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { CriClient } from '../cri/client.ts';
import { latestContainer } from '../pods/observed.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import { HttpError } from './http-error.ts';

export interface CheckpointSources {
  cri: CriClient;
  cache: RuntimeCache;
  clock: Clock;
  /** Where archives go. */
  checkpointsDir: string;
}

export async function checkpoint(
  { cri, cache, clock, checkpointsDir }: CheckpointSources,
  target: { uid: string; namespace: string; pod: string; container: string },
  query: URLSearchParams,
): Promise<{ items: string[] }> {
  const { uid, namespace, pod, container } = target;
  const found = latestContainer(cache.pod(uid), container);
  if (!found) throw new HttpError(404, `container ${container} does not exist`);
  const failed = (why: string) => `checkpointing of ${namespace}/${pod}/${container} failed (${why})`;
  const timeout = Number(query.get('timeout') ?? 0);
  if (!Number.isInteger(timeout) || timeout < 0)
    throw new HttpError(404, failed(`timeout ${JSON.stringify(query.get('timeout'))} is not a number of seconds`));
  mkdirSync(checkpointsDir, { recursive: true, mode: 0o700 });
  const stamp = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
  const location = join(checkpointsDir, `checkpoint-${pod}_${namespace}-${container}-${stamp}.tar`);
  try {
    await cri.call('CheckpointContainer', { containerId: found.id, location, timeout });
  } catch (error) {
    throw new HttpError(500, failed((error as Error).message));
  }
  return { items: [location] };
}
