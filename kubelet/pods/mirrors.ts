// Keeps the API's picture of each static pod: a mirror pod that is made, made anew when it was deleted or its pod changed, and removed
// when the pod is gone. A mirror is only a picture: deleting it stops nothing.
import { ApiError } from '../../api/errors.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { mirrorOf, planMirror } from './static-pods.ts';

export interface MirrorsOptions {
  client: Client;
  node(): Node | undefined;
  clock: Clock;
  random: Random;
  log: Logger;
}

interface Entry {
  pod: Pod | undefined;
  mirror: Pod | undefined;
  isWriting: boolean;
  failures: number;
  timer: Timer | undefined;
}

const NODE_WAIT_MS = 1000;

export class Mirrors {
  #options: MirrorsOptions;
  /** By namespace/name. */
  #entries = new Map<string, Entry>();
  #isClosed = false;

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  get(key: string): Pod | undefined {
    return this.#entries.get(key)?.mirror;
  }

  setStatic(key: string, pod: Pod | undefined): void {
    const entry = this.#entry(key);
    entry.pod = pod;
    this.#look(key, entry);
  }

  /** From the API's watch; undefined: deleted. */
  setMirror(key: string, mirror: Pod | undefined): void {
    const entry = this.#entry(key);
    entry.mirror = mirror;
    this.#look(key, entry);
  }

  /** The API's pods are known: what has no file is removed, what has no mirror gets one. */
  start(): void {
    for (const [key, entry] of this.#entries) this.#look(key, entry);
  }

  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#entries.values()) timer?.cancel();
  }

  #entry(key: string): Entry {
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { pod: undefined, mirror: undefined, isWriting: false, failures: 0, timer: undefined };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  #look(key: string, entry: Entry): void {
    if (this.#isClosed || entry.isWriting) return;
    entry.timer?.cancel();
    entry.timer = undefined;
    const plan = planMirror(entry.pod, entry.mirror);
    if (plan === 'none') {
      if (!entry.pod && !entry.mirror) this.#entries.delete(key);
      return;
    }
    const node = this.#options.node();
    if (plan === 'create' && !node) return this.#later(key, entry, NODE_WAIT_MS);
    entry.isWriting = true;
    const work = plan === 'create' ? this.#create(entry, node as Node) : this.#delete(entry);
    void work.then(
      () => this.#done(key, entry, undefined),
      (error: unknown) => this.#done(key, entry, error),
    );
  }

  #done(key: string, entry: Entry, error: unknown): void {
    entry.isWriting = false;
    if (error === undefined) {
      entry.failures = 0;
      return this.#look(key, entry);
    }
    entry.failures++;
    this.#options.log.warn({ err: error, pod: key }, 'cannot write a mirror pod; trying again');
    this.#later(
      key,
      entry,
      backoffMs({ initialMs: 500, maxMs: 30_000, jitter: 0.2 }, entry.failures, this.#options.random),
    );
  }

  #later(key: string, entry: Entry, ms: number): void {
    entry.timer?.cancel();
    entry.timer = this.#options.clock.after(ms, () => this.#look(key, entry), { background: true });
  }

  async #create(entry: Entry, node: Node): Promise<void> {
    const pod = entry.pod as Pod;
    const pods = this.#options.client.resource<Pod>(refs.pods, pod.metadata.namespace);
    try {
      entry.mirror = await pods.create(mirrorOf(pod, node));
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 409) throw error;
      entry.mirror = await pods.get(pod.metadata.name ?? '');
    }
  }

  async #delete(entry: Entry): Promise<void> {
    const { name = '', namespace, uid } = (entry.mirror as Pod).metadata;
    try {
      await this.#options.client
        .resource<Pod>(refs.pods, namespace)
        .delete(name, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
    }
    if (entry.mirror?.metadata.uid === uid) entry.mirror = undefined;
  }
}
