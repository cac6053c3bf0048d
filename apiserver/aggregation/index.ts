// Composes the aggregation: the APIServices of what is served here, the servers of others behind theirs.
import type { Scheme } from '../../api/scheme.ts';
import type { Follower } from '../auth/follow.ts';
import { Aggregator, type AggregatorOptions } from './aggregator.ts';
import { Registration } from './registration.ts';

export interface Aggregation {
  aggregator: Aggregator;
  /** Begins to pass on; the server waits for `synced` before it serves. */
  follow(signal: AbortSignal): Follower[];
  /** Makes the APIServices that are missing, and keeps doing so until the signal of `follow`. */
  register(): Promise<void>;
  /** Settles when nothing runs any more. */
  stopped(): Promise<void>;
}

export function createAggregation(options: Omit<AggregatorOptions, 'onDeleted'> & { scheme: Scheme }): Aggregation {
  const registration = new Registration(options);
  let isRegistering = false;
  let ended = false;
  const sync = () => {
    if (!isRegistering || ended) return;
    registration.sync().catch((error) => options.log.warn({ err: error }, 'could not register the APIs served here'));
  };
  const aggregator = new Aggregator({ ...options, onDeleted: sync });
  let unsubscribe = () => {};
  return {
    aggregator,
    follow(signal) {
      unsubscribe = options.scheme.onChange(sync);
      signal.addEventListener('abort', () => {
        ended = true;
        unsubscribe();
      });
      return aggregator.follow(signal);
    },
    async register() {
      isRegistering = true;
      await registration.sync();
    },
    async stopped() {
      await registration.stopped();
      await aggregator.stopped();
    },
  };
}
