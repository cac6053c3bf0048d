// What every controller is given.
import type { Scheme } from '../api/scheme.ts';
import type { ComponentContext } from '../client/index.ts';
import type { Clock, Random } from '../lib/clock.ts';

export interface ControllersContext extends ComponentContext {
  clock: Clock;
  random: Random;
  /** PEM of the cluster CA, published in every namespace. */
  rootCaPem: string;
  /** The kinds that namespaces and the garbage collector clean up. */
  scheme: Scheme;
}

/** Registers its handlers when called and settles when `signal` aborts. */
export type Controller = (context: ControllersContext, signal: AbortSignal) => Promise<void>;
