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
const FLOOD_CHECK_MS = 1000;
const MAX_BYTES = 10 * 2 ** 20;
const MAX_FILES = 5;

export interface RotationOptions {
  cri: CriClient;
  cache: RuntimeCache;
  clock: Clock;
  log: Logger;
  maxBytes?: number;
  /** The log and those set aside. */
  maxFiles?: number;
}

/** Runs until the signal aborts. */
export async function rotateLogs(options: RotationOptions, signal: AbortSignal): Promise<void> {
  let waitMs = CHECK_MS;
  // Who has filled a log since the last look may be flooding it: look again soon.
  while (await sleep(options.clock, waitMs, signal))
    waitMs = (await rotateOnce(options)) > 0 ? FLOOD_CHECK_MS : CHECK_MS;
}

/** How many logs were set aside. */
export async function rotateOnce(options: RotationOptions): Promise<number> {
  const { cri, cache, clock, log, maxBytes = MAX_BYTES, maxFiles = MAX_FILES } = options;
  let count = 0;
  for (const { uid } of cache.identities()) {
    for (const { id, state, logPath } of cache.pod(uid).containers) {
      if (state !== 'running' || !logPath) continue;
      const size = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
      if (size <= maxBytes) continue;
      try {
        await rotate(cri, id, logPath, clock.now(), maxFiles - 1);
        count++;
      } catch (error) {
        log.warn({ err: error, logPath }, 'cannot rotate a container log; trying again');
      }
    }
  }
  return count;
}

async function rotate(cri: CriClient, id: string, path: string, nowMs: number, keep: number): Promise<void> {
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
  for (const name of rotated.slice(0, -keep)) rmSync(join(dirname(path), name), { force: true });
}
