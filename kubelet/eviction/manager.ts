// Looks at the node every ten seconds and, when something runs short, frees what it can and then evicts the pod that upstream's order
// names, one at a time. Pods over their own limits of local storage go whatever the node has left.
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { ImageCollector } from '../images/collector.ts';
import type { PodWorker } from '../pods/worker.ts';
import type { Pods } from '../pods/pods.ts';
import type { KubeletMetrics } from '../stats/metrics.ts';
import type { PodReading } from '../stats/summary.ts';
import type { UsageReader } from '../stats/usage-reader.ts';
import { type EvictionState, initialState, planEviction } from './plan.ts';
import { type Candidate, evictionMessage, hasLocalLimits, isCritical, localStorageExcess, rankFor } from './rank.ts';
import { type Observations, type PressureCondition, type Threshold, resourceOf } from './thresholds.ts';

export interface EvictionOptions {
  thresholds: readonly Threshold[];
  transitionMs: number;
  /** The most that a pod evicted over a soft threshold gets; 0: its own grace period. */
  maxGraceSeconds: number;
  observe(): Observations;
  usage: Pick<UsageReader, 'read'>;
  pods: Pods;
  images: Pick<ImageCollector, 'removeUnused'>;
  metrics: KubeletMetrics;
  /** The conditions have changed. */
  onChange(): void;
  clock: Clock;
  log: Logger;
}

const LOOK_MS = 10_000;
/** Pods get one second when a hard threshold is crossed. */
const HARD_GRACE_SECONDS = 1;
/** How long an evicted pod may take to go before the next one is chosen. */
const CLEANUP_MS = 30_000;

export class EvictionManager {
  #options: EvictionOptions;
  #state: EvictionState = initialState;
  #evicted: { worker: PodWorker; untilMs: number } | undefined;

  constructor(options: EvictionOptions) {
    this.#options = options;
  }

  get conditions(): ReadonlySet<PressureCondition> {
    return this.#state.conditions;
  }

  async run(signal: AbortSignal): Promise<void> {
    do {
      try {
        await this.look();
      } catch (err) {
        if (!signal.aborted) this.#options.log.warn({ err }, 'cannot look whether something runs short');
      }
    } while (await sleep(this.#options.clock, LOOK_MS, signal));
  }

  async look(): Promise<void> {
    const { thresholds, transitionMs, observe, clock, log } = this.#options;
    const seen = observe();
    const plan = planEviction(this.#state, thresholds, seen, clock.monotonic(), transitionMs);
    const before = this.#state.conditions;
    this.#state = plan.state;
    if (before.size !== plan.state.conditions.size || [...before].some((each) => !plan.state.conditions.has(each))) {
      log.info({ conditions: [...plan.state.conditions] }, 'the pressure on the node has changed');
      this.#options.onChange();
    }
    if (await this.#evictExcessive()) return;
    if (plan.act && !this.#isCleaningUp()) await this.#act(plan.act, seen);
  }

  #isCleaningUp(): boolean {
    if (!this.#evicted) return false;
    const { worker, untilMs } = this.#evicted;
    if (worker.isActive && this.#options.clock.monotonic() < untilMs) return true;
    this.#evicted = undefined;
    return false;
  }

  async #act(threshold: Threshold, seen: Observations): Promise<void> {
    const { images, observe, thresholds, transitionMs, clock, log } = this.#options;
    const { signal } = threshold;
    log.warn({ signal, observed: seen.get(signal) }, 'the node runs short of something; reclaiming it');
    if (resourceOf[signal] === 'ephemeral-storage' || resourceOf[signal] === 'inodes') {
      for (const worker of this.#options.pods.all()) await worker.removeDead();
      await images.removeUnused();
      const again = planEviction(this.#state, thresholds, observe(), clock.monotonic(), transitionMs);
      if (again.act?.signal !== signal) return;
    }
    const needsDisk = resourceOf[signal] === 'ephemeral-storage' || resourceOf[signal] === 'inodes';
    const candidates = await this.#candidates(needsDisk);
    for (const candidate of rankFor(signal, candidates)) {
      if (isCritical(candidate.pod)) continue;
      const grace = threshold.isHard ? HARD_GRACE_SECONDS : this.#softGrace(candidate.pod);
      this.#evict(candidate.pod, evictionMessage(threshold, seen, candidate), grace, signal);
      return;
    }
    log.error({ signal }, 'the node runs short of something and no pod can be evicted');
  }

  #softGrace(pod: Pod): number {
    const own = pod.spec?.terminationGracePeriodSeconds ?? 30;
    const { maxGraceSeconds } = this.#options;
    return maxGraceSeconds > 0 ? Math.min(maxGraceSeconds, own) : own;
  }

  async #evictExcessive(): Promise<boolean> {
    const limited = this.#active().filter((pod) => hasLocalLimits(pod));
    if (limited.length === 0) return false;
    let found = false;
    for (const candidate of await this.#candidates(true)) {
      if (!hasLocalLimits(candidate.pod) || isCritical(candidate.pod)) continue;
      const message = localStorageExcess(candidate);
      if (message === undefined) continue;
      this.#evict(candidate.pod, message, HARD_GRACE_SECONDS, 'ephemeralpodfs.limit');
      found = true;
    }
    return found;
  }

  #evict(pod: Pod, message: string, graceSeconds: number, signal: string): void {
    const { pods, metrics, clock, log } = this.#options;
    const worker = pods.worker(pod.metadata.uid ?? '');
    if (!worker) return;
    log.warn({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, signal, message }, 'evicting a pod');
    metrics.evictions.add({ eviction_signal: signal });
    worker.evict(message, graceSeconds);
    this.#evicted = { worker, untilMs: clock.monotonic() + CLEANUP_MS };
  }

  #active(): Pod[] {
    return this.#options.pods
      .all()
      .filter((each) => each.isActive && each.state.kind === 'syncing')
      .map((each) => each.pod as Pod);
  }

  async #candidates(disks: boolean): Promise<Candidate[]> {
    const readings = new Map<string, PodReading>();
    const { pods } = await this.#options.usage.read({ disks });
    for (const each of pods) readings.set(each.usage.uid, each);
    return this.#active().map((pod) => {
      const reading = readings.get(pod.metadata.uid ?? '');
      return { pod, usage: reading?.usage, disk: reading?.disk };
    });
  }
}
