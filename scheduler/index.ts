// The scheduler's loop: informers feed queue and cache, the cycle decides, bindings go out many at a time.
import { ApiError } from '../api/errors.ts';
import { deepEqual } from '../api/equality.ts';
import type { KubeObject } from '../api/object.ts';
import type { Namespace, Node, Pod } from '../api/types/core-v1.ts';
import type { PodDisruptionBudget } from '../api/types/policy-v1.ts';
import type { ComponentContext, Informer, ResourceRef } from '../client/port.ts';
import { sleep } from '../lib/abort.ts';
import { type Clock, type Random, settle } from '../lib/clock.ts';
import { bind } from './bind.ts';
import { SchedulerCache } from './cache.ts';
import { scheduleOne } from './cycle.ts';
import type { ClusterEvent, Diagnosis, PodInfo, Profile } from './framework.ts';
import { unschedulableMessage } from './message.ts';
import { defaultProfile } from './plugins/index.ts';
import { type DriverInformers, SchedulerDrivers } from './drivers.ts';
import { SchedulerMetrics } from './metrics.ts';
import { preempt } from './preemption.ts';
import { SchedulingQueue } from './queue.ts';
import * as refs from './refs.ts';
import { nodeFactsDiffer, podInfoOf } from './resources.ts';
import { type Selecting, selectedWith } from './selected-with.ts';
import { SchedulerVolumes, type VolumeInformers, type VolumeMatch } from './volumes.ts';
import { clearNomination, evict, isGone, writeUnschedulable } from './write.ts';

export interface SchedulerOptions extends ComponentContext {
  clock: Clock;
  random: Random;
  /** Only pods that ask for this scheduler are touched. Default `default-scheduler`. */
  schedulerName?: string;
  profile?: Profile;
  /** Bindings and other writes in flight at once. Default 64. */
  maxBindings?: number;
}

/** Cycles in a row before other work of the process gets its turn. */
const CYCLES_A_TURN = 16;

/** Runs until `signal` aborts and every binding in flight has settled. */
export async function runScheduler(options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const scheduler = new Scheduler(options);
  await scheduler.run(signal);
}

