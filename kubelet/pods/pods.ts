// All pods of the node: one worker per uid. Feeds workers from the API's watch and the runtime's facts, and finds what
// the runtime has and the API does not.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { keyOf } from '../../api/object.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { admitPod } from './admission.ts';
import { isTerminalPhase } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { PodWorker } from './worker.ts';
import type { WorkerHost } from './worker-host.ts';

export class Pods {
  #context: PodContext;
  #workers = new Map<string, PodWorker>();
  #uidByKey = new Map<string, string>();
  #node: () => Node | undefined;

  constructor(context: PodContext, node: () => Node | undefined) {
    this.#context = context;
    this.#node = node;
  }

  worker(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  /** Of the pod that has the name now. */
  byKey(key: string): PodWorker | undefined {
    return this.#workers.get(this.#uidByKey.get(key) ?? '');
  }

  all(): PodWorker[] {
    return [...this.#workers.values()];
  }

  /**
   * Called once the API's pods and the runtime's containers are both known: from here on workers act. What the runtime
   * has of pods that are not in the API any more is stopped and removed.
   */
  start(): void {
    this.#context.gate.isOpen = true;
    for (const worker of this.#workers.values()) worker.wake();
    for (const identity of this.#context.cache.identities()) this.runtimeChanged(identity.uid);
    void this.#removeLeftDirectories();
  }

  /** From the API's watch: added or changed. */
  apply(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    const key = keyOf(pod);
    const known = this.#uidByKey.get(key);
    if (known !== undefined && known !== uid) this.#workers.get(known)?.markRemoved();
    this.#uidByKey.set(key, uid);
    const worker = this.#workers.get(uid);
    if (worker) return worker.setPod(pod);
    const made = this.#add(pod);
    if (this.#isNew(pod)) {
      const result = admitPod({
        pod,
        others: this.#livePods(uid),
        allocatable: this.#context.settings.allocatable,
        node: this.#node(),
        allowedSysctls: this.#context.settings.allowedSysctls ?? [],
      });
      if (!result.admitted) {
        this.#context.metrics.admissionRejections.add({ reason: result.reason });
        made.reject(result.reason, result.message);
      }
    }
    made.wake();
  }

  remove(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    if (this.#uidByKey.get(keyOf(pod)) === uid) this.#uidByKey.delete(keyOf(pod));
    this.#workers.get(uid)?.markRemoved();
  }

  /** From the runtime's cache or a probe. */
  runtimeChanged(uid: string): void {
    if (!this.#context.gate.isOpen) return;
    const worker = this.#workers.get(uid);
    if (worker) return worker.wake();
    const identity = this.#context.cache.identities().find((each) => each.uid === uid);
    if (!identity) return;
    this.#context.log.info(
      { pod: `${identity.namespace}/${identity.name}`, uid },
      'the runtime has a pod that the API does not',
    );
    const orphan = new PodWorker(
      this.#context,
      identity,
      undefined,
      this.#hostOf(uid, () => this.#workers.delete(uid)),
    );
    this.#workers.set(uid, orphan);
    orphan.wake();
  }

  close(): void {
    for (const worker of this.#workers.values()) worker.close();
  }

  #add(pod: Pod): PodWorker {
    const { uid = '', name = '', namespace = '' } = pod.metadata;
    const host = this.#hostOf(uid, () => {
      this.#workers.delete(uid);
      if (this.#uidByKey.get(keyOf(pod)) === uid) this.#uidByKey.delete(keyOf(pod));
      this.#retryResizes();
    });
    const worker = new PodWorker(this.#context, { uid, name, namespace }, pod, host);
    this.#workers.set(uid, worker);
    return worker;
  }

  #hostOf(uid: string, onGone: () => void): WorkerHost {
    return {
      others: () => this.#livePods(uid),
      node: this.#node,
      onFreed: () => this.#retryResizes(),
      onGone,
    };
  }

  /** Pods that wait for room, the most important first, ask again. */
  #retryResizes(): void {
    const waiting = this.all().filter((each) => each.isResizePending);
    waiting.sort((a, b) => (b.pod?.spec?.priority ?? 0) - (a.pod?.spec?.priority ?? 0));
    for (const worker of waiting) worker.retryResize();
  }

  /** Not taken by an earlier kubelet, not over, not being deleted. */
  #isNew(pod: Pod): boolean {
    return !pod.status?.startTime && !isTerminalPhase(pod) && pod.metadata.deletionTimestamp === undefined;
  }

  #livePods(exceptUid: string): Pod[] {
    return this.all()
      .filter((each) => each.identity.uid !== exceptUid && each.isActive)
      .map((each) => each.pod as Pod);
  }

  /** Directories and mounts of pods that neither the API nor the runtime knows. */
  async #removeLeftDirectories(): Promise<void> {
    const { settings, volumes, log } = this.#context;
    const uids = new Set([...names(join(settings.stateDir, 'pods')), ...names(join(settings.stateDir, 'memory'))]);
    for (const uid of uids) {
      if (this.#workers.has(uid)) continue;
      await volumes.tearDown(uid).catch((err) => log.warn({ err, uid }, 'cannot remove what a former pod has left'));
    }
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
