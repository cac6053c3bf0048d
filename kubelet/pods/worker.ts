// One pod's worker. Woken by the API, the runtime, probes and timers; each wake-up reads everything anew, steps the
// pod's state, starts what is missing in the background, and publishes the status. A step never waits.
import type { Pod, PodStatus } from '../../api/types/core-v1.ts';
import type { Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { objectReferences } from '../volumes/references.ts';
import { MountError } from '../volumes/volumes.ts';
import { PodResizes } from './pod-resizes.ts';
import { isStaticPod } from './static-pods.ts';
import type { WorkerHost } from './worker-host.ts';
import { computePodActions, type PodActions, stoppable } from './actions.ts';
import { isTerminalPhase } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { type LifecycleFacts, type PodState, stepLifecycle } from './lifecycle.ts';
import type { ObservedContainer, ObservedPod, PodIdentity } from './observed.ts';
import { Operations } from './operations.ts';
import { ActiveDeadline } from './active-deadline.ts';
import { ContainerStops } from './container-stops.ts';
import { PodEnding } from './pod-ending.ts';
import { PodRunning } from './pod-running.ts';
import { PodVolumes } from './pod-volumes.ts';
import { stopSandboxes } from './pod-sandbox.ts';
import { removeContainer, StartError } from './start-container.ts';
import type { StatusFacts } from './status.ts';
import { StatusPublisher } from './status-publisher.ts';
import { PREEMPTED_MESSAGE } from './preemption.ts';

export class PodWorker {
  readonly identity: PodIdentity;
  #context: PodContext;
  #log: Logger;
  #operations: Operations;
  #pod: Pod | undefined;
  #resizes: PodResizes | undefined;
  #state: PodState = { kind: 'syncing' };
  #isRemoved = false;
  #isClosed = false;
  #isWakeQueued = false;
  #seenAtMs: number;
  #timer: Timer | undefined;
  #volumes: PodVolumes;
  #stops: ContainerStops;
  #ending: PodEnding;
  #published: StatusPublisher;
  #deadline: ActiveDeadline;
  #running: PodRunning;
  #verdict: StatusFacts['verdict'];
  #onOver: (() => void)[] = [];
  #isHeld = false;
  /** What the kubelet gives it to end, whatever its spec says. */
  #graceOverride: number | undefined;
  #host: WorkerHost;

  /** `pod` is undefined for what the runtime has and the API does not. */
  constructor(context: PodContext, identity: PodIdentity, pod: Pod | undefined, host: WorkerHost) {
    this.#context = context;
    this.identity = identity;
    this.#pod = pod;
    this.#isRemoved = pod === undefined;
    this.#host = host;
    this.#seenAtMs = context.clock.now();
    this.#log = context.log.child({ pod: `${identity.namespace}/${identity.name}`, uid: identity.uid });
    this.#operations = new Operations({
      clock: context.clock,
      random: context.random,
      wake: () => this.wake(),
      onError: (key, error) => this.#failed(key, error),
    });
    this.#volumes = new PodVolumes(context, this.#operations, (of) => this.#fields(of));
    this.#stops = new ContainerStops(context, this.#operations, this.#log);
    this.#running = new PodRunning({
      context,
      operations: this.#operations,
      volumes: this.#volumes,
      stops: this.#stops,
      seenAtMs: this.#seenAtMs,
      graceSeconds: () => this.#graceSeconds(),
      podIps: (observed) => this.#podIps(observed),
      log: this.#log,
    });
    this.#ending = new PodEnding(context, this.#operations, identity);
    this.#published = new StatusPublisher(context, host);
    this.#deadline = new ActiveDeadline(context.clock, this.#seenAtMs);
    if (!pod) return;
    this.#resizes = new PodResizes(context, this.#operations, host, pod);
    this.#pod = this.#resizes.granted;
    this.#holdObjects(pod);
  }

  get state(): PodState {
    return this.#state;
  }

  get pod(): Pod | undefined {
    return this.#pod;
  }

  /** Asks again for resources that were not to be had. */
  retryResize(): void {
    if (this.isResizePending) this.wake();
  }

  get isResizePending(): boolean {
    return this.#resizes?.isPending ?? false;
  }

  /** Takes up resources of the node: not over, not resting. */
  get isActive(): boolean {
    return this.#pod !== undefined && this.#state.kind !== 'stopped' && !isTerminalPhase(this.#pod);
  }

  /** The last published status. */
  get status(): PodStatus | undefined {
    return this.#published.last;
  }

  setPod(pod: Pod): void {
    const old = this.#pod;
    this.#resizes ??= new PodResizes(this.#context, this.#operations, this.#host, pod);
    this.#resizes.desired = pod;
    this.#pod = this.#resizes.granted;
    if (old && old.metadata.generation !== pod.metadata.generation) this.#holdObjects(pod);
    if (
      JSON.stringify(old?.metadata.labels) !== JSON.stringify(pod.metadata.labels) ||
      JSON.stringify(old?.metadata.annotations) !== JSON.stringify(pod.metadata.annotations)
    ) {
      this.#volumes.refresh();
    }
    this.wake();
  }

  markRemoved(): void {
    this.#isRemoved = true;
    this.wake();
  }

  /** The kubelet will not run it: the pod becomes Failed with this reason. */
  reject(reason: string, message: string): void {
    this.#verdict = { reason, message: `Pod was rejected: ${message}` };
    if (this.#pod) this.#context.events.pod(this.#pod, 'Warning', reason, message);
    this.wake();
  }

  /** The node needs its room, or ends: it goes, with this grace period, and its owner hears why. */
  terminate(reason: string, message: string, graceSeconds: number): void {
    if (this.#verdict || !this.#pod) return;
    this.#verdict = { reason, message, disrupts: message };
    this.#graceOverride = Math.max(1, graceSeconds);
    this.wake();
  }

  /** A critical pod needs its room. */
  preempt(signal: string): void {
    if (this.#verdict || !this.#pod) return;
    this.#context.events.pod(this.#pod, 'Warning', 'Preempting', PREEMPTED_MESSAGE);
    this.#context.metrics.preemptions.add({ preemption_signal: signal });
    this.#verdict = {
      reason: 'Preempting',
      message: PREEMPTED_MESSAGE,
      disrupts: 'Pod was preempted by Kubelet to accommodate a critical pod.',
    };
    this.wake();
  }

  /** It takes up no resources of the node any more. */
  whenOver(): Promise<void> {
    return this.isActive ? new Promise((resolve) => this.#onOver.push(resolve)) : Promise.resolve();
  }

  /** Nothing of it is started before others have left. */
  holdUntil(left: Promise<unknown>): void {
    this.#isHeld = true;
    void left.then(() => {
      this.#isHeld = false;
      this.wake();
    });
  }

  evict(message: string, graceSeconds: number): void {
    if (this.#verdict || !this.#pod) return;
    this.#context.events.pod(this.#pod, 'Warning', 'Evicted', message);
    this.terminate('Evicted', message, graceSeconds);
  }

  /** The node needs the disk: containers of a pod that is over go, and with them their logs. */
  async removeDead(): Promise<void> {
    if (this.#state.kind !== 'stopped') return;
    for (const each of this.#context.cache.pod(this.identity.uid).containers)
      if (each.state === 'exited') await removeContainer(this.#context, each.id);
  }

  wake(): void {
    const { gate } = this.#context;
    const mayAct = gate.isOpen || (gate.isListed && this.#pod !== undefined && isStaticPod(this.#pod));
    if (this.#isWakeQueued || this.#isClosed || !mayAct) return;
    this.#isWakeQueued = true;
    queueMicrotask(() => {
      this.#isWakeQueued = false;
      if (this.#isClosed) return;
      try {
        this.#step();
      } catch (error) {
        this.#log.error({ err: error }, 'a pod worker failed in a step');
        const { clock } = this.#context;
        this.#arm([clock.monotonic() + 10_000], clock.monotonic());
      }
    });
  }

  /** Stops working; what runs on the node goes on. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#operations.abort('image:', 'start:', 'volumes', 'refresh');
  }

  #step(): void {
    const { clock, cache, prober, backoffs } = this.#context;
    const begunMs = clock.monotonic();
    const observed = cache.pod(this.identity.uid);
    const running = observed.containers.filter((each) => each.state === 'running');
    if (this.#resizes && this.#state.kind === 'syncing') {
      this.#resizes.decide();
      this.#pod = this.#resizes.granted;
    }
    const pod = this.#pod;
    let actions: PodActions | undefined;
    if (pod && this.#state.kind === 'syncing') {
      this.#checkDeadline(pod);
      actions = computePodActions({
        // Restart counts go on from what was last said, written or not.
        pod: this.status ? { ...pod, status: this.status } : pod,
        observed,
        probes: prober,
        unfitByResize: this.#resizes?.unfit(pod, running) ?? new Set(),
        backoffs,
        nowMs: begunMs,
      });
    }

    for (let next = this.#advance(observed, running, actions); next !== this.#state; ) {
      this.#log.debug({ from: this.#state.kind, to: next.kind }, 'a pod changes its state');
      this.#state = next;
      next = this.#advance(observed, running, actions);
    }

    const wakeAt: number[] = [];
    if (pod) prober.follow(pod, running, this.#podIps(observed)[0] ?? '', this.#state.kind !== 'syncing');
    if (!this.isActive) for (const tell of this.#onOver.splice(0)) tell();
    if (pod && actions && this.#state.kind === 'syncing') {
      if (!this.#isHeld) this.#sync(pod, observed, actions, wakeAt);
    } else this.#operations.abort('image:', 'start:', 'volumes', 'refresh');
    if (this.#state.kind === 'terminating') this.#terminate(observed, running);
    if (pod) this.#publish(pod, observed, actions);
    if (this.#state.kind === 'stopped') this.#ending.rest(() => this.#volumes.forget());
    if (this.#state.kind === 'removing') this.#remove(observed);
    if (this.#state.kind === 'gone') return this.#gone();
    this.#arm(wakeAt, begunMs);
  }

  #advance(observed: ObservedPod, running: ObservedContainer[], actions: PodActions | undefined): PodState {
    const pod = this.#pod;
    const facts: LifecycleFacts = {
      isDeleted: pod?.metadata.deletionTimestamp !== undefined,
      isRemoved: this.#isRemoved,
      isFinished: (actions?.finished ?? false) || (pod !== undefined && isTerminalPhase(pod)),
      isFailed: this.#verdict !== undefined,
      hasProcesses:
        running.length > 0 ||
        ['start:', 'kill:', 'sandbox', 'stop-sandbox'].some((key) => this.#operations.isRunning(key)),
      hasReadySandbox: observed.sandboxes.some((each) => each.isReady),
      isReleased: this.#ending.isReleased,
    };
    return stepLifecycle(this.#state, facts);
  }

  // --- running ---------------------------------------------------------------------------------------------------

  #sync(pod: Pod, observed: ObservedPod, actions: PodActions, wakeAt: number[]): void {
    this.#volumes.keep(pod, () => this.#pod ?? pod, wakeAt);
    this.#running.sync(pod, observed, actions, wakeAt);
    this.#resizes?.carryOut(pod, observed);
    const deadline = this.#deadline.atMs(pod);
    if (deadline !== undefined) wakeAt.push(deadline);
  }

  #fields(pod: Pod) {
    const { settings, cache } = this.#context;
    return {
      pod,
      podIps: this.#podIps(cache.pod(this.identity.uid)),
      hostIps: settings.hostIps,
      nodeName: settings.nodeName,
      allocatable: settings.allocatable,
    };
  }

  // --- ending ----------------------------------------------------------------------------------------------------

  #terminate(observed: ObservedPod, running: ObservedContainer[]): void {
    const graceSeconds = this.#graceSeconds();
    const podIp = this.#podIps(observed)[0] ?? '';
    for (const container of stoppable(this.#pod, running)) {
      this.#stops.stop(this.#pod, podIp, container, graceSeconds, `Stopping container ${container.name}`);
    }
    const isBusy = running.length > 0 || ['start:', 'kill:', 'sandbox'].some((key) => this.#operations.isRunning(key));
    if (!isBusy && observed.sandboxes.some((each) => each.isReady)) {
      this.#operations.run('stop-sandbox', () => stopSandboxes(this.#context, this.identity.uid));
    }
  }

  #remove(observed: ObservedPod): void {
    if (!this.#ending.clear(observed) || this.#isRemoved || !this.#pod) return;
    this.#ending.deleteObject(() => {
      this.#isRemoved = true;
    });
  }

  #gone(): void {
    for (const tell of this.#onOver.splice(0)) tell();
    this.#ending.release();
    this.#published.forget(this.identity.uid);
    this.close();
    this.#host.onGone();
  }

  /** Seconds that containers get now: what the API says, else the spec's; never less than one. */
  #graceSeconds(): number {
    const pod = this.#pod;
    if (!pod) return 1;
    if (this.#graceOverride !== undefined) return this.#graceOverride;
    return Math.max(1, pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30);
  }

  // --- status ----------------------------------------------------------------------------------------------------

  #publish(pod: Pod, observed: ObservedPod, actions: PodActions | undefined): void {
    const isSyncing = this.#state.kind === 'syncing';
    const isBusy =
      observed.containers.some((each) => each.state === 'running') ||
      ['kill:', 'start:'].some((key) => this.#operations.isRunning(key));
    const facts = {
      pod,
      observed,
      waiting: this.#running.waiting(actions),
      isTerminating: !isSyncing,
      startedAtMs: this.#seenAtMs,
      verdict: this.#verdict,
      resize: isSyncing ? this.#resizes?.state(pod, observed) : undefined,
      isRestartingAll: this.#running.isRestartingAll,
      reset: this.#running.reset,
      actual: (id: string) => this.#resizes?.actual(id),
      isOver: !isSyncing && !isBusy,
    };
    this.#published.publish(facts, this.#isRemoved);
  }

  #podIps(observed: ObservedPod): readonly string[] {
    if (this.#pod?.spec?.hostNetwork) return this.#context.settings.hostIps;
    return observed.sandboxes.find((each) => each.isReady)?.ips ?? [];
  }

  // --- time and failures -----------------------------------------------------------------------------------------

  #checkDeadline(pod: Pod): void {
    if (this.#verdict || !this.#deadline.isOver(pod)) return;
    const message = 'Pod was active on the node longer than the specified deadline';
    this.#verdict = { reason: 'DeadlineExceeded', message };
    this.#context.events.pod(pod, 'Normal', 'DeadlineExceeded', message);
  }

  #holdObjects(pod: Pod): void {
    this.#context.objects.hold(this.identity.uid, objectReferences(pod), () => {
      this.#volumes.refresh();
      this.#operations.retryNow('volumes');
      this.#operations.retryNow('refresh');
      this.#running.retryConfiguration();
      this.wake();
    });
  }

  #failed(key: string, error: unknown): void {
    const { events } = this.#context;
    const pod = this.#pod;
    if (error instanceof StartError) {
      this.#running.startFailed(key.slice('start:'.length), error.waiting);
      return;
    }
    if (pod && error instanceof MountError) {
      events.pod(pod, 'Warning', 'FailedMount', error.message);
      return;
    }
    if (pod && key === 'sandbox') {
      events.pod(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${(error as Error).message}`);
    }
    if (pod && key.startsWith('kill:')) {
      events.pod(pod, 'Warning', 'FailedKillPod', `error killing pod: ${(error as Error).message}`);
    }
    this.#log.warn({ err: error, operation: key }, 'an operation on a pod failed; trying again');
  }

  /** `wakeAt` are moments of the monotonic clock, and so is `begunMs`, when the step began. */
  #arm(wakeAt: number[], begunMs: number): void {
    const retry = this.#operations.nextRetryMs(begunMs);
    if (retry !== undefined) wakeAt.push(retry);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (wakeAt.length === 0) return;
    const { clock } = this.#context;
    this.#timer = clock.after(Math.max(0, Math.min(...wakeAt) - clock.monotonic()), () => this.wake());
  }
}
