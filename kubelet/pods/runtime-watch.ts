// Keeps the runtime cache true: the stream of container events, and a listing of everything each time the stream
// (re)connects and every minute as a safety net. No polling in between.
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { type CriClient, CriError, isNotFound } from '../cri/client.ts';
import type { RuntimeCache } from './runtime-cache.ts';

export interface RuntimeWatchOptions {
  cri: CriClient;
  cache: RuntimeCache;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Called after every complete listing; the first one means that the cache is usable. */
  onListed(): void;
}

const LISTING_PERIOD_MS = 60_000;
const POLL_MS = 1000;

/** Asks for everything the runtime has and merges it. */
export async function listRuntime({ cri, cache }: Pick<RuntimeWatchOptions, 'cri' | 'cache'>): Promise<void> {
  const token = cache.startListing();
  const [sandboxes, containers] = await Promise.all([cri.call('ListPodSandbox', {}), cri.call('ListContainers', {})]);
  const sandboxIds = new Set((sandboxes.items ?? []).map((each) => each.id ?? ''));
  const containerIds = new Set((containers.containers ?? []).map((each) => each.id ?? ''));
  await Promise.all([
    ...[...sandboxIds].map((id) => refreshSandbox(cri, cache, id)),
    ...[...containerIds].map((id) => refreshContainer(cri, cache, id)),
  ]);
  cache.finishListing(token, sandboxIds, containerIds);
}

export async function refreshSandbox(cri: CriClient, cache: RuntimeCache, id: string): Promise<void> {
  try {
    const answer = await cri.call('PodSandboxStatus', { podSandboxId: id });
    if (answer.status) cache.applySandbox(answer.status);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    cache.removeSandbox(id);
  }
}

export async function refreshContainer(cri: CriClient, cache: RuntimeCache, id: string): Promise<void> {
  try {
    const answer = await cri.call('ContainerStatus', { containerId: id });
    if (answer.status) cache.applyContainer(answer.status);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    cache.removeContainer(id);
  }
}

/** Runs until the signal aborts. */
export async function watchRuntime(options: RuntimeWatchOptions, signal: AbortSignal): Promise<void> {
  const { cri, cache, clock, random, log } = options;
  let listing: Promise<void> | undefined;
  let again = false;

  // One listing at a time; asked for during one, another follows.
  const list = (): Promise<void> => {
    if (listing) {
      again = true;
      return listing;
    }
    listing = listRuntime(options)
      .then(options.onListed, (error) => {
        log.warn({ err: error }, 'cannot list what the runtime has');
        again = !signal.aborted;
      })
      .then(async () => {
        listing = undefined;
        if (!again || signal.aborted) return;
        again = false;
        await sleep(clock, 200, signal);
        if (!signal.aborted) await list();
      });
    return listing;
  };

  // A runtime without events is asked every second, as upstream asks every runtime.
  const poll = async () => {
    log.info({}, 'the runtime sends no events of containers: it is asked every second');
    while (await sleep(clock, POLL_MS, signal)) await list();
  };

  const follow = async (): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      try {
        void list();
        for await (const event of cri.events(signal, () => void list())) {
          failures = 0;
          const complete = cache.applyEvent(event);
          const id = event.containerId ?? '';
          if (!complete && id) {
            refreshContainer(cri, cache, id).catch((err) =>
              log.warn({ err, id }, 'cannot read a container after its event'),
            );
          }
        }
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof CriError && error.code === 'unimplemented') return poll();
        log.warn({ err: error }, 'the stream of container events broke');
      }
      failures++;
      await sleep(clock, backoffMs({ initialMs: 100, maxMs: 5000, jitter: 0.2 }, failures, random), signal);
    }
  };

  const period = async () => {
    while (await sleep(clock, LISTING_PERIOD_MS, signal)) await list();
  };

  await Promise.all([follow(), period()]);
  await listing;
}
