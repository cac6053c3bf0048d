// The client library's face: what controllers, the scheduler and node agents depend on. Implemented in this folder.
// Errors are ApiError (api/errors.ts) with the server's Status; what never reached the server is a NetworkError.
import type { Logger } from '../lib/log.ts';
import type { KubeObject } from '../api/object.ts';
import type { DeleteOptions } from '../api/types/meta.ts';

/** How to reach a server, and as whom. PEM texts, not paths. */
export interface ClientConfig {
  /** `https://127.0.0.1:6443` */
  server: string;
  caPem?: string;
  certificatePem?: string;
  keyPem?: string;
  token?: string;
  /** Skips verification of the server's certificate; only ever set by an explicit user choice. */
  insecure?: boolean;
  userAgent: string;
}

export class NetworkError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NetworkError';
  }
}

/** The client was closed: no request will ever reach the server again. */
export class ClientClosedError extends NetworkError {}

/** What identifies a resource to a client; every Kind of the scheme is one. */
export interface ResourceRef {
  group: string;
  version: string;
  resource: string;
  kind: string;
  namespaced: boolean;
}

export interface ListOptions {
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  resourceVersion?: string;
  signal?: AbortSignal;
}

export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue'> {
  /** Start with the current state as ADDED events, then a BOOKMARK annotated k8s.io/initial-events-end. */
  sendInitialEvents?: boolean;
  timeoutSeconds?: number;
  signal: AbortSignal;
}

export interface ObjectList<T> {
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
  items: T[];
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: KubeObject };

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

export interface WriteOptions {
  fieldManager?: string;
  dryRun?: boolean;
  subresource?: string;
  signal?: AbortSignal;
}

/** One resource, in one namespace (or all, or cluster-scoped). Objects returned are the caller's own. */
export interface ResourceClient<T extends KubeObject> {
  get(name: string, options?: { resourceVersion?: string; signal?: AbortSignal }): Promise<T>;
  list(options?: ListOptions): Promise<ObjectList<T>>;
  /** Follows `continue` until everything is there. */
  listAll(options?: ListOptions): Promise<ObjectList<T>>;
  /** Ends when the server ends it or the signal aborts; an ERROR event is thrown as ApiError (410: relist). */
  watch(options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create(object: T, options?: WriteOptions): Promise<T>;
  update(object: T, options?: WriteOptions): Promise<T>;
  patch(name: string, type: PatchType, body: unknown, options?: WriteOptions & { force?: boolean }): Promise<T>;
  /** The object as it was deleted or is terminating, or a Status. */
  delete(name: string, options?: DeleteOptions & { signal?: AbortSignal }): Promise<T>;
  deleteCollection(options?: ListOptions & { deleteOptions?: DeleteOptions }): Promise<void>;
  /** POST of a subresource with a body of another kind: `binding`, `eviction`, `token`. */
  createSubresource<Body, Answer>(name: string, subresource: string, body: Body): Promise<Answer>;
}

export interface Client {
  readonly config: ClientConfig;
  /** `namespace` undefined: all namespaces, or cluster-scoped. */
  resource<T extends KubeObject>(ref: ResourceRef, namespace?: string): ResourceClient<T>;
  /** Any path; the JSON answer. */
  request<Answer>(
    method: string,
    path: string,
    body?: unknown,
    options?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Answer>;
  /** Any path; the raw answer as a stream (logs). */
  stream(
    method: string,
    path: string,
    options?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<{ status: number; body: AsyncIterable<Uint8Array> }>;
  /** The same connection as somebody else; needs the right to impersonate. */
  as(user: string): Client;
  close(): void;
}

/** Where an object goes through its life in a cache; `old` and objects are shared: never mutate them. */
export interface InformerHandler<T> {
  onAdd?(object: T): void;
  onUpdate?(object: T, old: T): void;
  onDelete?(object: T): void;
}

/** A local, indexed mirror of one resource, kept by list and watch; one writer, many readers. */
export interface Informer<T extends KubeObject> {
  readonly ref: ResourceRef;
  /** Resolves when the first list is in the cache and its handlers have run. */
  synced(signal?: AbortSignal): Promise<void>;
  readonly isSynced: boolean;
  /** `key` is namespace/name or name. */
  get(key: string): T | undefined;
  list(namespace?: string): T[];
  /** Objects whose index function named `index` returned `value`. */
  byIndex(index: string, value: string): T[];
  addIndex(name: string, values: (object: T) => string[]): void;
  /** Handlers added late get the present objects as adds. Returns a function that removes it. */
  addHandler(handler: InformerHandler<T>): () => void;
  /** Lists, watches, relists on 410 and on errors with back-off; settles when the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface InformerOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

/** Shares one informer per resource and options between components of a process. */
export interface InformerFactory {
  of<T extends KubeObject>(ref: ResourceRef, options?: InformerOptions): Informer<T>;
  /** Runs every informer asked for so far and later; settles when the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Records Events about objects; repeated ones are aggregated by raising `count`, as kubectl describe shows them. Never throws. */
export interface EventRecorder {
  /** `fieldPath` says which part of the object the event is about: `spec.containers{web}`. */
  event(about: KubeObject & { fieldPath?: string }, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** The same recorder with another source: the component that `kubectl describe` names. Left out by simple fakes. */
  withSource?(component: string): EventRecorder;
  /** Resolves when what was recorded so far has been sent or given up. */
  flush(): Promise<void>;
}

/**
 * What every component of the control plane and the node gets from its composition root.
 */
export interface ComponentContext {
  client: Client;
  informers: InformerFactory;
  events: EventRecorder;
  log: Logger;
}
