// What one pod's worker tells the API of it: the status after each step, under the name that the API has for it.
import type { Pod, PodStatus } from '../../api/types/core-v1.ts';
import { readTerminationMessage } from '../containers/termination-message.ts';
import type { PodContext } from './context.ts';
import type { ObservedContainer } from './observed.ts';
import { isStaticPod } from './static-pods.ts';
import { computePodStatus, type StatusFacts } from './status.ts';
import type { WorkerHost } from './worker-host.ts';

/** The first status of a pod says only that it is being created: it may be overtaken by better news. */
const FIRST_STATUS_DEFER_MS = 1000;

/** Of a step; the rest of what a status says is the node's. */
export type StepFacts = Omit<
  StatusFacts,
  'runtimeName' | 'old' | 'readiness' | 'startup' | 'terminationMessage' | 'hostIps' | 'nowMs'
>;

export class StatusPublisher {
  #context: PodContext;
  #host: WorkerHost;
  #messages = new Map<string, string>();
  #last: PodStatus | undefined;
  #mirrorUid: string | undefined;

  constructor(context: PodContext, host: WorkerHost) {
    this.#context = context;
    this.#host = host;
  }

  /** What was last said, written or not. */
  get last(): PodStatus | undefined {
    return this.#last;
  }

  /** `isRemoved`: there is no object any more that could say it. */
  publish(facts: StepFacts, isRemoved: boolean): void {
    const { settings, prober, statuses, clock } = this.#context;
    const { pod, observed } = facts;
    const status = computePodStatus({
      ...facts,
      runtimeName: settings.runtimeName,
      old: this.#last ?? pod.status ?? {},
      readiness: (id) => prober.readiness(id),
      startup: (id) => prober.startup(id),
      terminationMessage: (container) => this.#terminationMessage(container),
      hostIps: settings.hostIps,
      nowMs: clock.now(),
    });
    this.#last = status;
    if (isRemoved) return;
    const hasRun = observed.containers.some((each) => each.state === 'running' || each.state === 'exited');
    const isFirst = status.phase === 'Pending' && !pod.status?.startTime && !hasRun && !hasTrouble(status);
    const shown = this.#shown(pod);
    if (shown) statuses.update(shown, status, isFirst ? FIRST_STATUS_DEFER_MS : 0);
  }

  /** A static pod's status is its mirror's, once there is one. */
  #shown(pod: Pod): Pod | undefined {
    if (!isStaticPod(pod)) return pod;
    const mirror = this.#host.mirror(`${pod.metadata.namespace}/${pod.metadata.name}`);
    if (mirror) this.#mirrorUid = mirror.metadata.uid;
    return mirror;
  }

  forget(uid: string): void {
    this.#context.statuses.forget(this.#mirrorUid ?? uid);
  }

  #terminationMessage(container: ObservedContainer): string {
    let text = this.#messages.get(container.id);
    if (text === undefined) {
      text = readTerminationMessage(container);
      this.#messages.set(container.id, text);
    }
    return text;
  }
}

/** A container waits for more than its turn. */
function hasTrouble(status: PodStatus): boolean {
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const reasons = containers.map((each) => each.state?.waiting?.reason);
  return reasons.some((reason) => reason && reason !== 'ContainerCreating' && reason !== 'PodInitializing');
}
