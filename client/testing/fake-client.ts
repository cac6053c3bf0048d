// A whole API server in memory behind the Client port, for tests of controllers: resource versions, conflicts, watches
// that resume, finalizers, propagation policies, graceful deletion of pods, and faults on demand.
// Not supported: strategic and apply patches, pagination, validation, defaults beyond those a controller relies on.
import { errors } from '../../api/errors.ts';
import { type KubeObject, keyOf } from '../../api/object.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { Clock } from '../../lib/clock.ts';
import { BoundedStream } from '../../lib/stream.ts';
import {
  type Client,
  type ListOptions,
  NetworkError,
  type ObjectList,
  type PatchType,
  type ResourceClient,
  type ResourceRef,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from '../port.ts';
import { matchesSelectors } from './selectors.ts';
import { applyJsonPatch, applyMergePatch } from './patches.ts';

export type FakeVerb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

export interface FakeRequest {
  verb: FakeVerb;
  ref: ResourceRef;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

export interface FakeOptions {
  clock: Clock;
  /** Called before each request; what it throws is the request's answer. */
  before?(request: FakeRequest): void | Promise<void>;
  /** Called after a write took effect; what it throws is a lost answer (the write stays). */
  after?(request: FakeRequest): void;
  /** Pods bound to a node get a deletionTimestamp instead of vanishing, as with a kubelet. Default false. */
  gracefulPods?: boolean;
  /** How far every watch lags behind. Default 0: events arrive before the write's answer. */
  watchDelayMs?: number;
  /** Runs on each object about to be stored by a create: defaults. */
  onCreate?(ref: ResourceRef, object: KubeObject): void;
}

interface HistoryEvent {
  revision: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
  previous: KubeObject | undefined;
}

interface Watcher {
  namespace: string | undefined;
  options: WatchOptions;
  stream: BoundedStream<WatchEvent<KubeObject>>;
}

interface Collection {
  ref: ResourceRef;
  objects: Map<string, KubeObject>;
  history: HistoryEvent[];
  watchers: Set<Watcher>;
}

export interface FakeClient extends Client {
  /** Every request so far that was let through. */
  readonly requests: FakeRequest[];
  /** Those that write. */
  readonly writes: FakeRequest[];
  /** The present state, in order of names; copies. */
  objects<T extends KubeObject>(ref: ResourceRef): T[];
  object<T extends KubeObject>(ref: ResourceRef, key: string): T | undefined;
  /** Changes an object as another client would; undefined from `change` removes it whatever its finalizers. */
  change<T extends KubeObject>(ref: ResourceRef, key: string, change: (object: T) => T | undefined): void;
  /** Ends every watch, as a lost connection does. */
  dropWatches(ref?: ResourceRef): void;
  /** Forgets history: resuming from before now is 410. */
  compact(): void;
  /** Sends the last `count` events of each open watch again. */
  duplicateEvents(count: number): void;
}

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const idOf = (ref: ResourceRef) => `${ref.group}/${ref.resource}`;
const writeVerbs: ReadonlySet<FakeVerb> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
const withoutStatus = new Set([
  'configmaps',
  'secrets',
  'serviceaccounts',
  'endpoints',
  'endpointslices',
  'leases',
  'events',
]);

export function createFakeClient(options: FakeOptions): FakeClient {
  const { clock } = options;
  const collections = new Map<string, Collection>();
  const requests: FakeRequest[] = [];
  const writes: FakeRequest[] = [];
  let revision = 100;
  let compactedRevision = 0;
  let uids = 0;
  let names = 0;
  let closed = false;

  const timestamp = () => new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  function collectionOf(ref: ResourceRef): Collection {
    let found = collections.get(idOf(ref));
    if (!found) collections.set(idOf(ref), (found = { ref, objects: new Map(), history: [], watchers: new Set() }));
    return found;
  }

  /** Stores or removes, appends to history, tells the watchers. */
  function commit(collection: Collection, key: string, next: KubeObject | undefined): KubeObject {
    const previous = collection.objects.get(key);
    const object = next ?? copy(previous as KubeObject);
    object.metadata.resourceVersion = String(++revision);
    if (next) collection.objects.set(key, next);
    else collection.objects.delete(key);
    const event: HistoryEvent = {
      revision,
      type: next ? (previous ? 'MODIFIED' : 'ADDED') : 'DELETED',
      object,
      previous,
    };
    collection.history.push(event);
    for (const watcher of collection.watchers) {
      send(watcher, event);
    }
    return object;
  }

  /** Always after what was sent before it. */
  function send(watcher: Watcher, event: HistoryEvent): void {
    if (options.watchDelayMs) clock.after(options.watchDelayMs, () => deliver(watcher, event));
    else deliver(watcher, event);
  }

  function deliver(watcher: Watcher, event: HistoryEvent): void {
    const is = event.type !== 'DELETED' && selects(watcher, event.object);
    const was = event.previous !== undefined && selects(watcher, event.previous);
    if (is) watcher.stream.push({ type: was ? 'MODIFIED' : 'ADDED', object: copy(event.object) });
    else if (was) watcher.stream.push({ type: 'DELETED', object: copy(event.object) });
  }

  const selects = (watcher: Watcher, object: KubeObject) =>
    inNamespace(watcher.namespace, object) && matchesSelectors(object, watcher.options);
  const inNamespace = (namespace: string | undefined, object: KubeObject) =>
    namespace === undefined || object.metadata.namespace === namespace;

  function isRemovable(ref: ResourceRef, object: KubeObject): boolean {
    if (!object.metadata.deletionTimestamp || (object.metadata.finalizers?.length ?? 0) > 0) return false;
    if (ref.resource === 'namespaces')
      return ((object as { spec?: { finalizers?: string[] } }).spec?.finalizers?.length ?? 0) === 0;
    if (ref.resource === 'pods') return !isGraceful(object) || object.metadata.deletionGracePeriodSeconds === 0;
    return true;
  }
  const isGraceful = (object: KubeObject) =>
    options.gracefulPods === true && Boolean((object as { spec?: { nodeName?: string } }).spec?.nodeName);

  function write(ref: ResourceRef, key: string, given: KubeObject, subresource?: string): KubeObject {
    const collection = collectionOf(ref);
    const old = collection.objects.get(key);
    if (!old) throw errors.notFound(ref, given.metadata.name ?? key);
    const { resourceVersion, uid } = given.metadata;
    if (resourceVersion && resourceVersion !== old.metadata.resourceVersion)
      throw errors.conflict(ref, old.metadata.name as string);
    if (uid && uid !== old.metadata.uid) throw errors.conflict(ref, old.metadata.name as string, 'uid mismatch');
    const before = old as KubeObject & { spec?: unknown; status?: unknown };
    let next = copy(given) as KubeObject & { spec?: unknown; status?: unknown };
    if (subresource === 'status') {
      const { labels, annotations } = next.metadata;
      next = { ...copy(before), metadata: { ...copy(before.metadata), labels, annotations }, status: next.status };
    } else if (subresource === 'finalize') next = { ...copy(before), spec: next.spec };
    else if (subresource === undefined && !withoutStatus.has(ref.resource)) next.status = copy(before).status;
    const { creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation } = old.metadata;
    next.metadata = {
      ...next.metadata,
      uid: old.metadata.uid,
      creationTimestamp,
      deletionTimestamp,
      deletionGracePeriodSeconds,
      generation,
    };
    if (JSON.stringify(next.spec) !== JSON.stringify(before.spec)) next.metadata.generation = (generation ?? 0) + 1;
    next.metadata.resourceVersion = old.metadata.resourceVersion;
    next = copy(next);
    if (isRemovable(ref, next)) {
      collection.objects.set(key, next);
      return commit(collection, key, undefined);
    }
    if (canonical(next) === canonical(old)) return old;
    return commit(collection, key, next);
  }

  function remove(ref: ResourceRef, key: string, deletion: DeleteOptions): KubeObject {
    const collection = collectionOf(ref);
    const old = collection.objects.get(key);
    const name = key.slice(key.indexOf('/') + 1);
    if (!old) throw errors.notFound(ref, name);
    const { preconditions, propagationPolicy } = deletion;
    if (preconditions?.uid && preconditions.uid !== old.metadata.uid)
      throw errors.conflict(ref, name, 'the UID in the precondition does not match');
    if (preconditions?.resourceVersion && preconditions.resourceVersion !== old.metadata.resourceVersion)
      throw errors.conflict(ref, name);
    const next = copy(old);
    const finalizers = new Set(next.metadata.finalizers ?? []);
    if (propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion');
    if (propagationPolicy === 'Orphan') finalizers.add('orphan');
    if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
    next.metadata.deletionTimestamp ??= timestamp();
    const grace = ref.resource === 'pods' && isGraceful(old) ? (deletion.gracePeriodSeconds ?? 30) : 0;
    next.metadata.deletionGracePeriodSeconds = Math.min(next.metadata.deletionGracePeriodSeconds ?? grace, grace);
    if (ref.resource === 'namespaces') (next as { status?: unknown }).status = { phase: 'Terminating' };
    if (isRemovable(ref, next)) return commit(collection, key, undefined);
    if (canonical(next) === canonical(old)) return old;
    return commit(collection, key, next);
  }

  function create(ref: ResourceRef, namespace: string | undefined, given: KubeObject): KubeObject {
    const collection = collectionOf(ref);
    const object = copy(given);
    const { metadata } = object;
    if (ref.namespaced) metadata.namespace ??= namespace;
    if (!metadata.name) metadata.name = `${metadata.generateName ?? ''}${String(++names).padStart(5, '0')}`;
    const key = keyOf(object);
    if (collection.objects.has(key)) throw errors.alreadyExists(ref, metadata.name);
    object.apiVersion ??= ref.group === '' ? ref.version : `${ref.group}/${ref.version}`;
    object.kind ??= ref.kind;
    metadata.uid = `uid-${++uids}`;
    metadata.creationTimestamp = timestamp();
    if ('spec' in object) metadata.generation = 1;
    if (ref.resource === 'namespaces')
      Object.assign(object, { spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } });
    if (ref.resource === 'pods')
      Object.assign(object, { status: (object as { status?: unknown }).status ?? { phase: 'Pending' } });
    options.onCreate?.(ref, object);
    return commit(collection, key, object);
  }

  async function enter(
    verb: FakeVerb,
    ref: ResourceRef,
    namespace?: string,
    name?: string,
    subresource?: string,
  ): Promise<FakeRequest> {
    await Promise.resolve();
    if (closed) throw new NetworkError('client is closed');
    const request: FakeRequest = { verb, ref, namespace, name, subresource };
    await options.before?.(request);
    requests.push(request);
    if (writeVerbs.has(verb)) writes.push(request);
    return request;
  }

  function resource<T extends KubeObject>(ref: ResourceRef, namespace?: string): ResourceClient<T> {
    const keyFor = (name: string) => (ref.namespaced ? `${namespace}/${name}` : name);
    const found = (name: string): KubeObject => {
      const object = collectionOf(ref).objects.get(keyFor(name));
      if (!object) throw errors.notFound(ref, name);
      return object;
    };
    const select = (list: ListOptions) =>
      [...collectionOf(ref).objects.values()].filter(
        (object) => inNamespace(namespace, object) && matchesSelectors(object, list),
      );
    const list = async (listOptions: ListOptions = {}): Promise<ObjectList<T>> => {
      await enter('list', ref, namespace);
      return {
        metadata: { resourceVersion: String(revision) },
        items: select(listOptions).map((object) => copy(object) as T),
      };
    };

    async function* watch(watchOptions: WatchOptions): AsyncGenerator<WatchEvent<T>> {
      await enter('watch', ref, namespace);
      if (watchOptions.signal.aborted) return;
      const collection = collectionOf(ref);
      const from = watchOptions.resourceVersion;
      if (from !== undefined && from !== '0' && Number(from) < compactedRevision)
        throw errors.expired(`too old resource version: ${from} (${compactedRevision})`);
      const stream = new BoundedStream<WatchEvent<KubeObject>>({
        limit: 100_000,
        onClose: () => {
          collection.watchers.delete(watcher);
          watchOptions.signal.removeEventListener('abort', onAbort);
        },
      });
      const watcher: Watcher = { namespace, options: watchOptions, stream };
      const onAbort = () => stream.end();
      watchOptions.signal.addEventListener('abort', onAbort, { once: true });
      collection.watchers.add(watcher);
      if (from === undefined) {
        for (const object of select(watchOptions)) stream.push({ type: 'ADDED', object: copy(object) });
        if (watchOptions.sendInitialEvents) {
          const annotations = { 'k8s.io/initial-events-end': 'true' };
          stream.push({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(revision), annotations } } });
        }
      } else {
        for (const event of collection.history) if (event.revision > Number(from)) deliver(watcher, event);
      }
      for await (const event of stream) yield event as WatchEvent<T>;
    }

    const patched = (name: string, type: PatchType, body: unknown, subresource?: string) => {
      const old = found(name);
      if (type !== 'merge' && type !== 'json') throw errors.badRequest(`the fake client has no ${type} patch`);
      const next = type === 'merge' ? applyMergePatch(copy(old), body) : applyJsonPatch(copy(old), body);
      return write(ref, keyFor(name), next as KubeObject, subresource);
    };
    /** Runs the write and loses its answer when `after` says so. */
    const answered = (request: FakeRequest, object: KubeObject): T => {
      const answer = copy(object) as T;
      options.after?.(request);
      return answer;
    };

    return {
      get: async (name) => {
        await enter('get', ref, namespace, name);
        return copy(found(name)) as T;
      },
      list,
      listAll: list,
      watch,
      create: async (object, writeOptions: WriteOptions = {}) =>
        answered(
          await enter('create', ref, namespace, object.metadata.name, writeOptions.subresource),
          create(ref, namespace, object),
        ),
      update: async (object, writeOptions: WriteOptions = {}) => {
        const request = await enter('update', ref, namespace, object.metadata.name, writeOptions.subresource);
        return answered(request, write(ref, keyFor(object.metadata.name as string), object, writeOptions.subresource));
      },
      patch: async (name, type, body, writeOptions = {}) => {
        const request = await enter('patch', ref, namespace, name, writeOptions.subresource);
        return answered(request, patched(name, type, body, writeOptions.subresource));
      },
      delete: async (name, deletion = {}) => {
        const request = await enter('delete', ref, namespace, name);
        return answered(request, remove(ref, keyFor(name), deletion));
      },
      async deleteCollection({ deleteOptions = {}, ...listOptions } = {}) {
        await enter('deletecollection', ref, namespace);
        for (const object of select(listOptions)) remove(ref, keyOf(object), deleteOptions);
      },
      createSubresource: async (name, subresource) => {
        throw errors.badRequest(`the fake client has no ${ref.resource}/${subresource} of ${name}`);
      },
    };
  }

  const client: FakeClient = {
    as: () => client,
    config: { server: 'fake:', userAgent: 'fake' },
    resource,
    request: async (method, path) => {
      throw errors.badRequest(`the fake client answers no ${method} ${path}`);
    },
    stream: async (method, path) => {
      throw errors.badRequest(`the fake client answers no ${method} ${path}`);
    },
    close() {
      closed = true;
      this.dropWatches();
    },
    requests,
    writes,
    objects: <T extends KubeObject>(ref: ResourceRef) => {
      const objects = [...collectionOf(ref).objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
      return objects.map(([, object]) => copy(object) as T);
    },
    object: <T extends KubeObject>(ref: ResourceRef, key: string) => {
      const object = collectionOf(ref).objects.get(key);
      return object && (copy(object) as T);
    },
    change<T extends KubeObject>(ref: ResourceRef, key: string, change: (object: T) => T | undefined) {
      const collection = collectionOf(ref);
      const old = collection.objects.get(key);
      if (!old) throw errors.notFound(ref, key);
      const next = change(copy(old) as T);
      if (
        next &&
        JSON.stringify((next as { spec?: unknown }).spec) !== JSON.stringify((old as { spec?: unknown }).spec)
      ) {
        next.metadata.generation = (old.metadata.generation ?? 0) + 1;
      }
      commit(collection, key, next && copy(next));
    },
    dropWatches(ref) {
      for (const collection of ref ? [collectionOf(ref)] : collections.values()) {
        for (const watcher of collection.watchers) watcher.stream.fail(new NetworkError('connection lost'));
      }
    },
    compact() {
      compactedRevision = revision;
      for (const collection of collections.values()) collection.history = [];
    },
    duplicateEvents(count) {
      for (const collection of collections.values()) {
        for (const event of collection.history.slice(-count)) {
          for (const watcher of collection.watchers) send(watcher, event);
        }
      }
    },
  };
  return client;
}

/** Equal for objects that differ in the order of keys only. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    each && typeof each === 'object' && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
