// What the verbs of the registry share: what they need, what a request brings, what they give back.
import type { Kind, StrategyContext } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { AdmissionChain, AdmissionRequest, Annotate, OperationOptions } from '../admission/chain.ts';
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
  /** The options object of the request, for admission; absent for the server's own writes. */
  operationOptions?: () => OperationOptions;
  /** Adds an audit annotation. */
  annotate?: Annotate;
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
  /** Skips admission: another request was admitted that implies this one (eviction). */
  internal?: boolean;
  /** Decides again on each state that is tried; throws ApiError to refuse. */
  check?(object: KubeObject): void | Promise<void>;
}

/** What admission is told of a write. */
export function admissionOf(
  kind: Kind,
  request: WriteRequest,
  what: Pick<AdmissionRequest, 'operation' | 'subresource' | 'name' | 'object' | 'old' | 'objectKind'>,
): AdmissionRequest {
  const isNamespace = kind.group === '' && kind.resource === 'namespaces';
  return {
    ...what,
    kind,
    namespace: isNamespace ? what.name : request.namespace,
    options: request.operationOptions,
    user: request.user,
    dryRun: request.dryRun,
    warn: request.warn,
    annotate: request.annotate,
  };
}

export type Subresource = '' | 'status' | 'scale' | string;

export const gr = (kind: Kind) => ({ group: kind.group, resource: kind.resource });

/** The key of WriteHook maps. */
export const hookKey = (kind: { group: string; resource: string }) =>
  kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`;

/** A reader that gave us this context must see what it can have seen before. */
export const NO_WARNINGS = () => {};

export const strategyContext = (
  { name, uid, groups, extra }: Identity,
  nowMs: number,
  warn?: (text: string) => void,
): StrategyContext => ({
  nowMs,
  ...(warn && { warn }),
  user: name,
  groups,
  ...(uid !== undefined && { uid }),
  ...(extra && { extra }),
});
