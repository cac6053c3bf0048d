// All pods of the node: one worker per uid. Feeds workers from the API's watch and the runtime's facts, and finds what
// the runtime has and the API does not.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { keyOf } from '../../api/object.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { type AdmissionFacts, type AdmissionResult, admitPod, refuseEarly } from './admission.ts';
import { isTerminalPhase } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { Mirrors } from './mirrors.ts';
import { isMirrorPod, isStaticPod } from './static-pods.ts';
import { PodWorker } from './worker.ts';
import type { WorkerHost } from './worker-host.ts';

export class Pods {
  #context: PodContext;
  #workers = new Map<string, PodWorker>();
  #uidByKey = new Map<string, string>();
  #node: () => Node | undefined;
  #mirrors: Mirrors;
  /** Static pods whose predecessors of the same name still end. */
  #waitingStatic = new Map<string, Pod>();

  constructor(context: PodContext, node: () => Node | undefined) {
    this.#context = context;
    const { client, clock, random, log } = context;
    this.#mirrors = new Mirrors({ client, node: () => (context.gate.isOpen ? node() : undefined), clock, random, log });
    this.#node = node;
  }

  worker(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  /** Of the pod that has the name now. */
  byKey(key: string): PodWorker | undefined {
    return this.#workers.get(this.#uidByKey.get(key) ?? '');
  }

  /** Pods that take up resources, as they run. */
  active(): Pod[] {
    return this.#livePods('');
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
    this.#mirrors.start();
    this.#context.devices.keepOnly(new Set(this.#workers.keys()));
    this.#context.placement?.keepOnly(new Set(this.#workers.keys()));
    for (const worker of this.#workers.values()) worker.wake();
    for (const identity of this.#context.cache.identities()) this.runtimeChanged(identity.uid);
    void this.#context.cgroups?.keepOnly(new Set(this.#workers.keys()));
    void this.#removeLeftDirectories();
  }

  /** From the API's watch: added or changed. */
  apply(pod: Pod): void {
    if (isMirrorPod(pod)) {
      this.#mirrors.setMirror(keyOf(pod), pod);
      return this.byKey(keyOf(pod))?.wake();
    }
    const uid = pod.metadata.uid ?? '';
    const key = keyOf(pod);
    const known = this.#uidByKey.get(key);
    if (known !== undefined && known !== uid) this.#workers.get(known)?.markRemoved();
    this.#uidByKey.set(key, uid);
    const worker = this.#workers.get(uid);
    if (worker) return worker.setPod(pod);
    const made = this.#add(pod);
    if (this.#isNew(pod)) this.#admit(pod, made);
    made.wake();
  }

  #admit(pod: Pod, worker: PodWorker): void {
    const { settings, nodeState, metrics, devices, placement } = this.#context;
    const { uid = '' } = pod.metadata;
    const facts: AdmissionFacts = {
      pod,
      others: this.#livePods(uid),
      allocatable: settings.allocatable,
      node: this.#node(),
      hasStrictGroups: settings.hasStrictGroups,
      allowedSysctls: settings.allowedSysctls ?? [],
      pressure: nodeState.pressure(),
      isShuttingDown: nodeState.isShuttingDown,
    };
    const early = refuseEarly(facts) ?? this.#allocate(pod);
    const result: AdmissionResult = early ? { admitted: false, ...early } : admitPod(facts);
    if (!result.admitted) {
      devices.release(uid);
      placement?.release(uid);
      metrics.admissionRejections.add({ reason: result.reason });
      return worker.reject(result.reason, result.message);
    }
    const leaving = result.preempt.flatMap((each) => this.#workers.get(each.metadata.uid ?? '') ?? []);
    for (const each of leaving) each.preempt(result.signal);
    if (leaving.length > 0) worker.holdUntil(Promise.all(leaving.map((each) => each.whenOver())));
  }

  /** Devices, processors and memory of its own for a pod that may come in; why it cannot have them. */
  #allocate(pod: Pod): { reason: string; message: string } | undefined {
    const { devices, placement } = this.#context;
    const shortage = devices.admit(pod);
    if (shortage !== undefined) return { reason: 'UnexpectedAdmissionError', message: shortage };
    const refusal = placement?.admit(pod);
    if (refusal) devices.release(pod.metadata.uid ?? '');
    return refusal;
  }

  remove(pod: Pod): void {
    if (isMirrorPod(pod)) return this.#mirrors.setMirror(keyOf(pod), undefined);
    const uid = pod.metadata.uid ?? '';
    if (this.#uidByKey.get(keyOf(pod)) === uid) this.#uidByKey.delete(keyOf(pod));
    this.#workers.get(uid)?.markRemoved();
  }

  /** From files of this node: all that there are. One that changed starts when its predecessor is gone. */
  setStatic(pods: readonly Pod[]): void {
    const wanted = new Map(pods.map((pod) => [keyOf(pod), pod]));
    for (const worker of this.all()) {
      const { pod } = worker;
      if (!pod || !isStaticPod(pod)) continue;
      const key = keyOf(pod);
      if (wanted.get(key)?.metadata.uid === worker.identity.uid) continue;
      if (!wanted.has(key)) this.#mirrors.setStatic(key, undefined);
      worker.markRemoved();
    }
    this.#waitingStatic = new Map();
    for (const [key, pod] of wanted) {
      const worker = this.byKey(key);
      if (worker?.identity.uid === pod.metadata.uid) continue;
      if (worker) this.#waitingStatic.set(key, pod);
      else this.#startStatic(key, pod);
    }
  }

  #startStatic(key: string, pod: Pod): void {
    this.#mirrors.setStatic(key, pod);
    this.apply(pod);
  }

  /** From the runtime's cache or a probe. */
  runtimeChanged(uid: string): void {
    const { gate } = this.#context;
    if (!gate.isOpen && !gate.isListed) return;
    const worker = this.#workers.get(uid);
    if (worker) return worker.wake();
    if (!gate.isOpen) return;
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
    this.#mirrors.close();
    for (const worker of this.#workers.values()) worker.close();
  }

  #add(pod: Pod): PodWorker {
    const { uid = '', name = '', namespace = '' } = pod.metadata;
    const host = this.#hostOf(uid, () => {
      this.#workers.delete(uid);
      const key = keyOf(pod);
      if (this.#uidByKey.get(key) === uid) this.#uidByKey.delete(key);
      this.#retryResizes();
      const next = this.#waitingStatic.get(key);
      if (!next) return;
      this.#waitingStatic.delete(key);
      this.#startStatic(key, next);
    });
    const worker = new PodWorker(this.#context, { uid, name, namespace }, pod, host);
    this.#workers.set(uid, worker);
    return worker;
  }

  #hostOf(uid: string, onGone: () => void): WorkerHost {
    return {
      others: () => this.#livePods(uid),
      mirror: (key) => this.#mirrors.get(key),
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
      this.#context.userNamespaces.release(uid);
      await volumes.tearDown(uid).catch((err) => log.warn({ err, uid }, 'cannot remove what a former pod has left'));
    }
    // Logs go last: a kubelet that died just before has left them alone.
    for (const name of names(settings.podLogsDir)) {
      const [, , uid] = name.split('_');
      if (uid === undefined || this.#workers.has(uid)) continue;
      await volumes
        .removeTree(join(settings.podLogsDir, name))
        .catch((err) => log.warn({ err, uid }, 'cannot remove the logs of a former pod'));
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
