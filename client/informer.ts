// A shared, indexed, local mirror of one resource, and the factory that shares one per resource and selector.
import type { KubeObject } from '../api/object.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Client, Informer, InformerFactory, InformerHandler, InformerOptions, ResourceRef } from './port.ts';
import { type Change, type InitialState, reflect } from './reflector.ts';
import { type Delta, Store } from './store.ts';

export interface InformerDependencies {
  client: Client;
  clock: Clock;
  random: Random;
  log: Logger;
}

export function createInformer<T extends KubeObject>(
  ref: ResourceRef,
  { client, clock, random, log }: InformerDependencies,
  options: InformerOptions & { initial?: { mode: InitialState } } = {},
): Informer<T> {
  const store = new Store<T>();
  const handlers = new Set<InformerHandler<T>>();
  const lines = log.child({ resource: ref.resource });
  let isSynced = false;
  let markSynced = () => {};
  const firstSync = new Promise<void>((resolve) => {
    markSynced = resolve;
  });

  function tell(handler: InformerHandler<T>, delta: Delta<T>): void {
    try {
      if (delta.kind === 'add') handler.onAdd?.(delta.object);
      else if (delta.kind === 'update') handler.onUpdate?.(delta.object, delta.old);
      else handler.onDelete?.(delta.object);
    } catch (err) {
      lines.error({ err }, 'an informer handler threw');
    }
  }

  function apply(change: Change<T>): void {
    for (const delta of store.apply(change)) {
      // A copy: a handler added meanwhile has already been told of the present objects.
      for (const handler of Array.from(handlers)) tell(handler, delta);
    }
    if (change.kind === 'replace' && !isSynced) {
      isSynced = true;
      markSynced();
    }
  }

  return {
    ref,
    get isSynced() {
      return isSynced;
    },
    async synced(signal) {
      if (isSynced) return;
      if (!signal) return firstSync;
      await new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        void firstSync.then(() => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        });
      });
    },
    get: (key) => store.get(key),
    list: (namespace) => store.list(namespace),
    byIndex: (index, value) => store.byIndex(index, value),
    addIndex: (name, values) => store.addIndex(name, values),
    addHandler(handler) {
      handlers.add(handler);
      for (const object of store.list()) tell(handler, { kind: 'add', object });
      return () => void handlers.delete(handler);
    },
    run: (signal) =>
      reflect<T>(
        {
          client: client.resource<T>(ref, options.namespace),
          selectors: { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector },
          apply,
          clock,
          random,
          log: lines,
          initial: options.initial ?? { mode: 'auto' },
        },
        signal,
      ),
  };
}

/** Informers asked for before `run` start with it, later ones at once; one listener on the root signal for all. */
export function createInformerFactory(
  dependencies: InformerDependencies & { initial?: InitialState },
): InformerFactory {
  const informers = new Map<string, Informer<KubeObject>>();
  const initial = { mode: dependencies.initial ?? 'auto' };
  let running: { signal: AbortSignal; settled: Promise<void>[] } | undefined;

  return {
    of<T extends KubeObject>(ref: ResourceRef, options: InformerOptions = {}): Informer<T> {
      const { namespace = '', labelSelector = '', fieldSelector = '' } = options;
      const key = [ref.group, ref.version, ref.resource, namespace, labelSelector, fieldSelector].join('\n');
      let informer = informers.get(key);
      if (!informer) {
        informer = createInformer<KubeObject>(ref, dependencies, { ...options, initial });
        informers.set(key, informer);
        if (running) running.settled.push(informer.run(running.signal));
      }
      return informer as unknown as Informer<T>;
    },
    async run(signal) {
      if (running) throw new TypeError('the informer factory runs already');
      const stop = new AbortController();
      running = { signal: stop.signal, settled: [] };
      for (const informer of informers.values()) running.settled.push(informer.run(stop.signal));
      await aborted(signal);
      stop.abort(signal.reason);
      await Promise.all(running.settled);
    },
  };
}
