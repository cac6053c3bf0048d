// Keeps container logs bounded: a log over 10 MiB is set aside and the runtime told to open a new one; of those set
// aside the newest four stay, and all but the newest, which the runtime may still write to, are compressed. Looked at every 10 s, since a
// file's size is no event.
import { createReadStream, createWriteStream, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
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
  /** How many logs are rotated at once; default 1. */
  workers?: number;
  /** How often sizes are looked at; default 10 s. */
  intervalMs?: number;
}

/** Runs until the signal aborts. */
export async function rotateLogs(options: RotationOptions, signal: AbortSignal): Promise<void> {
  const { intervalMs = CHECK_MS } = options;
  let waitMs = intervalMs;
  // Who has filled a log since the last look may be flooding it: look again soon.
  while (await sleep(options.clock, waitMs, signal))
    waitMs = (await rotateOnce(options)) > 0 ? Math.min(FLOOD_CHECK_MS, intervalMs) : intervalMs;
}

/** How many logs were set aside. */
export async function rotateOnce(options: RotationOptions): Promise<number> {
  const { cri, cache, clock, log, maxBytes = MAX_BYTES, maxFiles = MAX_FILES, workers = 1 } = options;
  const full = cache
    .identities()
    .flatMap(({ uid }) => cache.pod(uid).containers)
    .filter(({ state, logPath }) => state === 'running' && logPath && sizeOf(logPath) > maxBytes);
  let count = 0;
  const work = async () => {
    for (let next = full.shift(); next; next = full.shift()) {
      const { id, logPath } = next;
      try {
        await compressOld(logPath, maxFiles - 2);
        await rotate(cri, id, logPath, clock.now());
        count++;
      } catch (error) {
        log.warn({ err: error, logPath }, 'cannot rotate a container log; trying again');
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return count;
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** Those set aside before; the newest `keep` stay. What an earlier run has left half done is taken away. */
async function compressOld(path: string, keep: number): Promise<void> {
  const directory = dirname(path);
  const found = readdirSync(directory).filter((name) => name.startsWith(`${basename(path)}.`));
  const remove = (name: string) => rmSync(join(directory, name), { force: true });
  const rotated: string[] = [];
  for (const name of found.sort()) {
    if (name.endsWith('.tmp') || found.includes(`${name}.gz`)) remove(name);
    else rotated.push(name);
  }
  const kept = keep > 0 ? rotated.splice(-keep) : [];
  for (const name of rotated) remove(name);
  for (const name of kept) {
    if (name.endsWith('.gz')) continue;
    const from = join(directory, name);
    await pipeline(createReadStream(from), createGzip(), createWriteStream(`${from}.tmp`, { mode: 0o640 }));
    renameSync(`${from}.tmp`, `${from}.gz`);
    rmSync(from);
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
}
