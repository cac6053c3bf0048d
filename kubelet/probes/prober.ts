// Runs the probes of running containers, each on its own timer, and keeps their verdicts by container id. A verdict
// that changes wakes the pod's worker; nothing is decided here.
//   one run at a time per probe; a run that outlasts its period delays the next one
import type { Container, Pod, Probe } from '../../api/types/core-v1.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { ProbeVerdict, ProbeVerdicts } from '../pods/actions.ts';
import { allContainers } from '../pods/containers-of.ts';
import type { PodEvents } from '../pods/events.ts';
import type { ObservedContainer } from '../pods/observed.ts';
import type { CriClient } from '../cri/client.ts';
import type { KubeletMetrics } from '../stats/metrics.ts';
import { countResult, initialState, type ProbeKind, type ProbeState } from './probe-state.ts';
import { runProbe } from './run-probe.ts';

interface Runner {
  podUid: string;
  pod: Pod;
  container: Container;
  containerId: string;
  /** On the monotonic clock. */
  startedMs: number;
  podIp: string;
  kind: ProbeKind;
  probe: Probe;
  state: ProbeState;
  timer: Timer | undefined;
  abort: AbortController;
  isRunning: boolean;
  isOver: boolean;
  /** Until then a failure says only "not yet": it is not counted and the next try comes soon. */
  eagerUntilMs: number;
  eagerDelayMs: number;
}

/** A container that is starting is asked often, so that it is ready when it is ready and not a period later. */
const EAGER_FIRST_MS = 100;

export interface ProberOptions {
  cri: CriClient;
  clock: Clock;
  events: PodEvents;
  metrics: KubeletMetrics;
  /** Called when a verdict of this pod has changed. */
  onVerdict(podUid: string): void;
}

const title: Record<ProbeKind, string> = { startup: 'Startup', liveness: 'Liveness', readiness: 'Readiness' };

