// Keeps container logs bounded: a log over 10 MiB is set aside and the runtime told to open a new one; of those set
// aside the newest four stay. Looked at every 10 s, since a file's size is no event. Not compressed.
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { CriClient } from '../cri/client.ts';
import type { RuntimeCache } from './runtime-cache.ts';

const CHECK_MS = 10_000;
const MAX_BYTES = 10 * 2 ** 20;
const MAX_ROTATED = 4;

export interface RotationOptions {
  cri: CriClient;
  cache: RuntimeCache;
  clock: Clock;
  log: Logger;
  maxBytes?: number;
}

/** Runs until the signal aborts. */
export async function rotateLogs(options: RotationOptions, signal: AbortSignal): Promise<void> {
  while (await sleep(options.clock, CHECK_MS, signal)) await rotateOnce(options);
}

export async function rotateOnce({ cri, cache, clock, log, maxBytes = MAX_BYTES }: RotationOptions): Promise<void> {
  for (const { uid } of cache.identities()) {
    for (const { id, state, logPath } of cache.pod(uid).containers) {
      if (state !== 'running' || !logPath) continue;
      const size = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
      if (size <= maxBytes) continue;
      try {
        await rotate(cri, id, logPath, clock.now());
      } catch (error) {
        log.warn({ err: error, logPath }, 'cannot rotate a container log; trying again');
      }
    }
  }
}

async function rotate(cri: CriClient, id: string, path: string, nowMs: number): Promise<void> {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const aside = `${path}.${stamp}`;
  renameSync(path, aside);
  try {
    await cri.call('ReopenContainerLog', { containerId: id });
  } catch (error) {
    // The runtime still writes to the old file: it gets its name back.
    renameSync(aside, path);
    throw error;
  }
  const rotated = readdirSync(dirname(path))
    .filter((name) => name.startsWith(`${basename(path)}.`))
    .sort();
  for (const name of rotated.slice(0, -MAX_ROTATED)) rmSync(join(dirname(path), name), { force: true });
}
