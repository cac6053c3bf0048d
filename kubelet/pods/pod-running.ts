// One pod while it is to run: its sandbox, its containers' starts, kills and restarts, each an operation in the background.
import type { Pod } from '../../api/types/core-v1.ts';
import type { Logger } from '../../lib/log.ts';
import type { VolumePaths } from '../volumes/volumes.ts';
import { backoffKey, type KillAction, type PodActions } from './actions.ts';
import type { Waiting } from './container-status.ts';
import type { ContainerStops } from './container-stops.ts';
import { findContainer, podTitle } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { latestContainer, type ObservedPod } from './observed.ts';
import type { Operations } from './operations.ts';
import { PodImages, type ReadyImage } from './pod-images.ts';
import { createSandbox } from './pod-sandbox.ts';
import type { PodVolumes } from './pod-volumes.ts';
import { removeContainer, startContainer } from './start-container.ts';
import { omissions } from './unsupported.ts';

const START_RETRY = { initialMs: 10_000, maxMs: 10_000, jitter: 0.1 };
const SANDBOX_RETRY = { initialMs: 1000, maxMs: 30_000, jitter: 0.1 };

export interface RunningOptions {
  context: PodContext;
  operations: Operations;
  volumes: PodVolumes;
  stops: ContainerStops;
  /** When this kubelet first saw the pod. */
  seenAtMs: number;
  /** What containers get to end now. */
  graceSeconds(): number;
  podIps(observed: ObservedPod): readonly string[];
  log: Logger;
}

export class PodRunning {
  #options: RunningOptions;
  #context: PodContext;
  #operations: Operations;
  #images: PodImages;
  #startFailures = new Map<string, Waiting>();
  #announced = new Map<string, number>();
  #reset = new Set<string>();
  #isRestartingAll = false;

  constructor(options: RunningOptions) {
    this.#options = options;
    this.#context = options.context;
    this.#operations = options.operations;
    this.#images = new PodImages(this.#context.images, this.#operations, this.#context.clock);
  }

  /** Containers that were removed to start over. */
  get reset(): ReadonlySet<string> {
    return this.#reset;
  }

  get isRestartingAll(): boolean {
    return this.#isRestartingAll;
  }

  startFailed(name: string, waiting: Waiting): void {
    this.#startFailures.set(name, waiting);
  }

  /** An object that it refers to has changed: what failed for want of one may be tried at once. */
  retryConfiguration(): void {
    for (const [name, waiting] of this.#startFailures) {
      if (waiting.reason === 'CreateContainerConfigError') this.#operations.retryNow(`start:${name}`);
    }
  }

  /** Starts and stops what `actions` says; `wakeAt` gets the moments, on the monotonic clock, at which to look again. */
  sync(pod: Pod, observed: ObservedPod, actions: PodActions, wakeAt: number[]): void {
    for (const kill of actions.kill) this.#kill(pod, observed, kill);
    this.#restartAll(observed, actions);

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
      const { paths } = this.#options.volumes;
      if (sandbox.kind === 'keep' && ready && paths) this.#start(pod, observed, name, restartCount, ready, paths);
    }
    for (const wait of actions.wait) {
      wakeAt.push(wait.untilMs);
      this.#startFailures.delete(wait.name);
      this.#announceOnce(`crash/${wait.name}`, wait.untilMs, () => {
        const message = `Back-off restarting failed container ${wait.name} in pod ${podTitle(pod)}`;
        this.#context.events.container(pod, wait.name, 'Warning', 'BackOff', message);
      });
    }
  }

  async #makeSandbox(pod: Pod, attempt: number, replaces: boolean): Promise<void> {
    if (!replaces)
      for (const text of omissions(pod))
        this.#announceOnce(text, 0, () => this.#context.events.pod(pod, 'Warning', 'UnsupportedField', text));
    if (replaces) {
      const text = 'Pod sandbox changed, it will be killed and re-created.';
      this.#context.events.pod(pod, 'Normal', 'SandboxChanged', text);
    }
    await createSandbox(this.#context, pod, attempt, this.#options.seenAtMs);
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
        const podIps = this.#options.podIps(this.#context.cache.pod(pod.metadata.uid ?? ''));
        const graceSeconds = this.#options.graceSeconds();
        const inputs = {
          pod,
          container,
          restartCount,
          sandbox,
          podIps,
          image,
          paths,
          seenAtMs: this.#options.seenAtMs,
          graceSeconds,
        };
        this.#reset.delete(name);
        await startContainer(this.#context, inputs, signal);
        this.#startFailures.delete(name);
      },
      START_RETRY,
    );
    if (started) this.#options.log.debug({ container: name, restartCount }, 'starting a container');
  }

  #kill(pod: Pod, observed: ObservedPod, kill: KillAction): void {
    const container = observed.containers.find((each) => each.id === kill.containerId);
    if (!container) return;
    const { stops, podIps, graceSeconds } = this.#options;
    stops.stop(pod, podIps(observed)[0] ?? '', container, kill.graceSeconds ?? graceSeconds(), kill.message);
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

  /** Why containers wait, by name. */
  waiting(actions: PodActions | undefined): Map<string, Waiting> {
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

  #announceOnce(key: string, occasion: number, announce: () => void): void {
    if (this.#announced.get(key) === occasion) return;
    this.#announced.set(key, occasion);
    announce();
  }
}
