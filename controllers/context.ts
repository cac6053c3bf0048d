// What every controller is given.
import type { Scheme } from '../api/scheme.ts';
import type { ComponentContext } from '../client/index.ts';
import type { CustomKindsFeed } from './parts/custom-kinds.ts';
import type { Clock, Random } from '../lib/clock.ts';

export interface ControllersContext extends ComponentContext {
  clock: Clock;
  random: Random;
  /** PEM of the cluster CA, published in every namespace. */
  rootCaPem: string;
  /** The kinds that namespaces and the garbage collector clean up. */
  scheme: Scheme;
  /** Absent where the keys are not. */
  signing?: Signing | undefined;
  /** Kinds that come and go with definitions; absent where nobody follows them. */
  customKinds?: CustomKindsFeed;
}

/** What only the process that holds the cluster's keys can do: nobody else gets one. */
export interface Signing {
  /** The certificate (PEM) that the cluster CA gives for `request` (base64 of PEM). */
  certificate(request: string, usages: readonly string[], seconds: number): Promise<string>;
  /** A token without end for an account, good as long as the Secret keeps it. */
  secretToken(facts: { namespace: string; secret: string; account: string; accountUid: string }): string;
}

/** Registers its handlers when called and settles when `signal` aborts. */
export type Controller = (context: ControllersContext, signal: AbortSignal) => Promise<void>;
