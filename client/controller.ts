// The loop of every controller. A request is only a key; the reconciler reads the world again each time.
//   error         tried again with back-off       TerminalError  logged, not tried again
//   requeueAfter  tried again later               nothing        done until something changes
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { type Informer, NetworkError } from './port.ts';
import { isConflict } from './status.ts';
import { WorkQueue } from './work-queue.ts';

/** A failure that trying again cannot mend. */
export class TerminalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TerminalError';
  }
}

/** When the server is away that is no fault of the key: it is ready soon after the server is back. */
const networkRetryMs = 2_000;

export type ReconcileResult = { requeueAfterMs: number } | void;

export interface ControllerOptions<K = string> {
  name: string;
  queue: WorkQueue<K>;
  reconcile(key: K, signal: AbortSignal): Promise<ReconcileResult>;
  /** Keys worked on at once; one key never twice. Default 4. */
  workers?: number;
  /** Caches that must be filled before the first reconcile. */
  informers?: readonly Pick<Informer<never>, 'synced'>[];
  log: Logger;
}

/** Settles when `signal` aborts and the workers have ended; shuts the queue down. */
export async function runController<K = string>(options: ControllerOptions<K>, signal: AbortSignal): Promise<void> {
  const { queue, log } = options;
  queue.measure(options.name);
  const stop = () => queue.shutDown();
  if (signal.aborted) return stop();
  signal.addEventListener('abort', stop, { once: true });

  const worker = async () => {
    for (;;) {
      const key = await queue.get();
      if (key === undefined) return;
      await reconcileOne(key);
      queue.done(key);
    }
  };

  async function reconcileOne(key: K): Promise<void> {
    try {
      const result = await options.reconcile(key, signal);
      queue.forget(key);
      if (result) queue.addAfter(key, result.requeueAfterMs);
    } catch (err) {
      if (signal.aborted) return;
      if (err instanceof TerminalError) {
        log.error({ err, key }, 'reconcile failed for good');
        queue.forget(key);
        return;
      }
      queue.addRateLimited(key, err instanceof NetworkError ? networkRetryMs : undefined);
      const failures = queue.failures(key);
      // A lost race is part of life: the cache catches up and the next try wins.
      if (isConflict(err) && failures < 5) log.debug({ key, failures }, 'reconcile lost a race; trying again');
      else log[failures < 3 ? 'info' : 'warn']({ err, key, failures }, 'reconcile failed; trying again');
    }
  }

  try {
    for (const informer of options.informers ?? []) await informer.synced(signal);
    await Promise.all(Array.from({ length: options.workers ?? 4 }, worker));
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    queue.shutDown();
  }
}

export function createWorkQueue<K = string>(dependencies: { clock: Clock; random: Random }): WorkQueue<K> {
  return new WorkQueue<K>(dependencies);
}