class Scheduler {
  #options: SchedulerOptions;
  #name: string;
  #profile: Profile;
  #cache = new SchedulerCache();
  #queue: SchedulingQueue;
  #budgets: Informer<PodDisruptionBudget> | undefined;
  #volumes: SchedulerVolumes | undefined;
  /** Pods whose claims are being bound: they hold no place among the bindings in flight. */
  #awaitingVolumes = new Set<Promise<void>>();
  #start = 0;
  #inFlight = new Set<Promise<void>>();
  #metrics: SchedulerMetrics;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#name = options.schedulerName ?? 'default-scheduler';
    this.#profile = options.profile ?? defaultProfile;
    this.#queue = new SchedulingQueue({ clock: options.clock });
    this.#metrics = new SchedulerMetrics(this.#name, this.#queue);
  }

  async run(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#queue.stop();
    signal.addEventListener('abort', onAbort, { once: true });
    const removers = await this.#watch(signal);
    for (let cycles = 1; !signal.aborted; cycles++) {
      await this.#queue.waitForActive();
      if (signal.aborted) break;
      const pod = this.#queue.pop();
      if (pod) this.#schedule(pod, signal);
      if (this.#inFlight.size >= (this.#options.maxBindings ?? 64)) await Promise.race(this.#inFlight);
      else if (cycles % CYCLES_A_TURN === 0) await settle();
    }
    for (const remove of removers) remove();
    signal.removeEventListener('abort', onAbort);
    this.#queue.stop();
    await Promise.allSettled([...this.#inFlight, ...this.#awaitingVolumes]);
    this.#metrics.close();
  }

  /** Resolves when all that is scheduled by is in the cache. Everything else comes first, so that no pod is too early. */
  async #watch(signal: AbortSignal): Promise<(() => void)[]> {
    const { informers } = this.#options;
    const namespaceInformer = informers.of<Namespace>(refs.namespaces);
    const nodeInformer = informers.of<Node>(refs.nodes);
    const podInformer = informers.of<Pod>(refs.pods, { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' });
    const removers = [
      namespaceInformer.addHandler({
        onAdd: (each) => this.#namespaceChanged(each.metadata.name ?? '', each.metadata.labels ?? {}),
        onUpdate: (each) => this.#namespaceChanged(each.metadata.name ?? '', each.metadata.labels ?? {}),
        onDelete: (each) => this.#namespaceChanged(each.metadata.name ?? '', undefined),
      }),
      nodeInformer.addHandler({
        onAdd: (node) => this.#nodeChanged(node, undefined),
        onUpdate: (node, old) => this.#nodeChanged(node, old),
        onDelete: (node) => this.#cache.deleteNode(node.metadata.name ?? ''),
      }),
      podInformer.addHandler({
        onAdd: (pod) => this.#podChanged(pod, undefined),
        onUpdate: (pod, old) => this.#podChanged(pod, old),
        onDelete: (pod) => this.#podGone(pod),
      }),
    ];
    const [services, replicationControllers, replicaSets, statefulSets, budgets] = await Promise.all([
      this.#ifServed(refs.services, signal),
      this.#ifServed(refs.replicationControllers, signal),
      this.#ifServed(refs.replicaSets, signal),
      this.#ifServed(refs.statefulSets, signal),
      this.#ifServed(refs.disruptionBudgets, signal),
    ]);
    const [claims, volumes, classes] = await Promise.all([
      this.#ifServed(refs.persistentVolumeClaims, signal),
      this.#ifServed(refs.persistentVolumes, signal),
      this.#ifServed(refs.storageClasses, signal),
    ]);
    const [csiNodes, drivers, capacities, attachments] = await Promise.all([
      this.#ifServed(refs.csiNodes, signal),
      this.#ifServed(refs.csiDrivers, signal),
      this.#ifServed(refs.csiCapacities, signal),
      this.#ifServed(refs.volumeAttachments, signal),
    ]);
    if (claims && volumes && classes) {
      const storage = { claims, volumes, classes } as VolumeInformers;
      const said = new SchedulerDrivers({ csiNodes, drivers, capacities, attachments } as DriverInformers);
      this.#volumes = new SchedulerVolumes(storage, this.#options.client, this.#options.clock, said);
      this.#cache.storage = this.#volumes;
      removers.push(...this.#volumes.watch(() => this.#queue.event('storage-changed')));
    }
    const selecting = { services, replicationControllers, replicaSets, statefulSets } as Selecting;
    this.#cache.matcherOf = (pod) => selectedWith(pod, selecting);
    this.#budgets = budgets as Informer<PodDisruptionBudget> | undefined;
    const needed = [
      namespaceInformer,
      nodeInformer,
      podInformer,
      ...Object.values(selecting),
      budgets,
      claims,
      volumes,
      classes,
      csiNodes,
      drivers,
      capacities,
      attachments,
    ];
    await Promise.all(needed.map((each) => each?.synced(signal))).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    return removers;
  }

  /** Undefined when the server has no such resource, as a small one may not. */
  async #ifServed(ref: ResourceRef, signal: AbortSignal): Promise<Informer<KubeObject> | undefined> {
    const { client, informers, clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        await client.resource(ref).list({ limit: 1, signal });
        return informers.of(ref);
      } catch (error) {
        if (error instanceof ApiError && error.code === 404) return undefined;
        if (!signal.aborted) log.warn({ resource: ref.resource, err: error }, 'resource could not be listed');
        await sleep(clock, 1_000, signal);
      }
    }
    return undefined;
  }

  #isOurs(pod: Pod): boolean {
    return !pod.metadata.deletionTimestamp && (pod.spec?.schedulerName ?? '') === this.#name;
  }

  #podChanged(pod: Pod, old: Pod | undefined): void {
    const uid = pod.metadata.uid ?? '';
    if (pod.spec?.nodeName) return this.#boundPodChanged(pod, old);
    // Gated pods wait outside; the API server has said so in their condition.
    if (!this.#isOurs(pod) || (pod.spec?.schedulingGates ?? []).length > 0) return this.#drop(uid);
    const info = podInfoOf(pod);
    // Assumed: our binding is on its way, and this is what the pod was before.
    if (this.#cache.isAssumed(uid)) return this.#queue.refresh(info);
    const nominated = pod.status?.nominatedNodeName;
    if (!old && nominated) this.#cache.nominate(info, nominated);
    // Our own status patches come back as updates; only a change of what is scheduled on is a reason to try again.
    if (old && this.#queue.has(uid) && sameForScheduling(pod, old)) this.#queue.refresh(info);
    else this.#queue.set(info);
  }

  #boundPodChanged(pod: Pod, old: Pod | undefined): void {
    const node = pod.spec?.nodeName as string;
    const uid = pod.metadata.uid ?? '';
    const isNew = this.#cache.isAssumed(uid) || this.#cache.nodeOf(uid) !== node;
    if (!isNew && old && sameForScheduling(pod, old)) return;
    this.#queue.delete(uid);
    this.#cache.setPod(podInfoOf(pod), node);
    this.#queue.event(isNew ? 'pod-added' : 'pod-changed');
    // It may ask for less than before.
    if (!isNew && !deepEqual(pod.spec, old?.spec)) this.#queue.event('pod-removed');
  }

  #podGone(pod: Pod): void {
    this.#drop(pod.metadata.uid ?? '');
  }

  /** The pod is no concern of ours any more; what it held is free. */
  #drop(uid: string): void {
    const held = this.#cache.nominatedNode(uid) !== undefined;
    this.#queue.delete(uid);
    if (this.#cache.deletePod(uid) || held) this.#queue.event('pod-removed');
  }

  #nodeChanged(node: Node, old: Node | undefined): void {
    this.#cache.setNode(node);
    if (!old) this.#queue.event('node-added');
    else if (nodeFactsDiffer(node, old)) this.#queue.event('node-changed');
  }

  #namespaceChanged(name: string, labels: Record<string, string> | undefined): void {
    if (this.#cache.setNamespace(name, labels)) this.#queue.event('namespace-changed');
  }

  #schedule(pod: PodInfo, signal: AbortSignal): void {
    const started = performance.now();
    const decision = scheduleOne(pod, this.#cache, this.#profile, this.#start, this.#options.random);
    if (decision.kind === 'none') {
      this.#metrics.attempt('unschedulable', started);
      return this.#unschedulable(pod, decision.diagnosis, signal);
    }
    this.#start = (this.#start + decision.evaluated) % this.#cache.nodes.length;
    this.#cache.assume(pod, decision.node);
    const node = this.#cache.node(decision.node)?.node;
    const match = node && this.#volumes?.assume(pod.pod, node);
    if (!match) return this.#track(this.#bind(pod, decision.node, started, signal), pod, signal);
    const waiting = this.#bindVolumes(pod, decision.node, match, signal).finally(() =>
      this.#awaitingVolumes.delete(waiting),
    );
    this.#awaitingVolumes.add(waiting);
  }

  /** The pod keeps its place on the node until its claims are bound, then goes there; or back to the queue. */
  async #bindVolumes(pod: PodInfo, node: string, match: VolumeMatch, signal: AbortSignal): Promise<void> {
    const { events, log } = this.#options;
    try {
      await (this.#volumes as SchedulerVolumes).bind(pod.pod, node, match, signal);
    } catch (error) {
      if (signal.aborted || !this.#cache.isAssumed(pod.uid)) return;
      this.#cache.forget(pod.uid);
      log.info({ pod: pod.key, node, err: error }, 'volumes were not bound');
      const message = `running PreBind plugin "VolumeBinding": ${(error as Error).message}`;
      events.event(pod.pod, 'Warning', 'FailedScheduling', message);
      this.#queue.retry(pod.uid);
      this.#queue.event('pod-removed');
      return;
    }
    if (!signal.aborted && this.#cache.isAssumed(pod.uid))
      this.#track(this.#bind(pod, node, performance.now(), signal), pod, signal);
  }

  #unschedulable(pod: PodInfo, diagnosis: Diagnosis, signal: AbortSignal): void {
    const wakesOn = new Set<ClusterEvent>(['node-added']);
    for (const plugin of this.#profile.filters) {
      if (diagnosis.plugins.has(plugin.name)) for (const event of plugin.wakesOn(pod)) wakesOn.add(event);
    }
    this.#queue.unschedulable(pod.uid, wakesOn);
    const budgets = this.#budgets?.list() ?? [];
    const found = preempt(pod, this.#cache, this.#profile, diagnosis, budgets, this.#options.random);
    const message = unschedulableMessage(diagnosis, found.kind === 'evict' ? undefined : found.message);
    this.#options.events.event(pod.pod, 'Warning', 'FailedScheduling', message);
    if (found.kind === 'evict') {
      this.#metrics.preempts(found.victims.length);
      const displaced = [...this.#cache.nominatedTo(found.node)].filter((each) => each.priority < pod.priority);
      this.#cache.nominate(pod, found.node);
      for (const each of displaced) this.#displace(each, signal);
      return this.#track(this.#evict(pod, found.node, found.victims, message, signal), pod, signal);
    }
    if (found.kind === 'none') this.#cache.unnominate(pod.uid);
    const nominated = found.kind === 'none' ? null : undefined;
    this.#track(writeUnschedulable(pod, message, nominated, this.#options), pod, signal);
  }

  /** A more important pod takes the place that was being made for this one. */
  #displace(pod: PodInfo, signal: AbortSignal): void {
    this.#cache.unnominate(pod.uid);
    this.#queue.wake(pod.uid);
    this.#track(clearNomination(pod, this.#options), pod, signal);
  }

  /** Writes in flight; one that fails is logged, for the next cycle of the pod says the same again. */
  #track(work: Promise<void>, pod: PodInfo, signal: AbortSignal): void {
    const settled = work
      .catch((error: unknown) => {
        if (!signal.aborted && !isGone(error)) {
          this.#options.log.warn({ pod: pod.key, err: error }, 'pod status was not written');
        }
      })
      .finally(() => this.#inFlight.delete(settled));
    this.#inFlight.add(settled);
  }

  async #bind(pod: PodInfo, node: string, started: number, signal: AbortSignal): Promise<void> {
    const { events, log } = this.#options;
    const { uid } = pod;
    const result = await bind(pod, node, this.#options, () => this.#cache.isAssumed(uid), signal);
    switch (result.kind) {
      case 'bound':
        this.#metrics.attempt('scheduled', started);
        this.#queue.delete(uid);
        // Another scheduler was quicker; the informer will say the same.
        if (result.node !== node && this.#cache.isAssumed(uid)) this.#cache.assume(pod, result.node);
        if (result.node === node) {
          events.event(pod.pod, 'Normal', 'Scheduled', `Successfully assigned ${pod.key} to ${node}`);
        }
        return;
      case 'abandoned':
        return;
      case 'gone':
        return this.#drop(uid);
      case 'refused': {
        this.#metrics.attempt('error', started);
        this.#cache.forget(uid);
        log.warn({ pod: pod.key, node, err: result.error }, 'binding failed');
        const message = result.error instanceof Error ? result.error.message : String(result.error);
        events.event(pod.pod, 'Warning', 'FailedScheduling', `running Bind plugin "DefaultBinder": ${message}`);
        this.#queue.retry(uid);
        this.#queue.event('pod-removed');
      }
    }
  }

  async #evict(
    pod: PodInfo,
    node: string,
    victims: readonly PodInfo[],
    message: string,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await writeUnschedulable(pod, message, node, this.#options);
      await Promise.all(victims.map((each) => evict(each, pod, node, this.#options)));
    } catch (error) {
      if (signal.aborted) return;
      // The room may never come: let the next cycle look again.
      this.#cache.unnominate(pod.uid);
      this.#queue.wake(pod.uid);
      throw error;
    }
  }
}

/** True when the two states of a pod ask for the same and count for the same. */
function sameForScheduling(pod: Pod, old: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp === old.metadata.deletionTimestamp &&
    deepEqual(pod.metadata.labels, old.metadata.labels) &&
    deepEqual(pod.spec, old.spec)
  );
}