export class Prober implements ProbeVerdicts {
  #options: ProberOptions;
  /** `<kind>/<container id>`. */
  #runners = new Map<string, Runner>();
  #byPod = new Map<string, Set<string>>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  startup(containerId: string): ProbeVerdict | undefined {
    return this.#runners.get(`startup/${containerId}`)?.state.verdict;
  }

  liveness(containerId: string): ProbeVerdict | undefined {
    return this.#runners.get(`liveness/${containerId}`)?.state.verdict;
  }

  readiness(containerId: string): ProbeVerdict | undefined {
    const state = this.#runners.get(`readiness/${containerId}`)?.state;
    // Not asked yet: a container taken over from an earlier kubelet keeps what was reported of it.
    return state?.last === undefined ? undefined : state.verdict;
  }

  /**
   * Probes exactly these running containers of the pod from now on. A container that is being stopped for good is no
   * longer probed for startup and liveness, but its readiness still is.
   */
  follow(pod: Pod, running: readonly ObservedContainer[], podIp: string, isTerminating: boolean): void {
    const uid = pod.metadata.uid ?? '';
    const known = this.#byPod.get(uid) ?? new Set<string>();
    const wanted = new Set<string>();
    for (const container of allContainers(pod)) {
      const found = running.find((each) => each.name === container.name);
      if (!found) continue;
      for (const kind of ['startup', 'liveness', 'readiness'] as const) {
        const probe = container[`${kind}Probe`];
        if (!probe || (isTerminating && kind !== 'readiness')) continue;
        const key = `${kind}/${found.id}`;
        wanted.add(key);
        const runner = this.#runners.get(key);
        if (runner) {
          runner.pod = pod;
          runner.podIp = podIp;
        } else this.#start(key, { uid, pod, container, found, podIp, kind, probe });
      }
    }
    for (const key of known) if (!wanted.has(key)) this.#stop(key);
    if (wanted.size > 0) this.#byPod.set(uid, wanted);
    else this.#byPod.delete(uid);
  }

  forget(podUid: string): void {
    for (const key of this.#byPod.get(podUid) ?? []) this.#stop(key);
    this.#byPod.delete(podUid);
  }

  close(): void {
    for (const key of this.#runners.keys()) this.#stop(key);
    this.#byPod.clear();
  }

  #start(
    key: string,
    of: {
      uid: string;
      pod: Pod;
      container: Container;
      found: ObservedContainer;
      podIp: string;
      kind: ProbeKind;
      probe: Probe;
    },
  ): void {
    const { clock } = this.#options;
    const runner: Runner = {
      podUid: of.uid,
      pod: of.pod,
      container: of.container,
      containerId: of.found.id,
      startedMs: clock.monotonic() - Math.max(0, clock.now() - of.found.startedAtMs),
      podIp: of.podIp,
      kind: of.kind,
      probe: of.probe,
      state: initialState(of.kind),
      timer: undefined,
      abort: new AbortController(),
      isRunning: false,
      isOver: false,
      eagerUntilMs: 0,
      eagerDelayMs: EAGER_FIRST_MS,
    };
    this.#runners.set(key, runner);
    const periodMs = (of.probe.periodSeconds || 10) * 1000;
    const delayMs = (of.probe.initialDelaySeconds ?? 0) * 1000;
    // Liveness is first asked after a period, as it may be upstream: a process needs a moment to listen.
    const dueMs = runner.startedMs + (of.kind === 'liveness' ? delayMs || periodMs : delayMs);
    if (of.kind !== 'liveness' && (of.probe.successThreshold || 1) === 1) runner.eagerUntilMs = dueMs + periodMs;
    this.#schedule(runner, Math.max(0, dueMs - this.#options.clock.monotonic()));
  }

  #stop(key: string): void {
    const runner = this.#runners.get(key);
    if (!runner) return;
    this.#runners.delete(key);
    runner.isOver = true;
    runner.timer?.cancel();
    runner.abort.abort();
  }

  #schedule(runner: Runner, delayMs: number): void {
    runner.timer?.cancel();
    runner.timer = this.#options.clock.after(delayMs, () => void this.#run(runner));
  }

  async #run(runner: Runner): Promise<void> {
    const { clock, cri, events } = this.#options;
    if (runner.isOver || runner.isRunning) return;
    const periodMs = (runner.probe.periodSeconds || 10) * 1000;
    // Until a container has started, nothing else is asked of it.
    if (runner.kind !== 'startup' && runner.container.startupProbe && this.startup(runner.containerId) !== 'success') {
      return this.#schedule(runner, periodMs);
    }
    runner.isRunning = true;
    const beganMs = clock.monotonic();
    const target = { container: runner.container, containerId: runner.containerId, podIp: runner.podIp };
    const result = await runProbe(runner.probe, target, cri, clock, runner.abort.signal);
    runner.isRunning = false;
    if (runner.isOver) return;

    this.#count(runner, result.kind);
    if (result.kind !== 'success' && clock.monotonic() < runner.eagerUntilMs) {
      const delayMs = Math.min(runner.eagerDelayMs, runner.eagerUntilMs - clock.monotonic());
      runner.eagerDelayMs *= 2;
      return this.#schedule(runner, delayMs);
    }
    runner.eagerUntilMs = 0;

    const { pod, container } = runner;
    if (result.kind === 'unknown') {
      events.container(
        pod,
        container.name,
        'Warning',
        'Unhealthy',
        `${title[runner.kind]} probe errored and resulted in unknown state: ${result.message}`,
      );
    } else {
      if (result.kind === 'failure') {
        events.container(
          pod,
          container.name,
          'Warning',
          'Unhealthy',
          `${title[runner.kind]} probe failed: ${result.message}`,
        );
      } else if (result.warning) {
        events.container(
          pod,
          container.name,
          'Warning',
          'ProbeWarning',
          `${title[runner.kind]} probe warning: ${result.warning}`,
        );
      }
      const before = runner.state.verdict;
      runner.state = countResult(runner.state, result.kind, {
        successThreshold: runner.probe.successThreshold || 1,
        failureThreshold: runner.probe.failureThreshold || 3,
      });
      if (runner.state.verdict !== before) this.#concluded(runner);
    }
    // A startup probe that has spoken is over; a container that failed its liveness is about to be replaced.
    const isDone =
      (runner.kind === 'startup' && runner.state.verdict !== 'unknown') ||
      (runner.kind === 'liveness' && runner.state.verdict === 'failure');
    if (!isDone) this.#schedule(runner, Math.max(0, beganMs + periodMs - clock.monotonic()));
  }

  #count({ kind, pod, container }: Runner, result: 'success' | 'failure' | 'unknown'): void {
    this.#options.metrics.probes.add({
      container: container.name,
      namespace: pod.metadata.namespace ?? '',
      pod: pod.metadata.name ?? '',
      pod_uid: pod.metadata.uid ?? '',
      probe_type: title[kind],
      result: result === 'success' ? 'successful' : result === 'failure' ? 'failed' : 'unknown',
    });
  }

  #concluded(runner: Runner): void {
    if (runner.kind === 'startup' && runner.state.verdict === 'success') {
      for (const kind of ['liveness', 'readiness']) {
        const next = this.#runners.get(`${kind}/${runner.containerId}`);
        const dueMs = runner.startedMs + (next?.probe.initialDelaySeconds ?? 0) * 1000;
        const waitMs = Math.max(0, dueMs - this.#options.clock.monotonic());
        if (next) this.#schedule(next, waitMs);
      }
    }
    this.#options.onVerdict(runner.podUid);
  }
}
