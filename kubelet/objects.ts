// Secrets and ConfigMaps that pods of this node refer to, each kept fresh by its own single-name watch for as long as
// a pod needs it. Nothing else of them is ever read: a node sees only what its pods name.
import type { KubeObject } from '../api/object.ts';
import { ApiError } from '../api/errors.ts';
import type { ConfigMap, Secret } from '../api/types/core-v1.ts';
import type { Client, ResourceRef } from '../client/port.ts';
import { sleep } from '../lib/abort.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock, Random, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ObjectLookup } from './containers/environment.ts';
import { refs } from '../client/refs.ts';

export type ObjectKind = 'secret' | 'configmap';

/** Something a pod refers to. */
export interface ObjectReference {
  kind: ObjectKind;
  namespace: string;
  name: string;
}

interface Entry {
  reference: ObjectReference;
  object: KubeObject | undefined;
  /** Resolves after the first successful read. */
  loaded: Promise<void>;
  isLoaded: boolean;
  holders: Map<string, () => void>;
  abort: AbortController;
  linger: Timer | undefined;
}

/** How long a watch outlives its last pod, so that the next pod of the namespace starts without a read. */
const LINGER_MS = 5 * 60_000;

const resourceOf: Record<ObjectKind, ResourceRef> = { secret: refs.secrets, configmap: refs.configMaps };

export class ReferencedObjects implements ObjectLookup {
  #client: Client;
  #clock: Clock;
  #random: Random;
  #log: Logger;
  #entries = new Map<string, Entry>();

  constructor(options: { client: Client; clock: Clock; random: Random; log: Logger }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
  }

  /** Replaces what `holder` (a pod uid) refers to; `onChange` is called when any of it changes. Starts reading at once. */
  hold(holder: string, references: readonly ObjectReference[], onChange: () => void): void {
    const wanted = new Set(references.map(keyOfReference));
    for (const reference of references) this.#entry(reference).holders.set(holder, onChange);
    for (const [key, entry] of this.#entries) {
      if (!wanted.has(key) && entry.holders.delete(holder)) this.#lingerIfIdle(key, entry);
    }
  }

  release(holder: string): void {
    this.hold(holder, [], () => {});
  }

  secret(namespace: string, name: string): Promise<Secret | undefined> {
    return this.#get<Secret>({ kind: 'secret', namespace, name });
  }

  configMap(namespace: string, name: string): Promise<ConfigMap | undefined> {
    return this.#get<ConfigMap>({ kind: 'configmap', namespace, name });
  }

  close(): void {
    for (const entry of this.#entries.values()) {
      entry.abort.abort();
      entry.linger?.cancel();
    }
    this.#entries.clear();
  }

  /** From the watch when it knows the object; what it does not know is asked for, so that "not found" is never stale. */
  async #get<T extends KubeObject>(reference: ObjectReference): Promise<T | undefined> {
    const known = this.#entries.get(keyOfReference(reference));
    if (known) {
      if (!known.isLoaded) await this.#loadedOrFailed(known);
      if (known.object) return known.object as T;
      if (!known.isLoaded) return this.#read<T>(reference);
    }
    return this.#read<T>(reference);
  }

  async #loadedOrFailed(entry: Entry): Promise<void> {
    await entry.loaded;
  }

  async #read<T extends KubeObject>(reference: ObjectReference): Promise<T | undefined> {
    try {
      return await this.#client.resource<T>(resourceOf[reference.kind], reference.namespace).get(reference.name);
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  #entry(reference: ObjectReference): Entry {
    const key = keyOfReference(reference);
    let entry = this.#entries.get(key);
    if (entry) {
      entry.linger?.cancel();
      entry.linger = undefined;
      return entry;
    }
    const abort = new AbortController();
    let markLoaded = () => {};
    const loaded = new Promise<void>((resolve) => {
      markLoaded = resolve;
    });
    entry = { reference, object: undefined, loaded, isLoaded: false, holders: new Map(), abort, linger: undefined };
    this.#entries.set(key, entry);
    void this.#follow(entry, markLoaded);
    return entry;
  }

  #lingerIfIdle(key: string, entry: Entry): void {
    if (entry.holders.size > 0) return;
    entry.linger?.cancel();
    entry.linger = this.#clock.after(
      LINGER_MS,
      () => {
        if (entry.holders.size > 0) return;
        this.#entries.delete(key);
        entry.abort.abort();
      },
      { background: true },
    );
  }

  async #follow(entry: Entry, markLoaded: () => void): Promise<void> {
    const { signal } = entry.abort;
    const { kind, namespace, name } = entry.reference;
    const resource = this.#client.resource<KubeObject>(resourceOf[kind], namespace);
    const fieldSelector = `metadata.name=${name}`;
    let resourceVersion: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (resourceVersion === undefined) {
          const list = await resource.list({ fieldSelector, signal });
          resourceVersion = list.metadata.resourceVersion;
          this.#set(
            entry,
            list.items.find((each) => each.metadata.name === name),
          );
          entry.isLoaded = true;
          markLoaded();
        }
        for await (const event of resource.watch({ fieldSelector, resourceVersion, signal })) {
          failures = 0;
          resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion;
          if (event.type === 'BOOKMARK') continue;
          this.#set(entry, event.type === 'DELETED' ? undefined : event.object);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 410) resourceVersion = undefined;
        else this.#log.debug({ err: error, ...entry.reference }, 'cannot watch a referenced object; trying again');
        failures++;
        // A reader that waits for the first answer is not left hanging: it asks for itself and gets the error.
        markLoaded();
      }
      if (failures > 0) {
        await sleep(
          this.#clock,
          backoffMs({ initialMs: 200, maxMs: 10_000, jitter: 0.3 }, failures, this.#random),
          signal,
        );
      }
    }
  }

  #set(entry: Entry, object: KubeObject | undefined): void {
    const before = entry.object?.metadata.resourceVersion;
    if (entry.isLoaded && before === object?.metadata.resourceVersion) return;
    entry.object = object;
    if (entry.isLoaded) for (const onChange of entry.holders.values()) onChange();
  }
}

const keyOfReference = (reference: ObjectReference) => `${reference.kind}/${reference.namespace}/${reference.name}`;
