// One pod's worker. Woken by the API, the runtime, probes and timers; each wake-up reads everything anew, steps the
// pod's state, starts what is missing in the background, and publishes the status. A step never waits.
import { ApiError } from '../../api/errors.ts';
import type { Pod, PodStatus } from '../../api/types/core-v1.ts';
import type { Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { podLogDirectory } from '../containers/sandbox-config.ts';
import { readTerminationMessage } from '../containers/termination-message.ts';
import { refs } from '../../client/refs.ts';
import { objectReferences } from '../volumes/references.ts';
import { MountError, type VolumePaths } from '../volumes/volumes.ts';
import { PodResizes } from './pod-resizes.ts';
import { isStaticPod } from './static-pods.ts';
import type { WorkerHost } from './worker-host.ts';
import { backoffKey, computePodActions, type KillAction, type PodActions, stoppable } from './actions.ts';
import type { Waiting } from './container-status.ts';
import { findContainer, isTerminalPhase, podTitle } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { type LifecycleFacts, type PodState, stepLifecycle } from './lifecycle.ts';
import { latestContainer, type ObservedContainer, type ObservedPod, type PodIdentity } from './observed.ts';
import { Operations } from './operations.ts';
import { PodImages, type ReadyImage } from './pod-images.ts';
import { createSandbox, removeSandbox, stopSandboxes } from './pod-sandbox.ts';
import { removeContainer, StartError, startContainer } from './start-container.ts';
import { computePodStatus, type StatusFacts } from './status.ts';
import { PREEMPTED_MESSAGE } from './preemption.ts';
import { callStop, stopContainer } from './stop-container.ts';
import { omissions } from './unsupported.ts';

/** The first status of a pod says only that it is being created: it may be overtaken by better news. */
const FIRST_STATUS_DEFER_MS = 1000;
const START_RETRY = { initialMs: 10_000, maxMs: 10_000, jitter: 0.1 };
const SANDBOX_RETRY = { initialMs: 1000, maxMs: 30_000, jitter: 0.1 };

export class PodWorker {
  readonly identity: PodIdentity;
  #context: PodContext;
  #log: Logger;
  #operations: Operations;
  #pod: Pod | undefined;
  #resizes: PodResizes | undefined;
  #reset = new Set<string>();
  #isRestartingAll = false;
  #state: PodState = { kind: 'syncing' };
  #isRemoved = false;
  #mirrorUid: string | undefined;
  /** Its volumes are gone; its containers may still be there for their logs. */
  #isUnmounted = false;
  /** Nothing of it is left on the node. */
  #isReleased = false;
  #isClosed = false;
  #isWakeQueued = false;
  #seenAtMs: number;
  #timer: Timer | undefined;
  #paths: VolumePaths | undefined;
  #wantsRefresh = false;
  #images: PodImages;
  #startFailures = new Map<string, Waiting>();
  #announced = new Map<string, number>();
  /** Latest end of a stop in progress by container id; a shorter grace period asks again. */
  #stops = new Map<string, number>();
  #messages = new Map<string, string>();
  #lastStatus: PodStatus | undefined;
  #verdict: StatusFacts['verdict'];
  #onOver: (() => void)[] = [];
  #isHeld = false;
  /** What the kubelet gives it to end, whatever its spec says. */
  #graceOverride: number | undefined;
  #host: WorkerHost;
  /** Since when its active deadline counts: the clock of the host may be set, and must not end it. */
  #activeSince: { startTime: string | undefined; monotonicMs: number } | undefined;

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
    this.#images = new PodImages(context.images, this.#operations, context.clock);
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
    return this.#lastStatus;
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
      this.#wantsRefresh = true;
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
    const nowMs = clock.now();
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
        pod: this.#lastStatus ? { ...pod, status: this.#lastStatus } : pod,
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
    if (pod) this.#publish(pod, observed, actions, nowMs);
    if (this.#state.kind === 'stopped') this.#rest();
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
      isReleased: this.#isReleased,
    };
    return stepLifecycle(this.#state, facts);
  }

  // --- running ---------------------------------------------------------------------------------------------------

  #sync(pod: Pod, observed: ObservedPod, actions: PodActions, wakeAt: number[]): void {
    this.#keepVolumes(pod, wakeAt);
    for (const kill of actions.kill) this.#kill(pod, observed, kill);
    this.#restartAll(observed, actions);
    this.#resizes?.carryOut(pod, observed);

    const { sandbox } = actions;
    if (sandbox.kind === 'create' && actions.kill.length === 0 && !this.#operations.isRunning('kill:')) {
      this.#operations.run(
        'sandbox',
        () => this.#makeSandbox(pod, sandbox.attempt, sandbox.replaces !== undefined),
        SANDBOX_RETRY,
      );
    }
    for (const { name, restartCount } of actions.start) {
      const container = findContainer(pod, name);
      if (!container || this.#operations.isRunning(`start:${name}`)) continue;
      const ready = this.#images.ensure(pod, container, wakeAt);
      if (sandbox.kind === 'keep' && ready && this.#paths)
        this.#start(pod, observed, name, restartCount, ready, this.#paths);
    }
    for (const wait of actions.wait) {
      wakeAt.push(wait.untilMs);
      this.#startFailures.delete(wait.name);
      this.#announceOnce(`crash/${wait.name}`, wait.untilMs, () => {
        const message = `Back-off restarting failed container ${wait.name} in pod ${podTitle(pod)}`;
        this.#context.events.container(pod, wait.name, 'Warning', 'BackOff', message);
      });
    }
    const deadline = this.#deadlineMs(pod);
    if (deadline !== undefined) wakeAt.push(deadline);
  }

  async #makeSandbox(pod: Pod, attempt: number, replaces: boolean): Promise<void> {
    if (!replaces)
      for (const text of omissions(pod))
        this.#announceOnce(text, 0, () => this.#context.events.pod(pod, 'Warning', 'UnsupportedField', text));
    if (replaces) {
      const text = 'Pod sandbox changed, it will be killed and re-created.';
      this.#context.events.pod(pod, 'Normal', 'SandboxChanged', text);
    }
    await createSandbox(this.#context, pod, attempt, this.#seenAtMs);
  }

  #keepVolumes(pod: Pod, wakeAt: number[]): void {
    const { volumes, clock } = this.#context;
    if (!this.#paths) {
      this.#operations.run('volumes', async (signal) => {
        this.#wantsRefresh = false;
        this.#paths = await volumes.setUp(this.#fields(pod), signal);
      });
      return;
    }
    const renewal = volumes.renewalMs(this.identity.uid);
    if (renewal !== undefined && renewal <= clock.now()) this.#wantsRefresh = true;
    else if (renewal !== undefined) wakeAt.push(clock.monotonic() + renewal - clock.now());
    if (!this.#wantsRefresh) return;
    this.#operations.run('refresh', async (signal) => {
      this.#wantsRefresh = false;
      try {
        await volumes.refresh(this.#fields(this.#pod ?? pod), signal);
      } catch (error) {
        this.#wantsRefresh = true;
        throw error;
      }
    });
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

  #start(
    pod: Pod,
    observed: ObservedPod,
    name: string,
    restartCount: number,
    image: ReadyImage,
    paths: VolumePaths,
  ): void {
    const container = findContainer(pod, name);
    const sandbox = observed.sandboxes[0];
    if (!container || !sandbox) return;
    const last = latestContainer(observed, name);
    const { backoffs, clock } = this.#context;
    const started = this.#operations.run(
      `start:${name}`,
      async (signal) => {
        if (last?.state === 'exited')
          backoffs.countRestart(backoffKey(pod, container), last.endedMs, clock.monotonic());
        this.#images.consume(name);
        const podIps = this.#podIps(this.#context.cache.pod(this.identity.uid));
        const graceSeconds = this.#graceSeconds();
        const inputs = {
          pod,
          container,
          restartCount,
          sandbox,
          podIps,
          image,
          paths,
          seenAtMs: this.#seenAtMs,
          graceSeconds,
        };
        this.#reset.delete(name);
        await startContainer(this.#context, inputs, signal);
        this.#startFailures.delete(name);
      },
      START_RETRY,
    );
    if (started) this.#log.debug({ container: name, restartCount }, 'starting a container');
  }

  #kill(pod: Pod, observed: ObservedPod, kill: KillAction): void {
    const container = observed.containers.find((each) => each.id === kill.containerId);
    if (container) this.#stop(pod, observed, container, kill.graceSeconds ?? this.#graceSeconds(), kill.message);
  }

  #stop(
    pod: Pod | undefined,
    observed: ObservedPod,
    container: ObservedContainer,
    graceSeconds: number,
    message: string,
  ): void {
    const { clock } = this.#context;
    const key = `kill:${container.id}`;
    const endMs = clock.monotonic() + graceSeconds * 1000;
    if (this.#operations.isRunning(key)) {
      const before = this.#stops.get(container.id);
      // Somebody has shortened the grace period: ask again; the runtime takes the earlier end.
      if (before !== undefined && endMs + 500 < before) {
        this.#stops.set(container.id, endMs);
        this.#operations.abort(key);
        callStop(this.#context, container.id, graceSeconds).catch((err) =>
          this.#log.info({ err }, 'a second stop failed'),
        );
      }
      return;
    }
    const podIp = this.#podIps(observed)[0] ?? '';
    const ran = this.#operations.run(key, async (signal) => {
      try {
        await stopContainer(this.#context, pod, podIp, container, graceSeconds, message, signal);
      } finally {
        this.#stops.delete(container.id);
      }
    });
    if (ran) this.#stops.set(container.id, endMs);
  }

  /** Every container is down: they go, and everything starts over in the same sandbox. */
  #restartAll(observed: ObservedPod, actions: PodActions): void {
    if (actions.restartAll === 'no') {
      if (!this.#operations.isRunning('reset')) this.#isRestartingAll = false;
      return;
    }
    this.#isRestartingAll = true;
    if (actions.restartAll !== 'removing' || this.#operations.isRunning('kill:')) return;
    this.#operations.run('reset', async () => {
      for (const { name } of observed.containers) this.#reset.add(name);
      for (const { id } of observed.containers) await removeContainer(this.#context, id);
    });
  }

  // --- ending ----------------------------------------------------------------------------------------------------

  #terminate(observed: ObservedPod, running: ObservedContainer[]): void {
    const graceSeconds = this.#graceSeconds();
    for (const container of stoppable(this.#pod, running)) {
      this.#stop(this.#pod, observed, container, graceSeconds, `Stopping container ${container.name}`);
    }
    const isBusy = running.length > 0 || ['start:', 'kill:', 'sandbox'].some((key) => this.#operations.isRunning(key));
    if (!isBusy && observed.sandboxes.some((each) => each.isReady)) {
      this.#operations.run('stop-sandbox', () => stopSandboxes(this.#context, this.identity.uid));
    }
  }

  /** Over, but still in the API: its containers stay for their logs, its volumes do not. */
  #rest(): void {
    this.#context.devices.release(this.identity.uid);
    this.#context.placement?.release(this.identity.uid);
    this.#context.prober.forget(this.identity.uid);
    this.#context.objects.release(this.identity.uid);
    if (this.#isUnmounted) return;
    this.#operations.run('unmount', async () => {
      this.#context.userNamespaces.release(this.identity.uid);
      await this.#context.cgroups?.remove(this.identity.uid);
      await this.#context.volumes.tearDown(this.identity.uid);
      this.#paths = undefined;
      this.#isUnmounted = true;
    });
  }

  #remove(observed: ObservedPod): void {
    const { uid } = this.identity;
    const { volumes, objects, prober, settings, statuses } = this.#context;
    const isClean = observed.sandboxes.length === 0 && observed.containers.length === 0;
    this.#isReleased = this.#isReleased && isClean;
    if (!this.#isReleased) {
      this.#operations.run('remove', async () => {
        prober.forget(uid);
        objects.release(uid);
        // A sandbox takes its containers with it; what belongs to none is left for the second line.
        for (const each of observed.sandboxes) await removeSandbox(this.#context, each.id);
        for (const each of observed.containers)
          if (this.#context.cache.container(each.id)) await removeContainer(this.#context, each.id);
        this.#context.userNamespaces.release(uid);
        await this.#context.cgroups?.remove(uid);
        await volumes.tearDown(uid);
        await volumes.removeTree(podLogDirectory(this.identity, settings.podLogsDir));
        this.#isReleased = true;
      });
      return;
    }
    if (this.#isRemoved || !this.#pod) return;
    const { name, namespace } = this.identity;
    this.#operations.run('delete', async () => {
      await statuses.written(uid);
      const pods = this.#context.client.resource<Pod>(refs.pods, namespace);
      try {
        await pods.delete(name, { gracePeriodSeconds: 0, preconditions: { uid } });
      } catch (error) {
        // Gone already, or another pod of that name: either way this one is.
        if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
      }
      this.#isRemoved = true;
    });
  }

  #gone(): void {
    for (const tell of this.#onOver.splice(0)) tell();
    this.#context.devices.release(this.identity.uid);
    this.#context.placement?.release(this.identity.uid);
    this.#context.statuses.forget(this.#mirrorUid ?? this.identity.uid);
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

  #publish(pod: Pod, observed: ObservedPod, actions: PodActions | undefined, nowMs: number): void {
    const { settings, prober, statuses } = this.#context;
    const running = observed.containers.some((each) => each.state === 'running');
    const status = computePodStatus({
      pod,
      observed,
      runtimeName: settings.runtimeName,
      waiting: this.#waiting(actions),
      old: this.#lastStatus ?? pod.status ?? {},
      readiness: (id) => prober.readiness(id),
      startup: (id) => prober.startup(id),
      terminationMessage: (container) => this.#terminationMessage(container),
      isTerminating: this.#state.kind !== 'syncing',
      hostIps: settings.hostIps,
      nowMs,
      startedAtMs: this.#seenAtMs,
      verdict: this.#verdict,
      resize: this.#state.kind === 'syncing' ? this.#resizes?.state(pod, observed) : undefined,
      isRestartingAll: this.#isRestartingAll,
      reset: this.#reset,
      actual: (id) => this.#resizes?.actual(id),
      isOver:
        this.#state.kind !== 'syncing' &&
        !running &&
        !this.#operations.isRunning('kill:') &&
        !this.#operations.isRunning('start:'),
    });
    this.#lastStatus = status;
    if (this.#isRemoved) return;
    const hasRun = observed.containers.some((each) => each.state === 'running' || each.state === 'exited');
    const isFirst = status.phase === 'Pending' && !pod.status?.startTime && !hasRun && !hasTrouble(status);
    // A static pod's status is its mirror's, once there is one.
    const shown = isStaticPod(pod) ? this.#host.mirror(`${pod.metadata.namespace}/${pod.metadata.name}`) : pod;
    if (!shown) return;
    if (shown !== pod) this.#mirrorUid = shown.metadata.uid;
    statuses.update(shown, status, isFirst ? FIRST_STATUS_DEFER_MS : 0);
  }

  #waiting(actions: PodActions | undefined): Map<string, Waiting> {
    const waiting = new Map<string, Waiting>([
      ...this.#startFailures,
      ...this.#images.waiting(this.#context.clock.monotonic()),
    ]);
    for (const { name, message } of actions?.wait ?? []) {
      // The restart that has just been counted is under way: the back-off it set is for the next one.
      if (this.#operations.isRunning(`start:${name}`)) continue;
      waiting.set(name, { reason: 'CrashLoopBackOff', message });
    }
    return waiting;
  }

  #terminationMessage(container: ObservedContainer): string {
    let text = this.#messages.get(container.id);
    if (text === undefined) {
      text = readTerminationMessage(container);
      this.#messages.set(container.id, text);
    }
    return text;
  }

  #podIps(observed: ObservedPod): readonly string[] {
    if (this.#pod?.spec?.hostNetwork) return this.#context.settings.hostIps;
    return observed.sandboxes.find((each) => each.isReady)?.ips ?? [];
  }

  // --- time and failures -----------------------------------------------------------------------------------------

  /** On the monotonic clock. */
  #deadlineMs(pod: Pod): number | undefined {
    const seconds = pod.spec?.activeDeadlineSeconds;
    if (seconds === undefined) return undefined;
    const { startTime } = pod.status ?? {};
    if (!this.#activeSince || this.#activeSince.startTime !== startTime) {
      const agoMs = this.#context.clock.now() - (startTime ? Date.parse(startTime) : this.#seenAtMs);
      this.#activeSince = { startTime, monotonicMs: this.#context.clock.monotonic() - Math.max(0, agoMs) };
    }
    return this.#activeSince.monotonicMs + seconds * 1000;
  }

  #checkDeadline(pod: Pod): void {
    const deadline = this.#deadlineMs(pod);
    if (deadline === undefined || this.#context.clock.monotonic() < deadline || this.#verdict) return;
    const message = 'Pod was active on the node longer than the specified deadline';
    this.#verdict = { reason: 'DeadlineExceeded', message };
    this.#context.events.pod(pod, 'Normal', 'DeadlineExceeded', message);
  }

  #holdObjects(pod: Pod): void {
    this.#context.objects.hold(this.identity.uid, objectReferences(pod), () => {
      this.#wantsRefresh = true;
      this.#operations.retryNow('volumes');
      this.#operations.retryNow('refresh');
      for (const [name, waiting] of this.#startFailures) {
        if (waiting.reason === 'CreateContainerConfigError') this.#operations.retryNow(`start:${name}`);
      }
      this.wake();
    });
  }

  #announceOnce(key: string, occasion: number, announce: () => void): void {
    if (this.#announced.get(key) === occasion) return;
    this.#announced.set(key, occasion);
    announce();
  }

  #failed(key: string, error: unknown): void {
    const { events } = this.#context;
    const pod = this.#pod;
    if (error instanceof StartError) {
      this.#startFailures.set(key.slice('start:'.length), error.waiting);
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

/** A container waits for more than its turn. */
function hasTrouble(status: PodStatus): boolean {
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const reasons = containers.map((each) => each.state?.waiting?.reason);
  return reasons.some((reason) => reason && reason !== 'ContainerCreating' && reason !== 'PodInitializing');
}
