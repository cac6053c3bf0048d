// What the verbs of the registry share: what they need, what a request brings, what they give back.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { AdmissionChain } from '../admission/chain.ts';
import type { Identity } from '../auth/identity.ts';
import type { CachedObject, CacheSet } from '../cache/port.ts';
import type { Store } from '../storage/port.ts';
import type { ListSnapshots } from './snapshots.ts';

/** Work around a write that spans other keys, such as the addresses of a Service. One per kind at most. */
export interface WriteHook {
  /**
   * Runs after admission and before validation, may change `object`; `undo` runs when the write does not happen.
   * `old` is undefined on create.
   */
  before?(
    object: KubeObject,
    old: KubeObject | undefined,
    dryRun: boolean,
  ): Promise<{ undo(): Promise<void> } | undefined>;
  /** Runs after the write; `object` is undefined when it was deleted. Must not throw. */
  after?(object: KubeObject | undefined, old: KubeObject | undefined): Promise<void>;
}

export interface RegistryContext {
  scheme: Scheme;
  store: Store;
  caches: CacheSet;
  admission: AdmissionChain;
  clock: Clock;
  random: Random;
  log: Logger;
  snapshots: ListSnapshots;
  /** By `resource.group`, or `resource` for core. */
  hooks: Map<string, WriteHook>;
}

/** Who writes and how. */
export interface WriteRequest {
  user: Identity;
  namespace: string;
  dryRun: boolean;
  /** Collects texts for `Warning` headers. */
  warn(text: string): void;
  signal?: AbortSignal;
  /** Who manages what this write sets; default: the server itself. */
  manager?: string;
  /** The object comes with its managed fields: they are not to be computed. */
  isTracked?: boolean;
}

/** The field manager of the server's own writes. */
export const SERVER_MANAGER = 'kube-apiserver';

export interface WriteResult {
  /** As the client gets it. Shared with the cache: never mutate. */
  entry: CachedObject;
  /** False when nothing had to be written. */
  changed: boolean;
  created: boolean;
}

export type DeleteResult =
  /** The object is gone; `entry` is its last state. */
  | { kind: 'deleted'; entry: CachedObject }
  /** The object stays until its finalizers or its grace period end. */
  | { kind: 'pending'; entry: CachedObject };

export interface DeleteRequest extends WriteRequest {
  options: DeleteOptions;
}

export type Subresource = '' | 'status' | 'scale' | string;

export const gr = (kind: Kind) => ({ group: kind.group, resource: kind.resource });

/** The key of WriteHook maps. */
export const hookKey = (kind: { group: string; resource: string }) =>
  kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`;

/** A reader that gave us this context must see what it can have seen before. */
export const NO_WARNINGS = () => {};
