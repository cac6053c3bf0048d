// The scheduler's loop: informers feed queue and cache, the cycle decides, bindings go out many at a time.
import { ApiError } from '../api/errors.ts';
import type { Binding, Node, Pod } from '../api/types/core-v1.ts';
import type { ComponentContext, ResourceRef } from '../client/port.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { SchedulerCache } from './cache.ts';
import { scheduleOne } from './cycle.ts';
import type { ClusterEvent, Diagnosis, PodInfo, Profile } from './framework.ts';
import { unschedulableMessage } from './message.ts';
import { defaultProfile } from './plugins/index.ts';
import { SchedulingQueue } from './queue.ts';
import { nodeFactsDiffer, podInfoOf } from './resources.ts';

export interface SchedulerOptions extends ComponentContext {
  clock: Clock;
  random: Random;
  /** Only pods that ask for this scheduler are touched. Default `default-scheduler`. */
  schedulerName?: string;
  profile?: Profile;
  /** Bindings in flight at once. Default 64. */
  maxBindings?: number;
}

const pods: ResourceRef = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true };
const nodes: ResourceRef = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false };

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
  #start = 0;
  #inFlight = new Set<Promise<void>>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#name = options.schedulerName ?? 'default-scheduler';
    this.#profile = options.profile ?? defaultProfile;
    this.#queue = new SchedulingQueue({ clock: options.clock });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { informers } = this.#options;
    const podInformer = informers.of<Pod>(pods, { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' });
    const nodeInformer = informers.of<Node>(nodes);
    const removers = [
      nodeInformer.addHandler({
        onAdd: (node) => this.#nodeChanged(node, 'node-added'),
        onUpdate: (node, old) => {
          if (nodeFactsDiffer(node, old)) this.#nodeChanged(node, 'node-changed');
        },
        onDelete: (node) => this.#cache.deleteNode(node.metadata.name ?? ''),
      }),
      podInformer.addHandler({
        onAdd: (pod) => this.#podChanged(pod, undefined),
        onUpdate: (pod, old) => this.#podChanged(pod, old),
        onDelete: (pod) => this.#podGone(pod),
      }),
    ];
    await Promise.all([nodeInformer.synced(signal), podInformer.synced(signal)]).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    while (!signal.aborted) {
      await this.#queue.waitForActive(signal);
      if (signal.aborted) break;
      const pod = this.#queue.pop();
      if (pod) this.#schedule(pod, signal);
      if (this.#inFlight.size >= (this.#options.maxBindings ?? 64)) await Promise.race(this.#inFlight);
    }
    for (const remove of removers) remove();
    this.#queue.stop();
    await Promise.allSettled(this.#inFlight);
  }

  #isOurs(pod: Pod): boolean {
    return !pod.spec?.nodeName && !pod.metadata.deletionTimestamp && (pod.spec?.schedulerName ?? '') === this.#name;
  }

  #podChanged(pod: Pod, old: Pod | undefined): void {
    const uid = pod.metadata.uid ?? '';
    if (pod.spec?.nodeName) {
      this.#queue.delete(uid);
      this.#cache.setPod(podInfoOf(pod), pod.spec.nodeName);
      return;
    }
    if (!this.#isOurs(pod) || (pod.spec?.schedulingGates ?? []).length > 0) return this.#queue.delete(uid);
    // Our own status patches come back as updates; only a change of what is scheduled on is a reason to try again.
    if (old && sameForScheduling(pod, old)) return;
    if (!this.#cache.isAssumed(uid)) this.#queue.set(podInfoOf(pod));
  }

  #podGone(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    this.#queue.delete(uid);
    if (this.#cache.deletePod(uid)) this.#queue.event('pod-removed');
  }

  #nodeChanged(node: Node, event: ClusterEvent): void {
    this.#cache.setNode(node);
    this.#queue.event(event);
  }

  #schedule(pod: PodInfo, signal: AbortSignal): void {
    const all = this.#cache.nodes;
    const decision = scheduleOne(pod, all, this.#profile, this.#start, this.#options.random);
    if (decision.kind === 'none') {
      const wakesOn = new Set<ClusterEvent>(['node-added']);
      for (const plugin of this.#profile.filters) {
        if (decision.diagnosis.plugins.has(plugin.name)) for (const event of plugin.wakesOn) wakesOn.add(event);
      }
      this.#queue.unschedulable(pod.uid, wakesOn);
      return this.#track(this.#reportUnschedulable(pod, decision.diagnosis, signal));
    }
    this.#start = all.length === 0 ? 0 : (this.#start + decision.evaluated) % all.length;
    this.#cache.assume(pod, decision.node);
    this.#queue.done(pod.uid);
    this.#track(this.#bind(pod, decision.node, signal));
  }

  #track(work: Promise<void>): void {
    this.#inFlight.add(work);
    void work.finally(() => this.#inFlight.delete(work));
  }

  async #bind(pod: PodInfo, node: string, signal: AbortSignal): Promise<void> {
    const { client, events, log } = this.#options;
    const { namespace, name, uid } = pod.pod.metadata;
    const binding: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    try {
      await client.resource<Pod>(pods, namespace).createSubresource(name ?? '', 'binding', binding);
      events.event(pod.pod, 'Normal', 'Scheduled', `Successfully assigned ${pod.key} to ${node}`);
    } catch (error) {
      this.#cache.forget(pod.uid);
      this.#queue.event('pod-removed');
      if (signal.aborted || isGone(error)) return;
      log.warn({ pod: pod.key, node, err: error }, 'binding failed');
      events.event(pod.pod, 'Warning', 'FailedScheduling', `running Bind plugin "DefaultBinder": ${messageOf(error)}`);
      this.#queue.retry(pod);
    }
  }

  async #reportUnschedulable(pod: PodInfo, diagnosis: Diagnosis, signal: AbortSignal): Promise<void> {
    const { client, events, log, clock } = this.#options;
    const message = unschedulableMessage(diagnosis);
    events.event(pod.pod, 'Warning', 'FailedScheduling', message);
    const known = pod.pod.status?.conditions?.find((each) => each.type === 'PodScheduled');
    if (known?.status === 'False' && known.reason === 'Unschedulable' && known.message === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      ...(known?.status !== 'False' && {
        lastTransitionTime: new Date(clock.now()).toISOString().replace(/\.\d+Z/, 'Z'),
      }),
    };
    const { namespace, name, uid } = pod.pod.metadata;
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    try {
      await client.resource<Pod>(pods, namespace).patch(name ?? '', 'strategic', patch, { subresource: 'status' });
    } catch (error) {
      if (!signal.aborted && !isGone(error)) log.warn({ pod: pod.key, err: error }, 'pod condition was not written');
    }
  }
}

function sameForScheduling(pod: Pod, old: Pod): boolean {
  return (
    pod.metadata.generation === old.metadata.generation &&
    JSON.stringify(pod.spec) === JSON.stringify(old.spec) &&
    JSON.stringify(pod.metadata.labels) === JSON.stringify(old.metadata.labels)
  );
}

/** The pod was deleted, or replaced by another of its name, while we worked on it. */
function isGone(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 404 || error.code === 409);
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
