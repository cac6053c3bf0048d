// In-place resize of one pod: what it was granted, what waits, what is being carried out. The worker asks at each step.
import type { Container, Pod, ResourceRequirements } from '../../api/types/core-v1.ts';
import {
  type Allocation,
  allocationOf,
  decideResize,
  isGranted,
  needsRestart,
  reportedAllocation,
  reportedResources,
  resizable,
  sameResources,
  withAllocation,
} from './allocation.ts';
import type { PodContext } from './context.ts';
import { latestContainer, type ObservedContainer, type ObservedPod } from './observed.ts';
import type { Operations } from './operations.ts';
import { applyResizes, type ContainerResize } from './resize.ts';
import type { StatusFacts } from './status.ts';
import type { WorkerHost } from './worker-host.ts';

export class PodResizes {
  #context: PodContext;
  #operations: Operations;
  #host: WorkerHost;
  #desired: Pod;
  #allocation: Allocation;
  #pending: { reason: string; message: string } | undefined;
  #error: string | undefined;
  /** What running containers were last given, by id. */
  #actual = new Map<string, ResourceRequirements>();

  constructor(context: PodContext, operations: Operations, host: WorkerHost, pod: Pod) {
    this.#context = context;
    this.#operations = operations;
    this.#host = host;
    this.#desired = pod;
    this.#allocation = pod.status?.startTime ? reportedAllocation(pod) : allocationOf(pod);
  }

  set desired(pod: Pod) {
    this.#desired = pod;
  }

  /** The pod as the API has it, with the resources that it was granted. */
  get granted(): Pod {
    return withAllocation(this.#desired, this.#allocation);
  }

  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Grants what the API asks for when there is room, or says why not. */
  decide(): void {
    const desired = this.#desired;
    if (isGranted(desired, this.#allocation)) {
      this.#pending = undefined;
      return;
    }
    const { settings, events } = this.#context;
    const verdict = decideResize({
      desired,
      granted: this.#allocation,
      others: this.#host.others(),
      allocatable: settings.allocatable,
      pinned: settings.pinned ?? { cpu: false, memory: false },
    });
    if (verdict.kind === 'pending') {
      const { reason, message } = verdict;
      const isNews = this.#pending?.reason !== reason || this.#pending.message !== message;
      this.#pending = { reason, message };
      if (isNews) events.pod(desired, 'Warning', `Resize${reason}`, `Pod resize ${reason}: ${message}`);
      return;
    }
    this.#pending = undefined;
    this.#allocation = allocationOf(desired);
    events.pod(desired, 'Normal', 'ResizeStarted', 'Pod resize started');
    this.#host.onFreed();
  }

  /** Ids of containers that only a restart gives what they were granted. */
  unfit(pod: Pod, running: readonly ObservedContainer[]): ReadonlySet<string> {
    const open = this.#open(pod, { sandboxes: [], containers: running });
    return new Set(open.filter((each) => each.needsRestart).map((each) => each.container.id));
  }

  /** Starts what can be changed while it runs. */
  carryOut(pod: Pod, observed: ObservedPod): void {
    const open = this.#open(pod, observed).filter((each) => !each.needsRestart);
    const sandbox = observed.sandboxes[0];
    if (open.length === 0 || !sandbox?.isReady) return;
    this.#operations.run('resize', async () => {
      try {
        await applyResizes(this.#context, pod, sandbox, open, ({ container, after }) =>
          this.#actual.set(container.id, after),
        );
        this.#error = undefined;
        this.#context.events.pod(pod, 'Normal', 'ResizeCompleted', 'Pod resize completed');
      } catch (error) {
        this.#error = (error as Error).message;
        this.#context.events.pod(pod, 'Warning', 'ResizeError', `Pod resize failed: ${this.#error}`);
        throw error;
      }
    });
  }

  actual(containerId: string): ResourceRequirements | undefined {
    return this.#actual.get(containerId);
  }

  /** For the pod's conditions. */
  state(pod: Pod, observed: ObservedPod): StatusFacts['resize'] {
    const isOpen = this.#open(pod, observed).length > 0;
    return {
      pending: this.#pending,
      progress: isOpen ? (this.#error === undefined ? {} : { error: this.#error }) : undefined,
    };
  }

  #open(pod: Pod, observed: ObservedPod): (ContainerResize & { needsRestart: boolean })[] {
    return resizable(pod).flatMap((spec) => {
      const container = latestContainer(observed, spec.name);
      if (container?.state !== 'running') return [];
      const before = this.#actual.get(container.id) ?? this.#learn(pod, spec, container);
      const after = spec.resources ?? {};
      if (sameResources(before, after)) return [];
      return [{ container, before, after, needsRestart: needsRestart(spec, before, after) }];
    });
  }

  /** First sight of a running container: it has what an earlier kubelet reported of it, or what the pod has now. */
  #learn(pod: Pod, spec: Container, container: ObservedContainer): ResourceRequirements {
    const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    const status = statuses.find((each) => each.name === spec.name);
    const id = `${this.#context.settings.runtimeName}://${container.id}`;
    const actual = reportedResources(status, id) ?? spec.resources ?? {};
    this.#actual.set(container.id, actual);
    return actual;
  }
}
