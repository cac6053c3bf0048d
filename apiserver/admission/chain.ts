// Admission: plugins in order, first all that change an object, later (after validation) all that only judge it. What a
// plugin may have to do with a kind is asked once and remembered: a write that concerns nobody pays one look-up.
import type { Kind } from '../../api/kind.ts';
import type { GroupVersionKind, KubeObject } from '../../api/object.ts';
import type { Identity } from '../auth/identity.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** How the write was asked for, as webhooks and policies see it: a `meta.k8s.io/v1` options object. */
export type OperationOptions = { apiVersion: string; kind: string } & Record<string, unknown>;

/** `level`: of the audit policy, from which on it is kept. Default: any. What is said first of a key stands. */
export type Annotate = (key: string, value: string, level?: 'Request') => void;

export interface AdmissionRequest {
  operation: Operation;
  /** The kind of the resource that is written: the path's. */
  kind: Kind;
  subresource: string;
  /** Empty for cluster-scoped objects; a Namespace's own name for a Namespace. */
  namespace: string;
  /** Empty while a name is still to be generated. */
  name: string;
  /** Undefined for DELETE. `mutate` changes it in place, or puts another in its place. */
  object: KubeObject | undefined;
  /** Undefined for CREATE and CONNECT. Shared: never mutated. */
  old: KubeObject | undefined;
  /** What `object` is, where that is not `kind`: the Scale of a Deployment, the Eviction of a Pod. */
  objectKind?: GroupVersionKind | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions, made when asked for; absent for the server's own writes and CONNECT. */
  options?: (() => OperationOptions) | undefined;
  user: Identity;
  dryRun: boolean;
  warn(text: string): void;
  /** Adds an audit annotation. */
  annotate?: Annotate | undefined;
  /** Set by the chain while it mutates. */
  reinvocation?: Reinvocation;
}

/** What plugins that call others keep during one `mutate`, so that earlier ones see the changes of later ones. */
export interface Reinvocation {
  /** True in the second and last round. */
  isReinvoke: boolean;
  /** Asks for that round. */
  wanted: boolean;
  /** A plugin's own notes, by its name. */
  notes: Map<string, unknown>;
}

export interface AdmissionPlugin {
  name: string;
  /** False: never called for such writes. Asked once per kind, subresource and operation. Default: always called. */
  handles?(kind: Kind, subresource: string, operation: Operation): boolean;
  /** Throws ApiError to refuse. */
  mutate?(request: AdmissionRequest): void | Promise<void>;
  validate?(request: AdmissionRequest): void | Promise<void>;
}

interface Handlers {
  mutating: readonly AdmissionPlugin[];
  validating: readonly AdmissionPlugin[];
}

/** Is told how long plugins and whole rounds took; for metrics. */
export interface AdmissionObserver {
  plugin(name: string, type: 'admit' | 'validate', operation: Operation, rejected: boolean, seconds: number): void;
  step(type: 'admit' | 'validate', operation: Operation, rejected: boolean, seconds: number): void;
}

export class AdmissionChain {
  observer: AdmissionObserver | undefined;
  #plugins: AdmissionPlugin[] = [];
  #handlers = new WeakMap<Kind, Map<string, Handlers>>();

  constructor(plugins: readonly AdmissionPlugin[] = []) {
    this.use(plugins);
  }

  /** Adds plugins after those that are there. */
  use(plugins: readonly AdmissionPlugin[]): void {
    this.#plugins.push(...plugins);
    this.#handlers = new WeakMap();
  }

  get names(): string[] {
    return this.#plugins.map((each) => each.name);
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    const { mutating } = this.#handlersOf(request);
    if (mutating.length === 0) return;
    request.reinvocation = { isReinvoke: false, wanted: false, notes: new Map() };
    await this.#observed('admit', request, async () => {
      await this.#run('admit', mutating, request);
      if (!request.reinvocation?.wanted) return;
      request.reinvocation.isReinvoke = true;
      await this.#run('admit', mutating, request);
    });
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const { validating } = this.#handlersOf(request);
    if (validating.length > 0)
      await this.#observed('validate', request, () => this.#run('validate', validating, request));
  }

  async #run(
    type: 'admit' | 'validate',
    plugins: readonly AdmissionPlugin[],
    request: AdmissionRequest,
  ): Promise<void> {
    const { observer } = this;
    for (const plugin of plugins) {
      const started = observer ? performance.now() : 0;
      let rejected = true;
      try {
        const done = type === 'admit' ? plugin.mutate?.(request) : plugin.validate?.(request);
        // Most plugins decide at once; awaiting nothing would cost every write a turn of the loop.
        if (done) await done;
        rejected = false;
      } finally {
        observer?.plugin(plugin.name, type, request.operation, rejected, (performance.now() - started) / 1000);
      }
    }
  }

  async #observed(
    type: 'admit' | 'validate',
    { operation }: AdmissionRequest,
    work: () => Promise<void>,
  ): Promise<void> {
    const { observer } = this;
    if (!observer) return work();
    const started = performance.now();
    let rejected = true;
    try {
      await work();
      rejected = false;
    } finally {
      observer.step(type, operation, rejected, (performance.now() - started) / 1000);
    }
    return undefined;
  }

  #handlersOf({ kind, subresource, operation }: AdmissionRequest): Handlers {
    let ofKind = this.#handlers.get(kind);
    if (!ofKind) this.#handlers.set(kind, (ofKind = new Map()));
    const key = `${operation} ${subresource}`;
    let found = ofKind.get(key);
    if (!found) {
      const handling = this.#plugins.filter((each) => each.handles?.(kind, subresource, operation) ?? true);
      found = {
        mutating: handling.filter((each) => each.mutate),
        validating: handling.filter((each) => each.validate),
      };
      // Subresources are the server's own few; what a client makes up never gets this far. The bound is for safety.
      if (ofKind.size < 256) ofKind.set(key, found);
    }
    return found;
  }
}

/** A plugin for the main resource of one kind. */
export const onKind =
  (group: string, resource: string, ...operations: Operation[]) =>
  (kind: Kind, subresource: string, operation: Operation): boolean =>
    kind.group === group && kind.resource === resource && subresource === '' && operations.includes(operation);
