// One reading of everything that is used: the machine, the image store, each pod. Summaries, metrics and evictions read it.
import type { Clock } from '../../lib/clock.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { claimNameOf } from '../../api/volume-rules.ts';
import { hasLocalLimits } from '../eviction/rank.ts';
import type { CriClient } from '../cri/client.ts';
import { podLogDirectory } from '../containers/sandbox-config.ts';
import type { Pods } from '../pods/pods.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { PodDiskUsages, type VolumeUsage } from './disk-usage.ts';
import { type FsUsage, fsUsage, type NodeUsage, NodeUsageReader } from './node-usage.ts';
import { readPodUsage } from './pod-usage.ts';
import type { PodReading, UsageReading } from './summary.ts';

export interface UsageReaderOptions {
  nodeName: string;
  cpus: number;
  stateDir: string;
  podLogsDir: string;
  cri: CriClient;
  cache: RuntimeCache;
  pods: Pods;
  volumes: Volumes;
  clock: Clock;
}

/** Pods that may exceed a limit of their own are counted at each look. */
const LIMITED_AGE_MS = 5000;
const maxAgeOf = (pod: Pod) => (hasLocalLimits(pod) ? LIMITED_AGE_MS : undefined);

export class UsageReader {
  #options: UsageReaderOptions;
  #node: NodeUsageReader;
  #disks: PodDiskUsages;
  #imagePath: string | undefined;
  #isAsking = false;

  constructor(options: UsageReaderOptions) {
    this.#options = options;
    this.#node = new NodeUsageReader(options.stateDir);
    this.#disks = new PodDiskUsages(options.clock);
  }

  /** `disks`: count files too, or use a count that is not older than a minute. Throws when the runtime does not answer. */
  async read({ disks }: { disks: boolean }): Promise<UsageReading> {
    const { nodeName, cpus, cri, clock } = this.#options;
    const [usages, imageFs] = await Promise.all([readPodUsage(cri), disks ? this.imageFs() : undefined]);
    const atMs = clock.now();
    const pods = await Promise.all(
      usages.map(async (usage): Promise<PodReading> => {
        const worker = this.#options.pods.worker(usage.uid);
        const started = worker?.status?.startTime ?? worker?.pod?.status?.startTime;
        return {
          usage,
          pod: worker?.pod,
          startedAtMs: started ? Date.parse(started) : atMs,
          disk: disks && worker?.pod ? await this.#disks.of(this.#places(worker.pod), maxAgeOf(worker.pod)) : undefined,
          container: (id) => this.#options.cache.container(id),
          containerStart: ({ containerId }) => this.#options.cache.container(containerId)?.startedAtMs || undefined,
        };
      }),
    );
    this.#disks.keepOnly(new Set(usages.map((each) => each.uid)));
    return { nodeName, cpus, atMs, node: this.#node.read(atMs), imageFs, pods };
  }

  /** What claims of pods use, counted not longer than a minute ago. */
  async claims(): Promise<{ namespace: string; volume: VolumeUsage }[]> {
    const found = await Promise.all(
      this.#options.pods.all().map(async ({ pod, isActive }) => {
        if (!pod || !isActive || !(pod.spec?.volumes ?? []).some((each) => claimNameOf(pod, each))) return [];
        const { volumes } = await this.#disks.of(this.#places(pod), maxAgeOf(pod));
        const namespace = pod.metadata.namespace ?? '';
        return volumes.filter((each) => each.pvcName !== undefined).map((volume) => ({ namespace, volume }));
      }),
    );
    return found.flat();
  }

  /** The machine alone. */
  node(): NodeUsage {
    return this.#node.read(this.#options.clock.now());
  }

  /** The filesystem of images, by where the runtime last said that they are; asks it for next time when it never has. */
  imageFsNow(): FsUsage | undefined {
    if (this.#imagePath === undefined) {
      if (!this.#isAsking) void this.imageFs().finally(() => (this.#isAsking = false));
      this.#isAsking = true;
      return undefined;
    }
    try {
      return fsUsage(this.#imagePath);
    } catch {
      return undefined;
    }
  }

  /** The filesystem that images and writable layers are on; undefined when the runtime does not say. */
  async imageFs(): Promise<UsageReading['imageFs']> {
    try {
      const { imageFilesystems = [] } = await this.#options.cri.call('ImageFsInfo', {}, { timeoutMs: 10_000 });
      const [first] = imageFilesystems;
      const mountpoint = first?.fsId?.mountpoint;
      if (!mountpoint) return undefined;
      this.#imagePath = mountpoint;
      return {
        fs: fsUsage(mountpoint),
        usedBytes: first.usedBytes?.value ?? 0,
        inodesUsed: first.inodesUsed?.value ?? 0,
      };
    } catch {
      return undefined;
    }
  }

  #places(pod: NonNullable<PodReading['pod']>) {
    const { uid = '', name = '', namespace = '' } = pod.metadata;
    return {
      pod,
      volumePath: (volume: Parameters<Volumes['pathOf']>[1]) => this.#options.volumes.pathOf(pod, volume),
      driverUsage: (volume: Parameters<Volumes['driverUsage']>[1]) => this.#options.volumes.driverUsage(pod, volume),
      logDirectory: podLogDirectory({ uid, name, namespace }, this.#options.podLogsDir),
    };
  }
}
