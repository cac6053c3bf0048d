// How much disk a directory takes, counted file by file, off the event loop's way; and what a pod's directories take, kept for a
// minute, since counting costs.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod, Volume } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DriverUsage } from '../volumes/csi/rules.ts';
import { type FsUsage, fsUsage } from './node-usage.ts';

export interface DiskUsage {
  bytes: number;
  inodes: number;
}

/** Of everything below `root` on its filesystem, itself included; what vanishes meanwhile is not counted. */
export async function diskUsage(root: string): Promise<DiskUsage> {
  const usage = { bytes: 0, inodes: 0 };
  const first = await lstat(root).catch(() => undefined);
  if (!first) return usage;
  usage.bytes += first.blocks * 512;
  usage.inodes++;
  if (!first.isDirectory()) return usage;
  const linked = new Set<number>();
  const open = [root];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    const entries = await readdir(directory).catch(() => [] as string[]);
    for (const name of entries) {
      const path = join(directory, name);
      const found = await lstat(path).catch(() => undefined);
      if (!found || found.dev !== first.dev) continue;
      if (found.nlink > 1 && !found.isDirectory()) {
        if (linked.has(found.ino)) continue;
        linked.add(found.ino);
      }
      usage.bytes += found.blocks * 512;
      usage.inodes++;
      if (found.isDirectory()) open.push(path);
    }
  }
  return usage;
}

export interface VolumeUsage {
  name: string;
  pvcName: string | undefined;
  usedBytes: number;
  inodesUsed: number;
  fs: FsUsage | undefined;
  /** Counts for the pod's ephemeral storage. */
  isEphemeral: boolean;
  /** As its driver says; undefined when it does not. */
  isAbnormal?: boolean;
}

export interface PodDiskUsage {
  atMs: number;
  volumes: VolumeUsage[];
  /** By container name. */
  logs: ReadonlyMap<string, DiskUsage>;
}

/** Where a pod keeps what is counted; undefined paths are not set up. */
export interface PodPlaces {
  pod: Pod;
  volumePath(volume: Volume): string | undefined;
  /** Of a volume whose driver counts; undefined for all others. It may say nothing. */
  driverUsage(volume: Volume): Promise<DriverUsage | undefined> | undefined;
  logDirectory: string;
}

const MAX_AGE_MS = 60_000;

export class PodDiskUsages {
  #clock: Clock;
  #known = new Map<string, { usage: PodDiskUsage; countedMs: number }>();
  #reading = new Map<string, Promise<PodDiskUsage>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Not older than `maxAgeMs`; one count at a time per pod. */
  async of(places: PodPlaces, maxAgeMs = MAX_AGE_MS): Promise<PodDiskUsage> {
    const uid = places.pod.metadata.uid ?? '';
    const known = this.#known.get(uid);
    if (known && this.#clock.monotonic() - known.countedMs < maxAgeMs) return known.usage;
    let reading = this.#reading.get(uid);
    if (!reading) {
      const countedMs = this.#clock.monotonic();
      reading = countPod(places, this.#clock.now())
        .then((usage) => {
          this.#known.set(uid, { usage, countedMs });
          return usage;
        })
        .finally(() => this.#reading.delete(uid));
      this.#reading.set(uid, reading);
    }
    return reading;
  }

  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of this.#known.keys()) if (!uids.has(uid)) this.#known.delete(uid);
  }
}

/** Volumes whose use is counted: the pod's own, and claims. A hostPath is the host's. */
const isCounted = (volume: Volume) => !volume.hostPath && !volume.image;

async function countPod(
  { pod, volumePath, driverUsage, logDirectory }: PodPlaces,
  atMs: number,
): Promise<PodDiskUsage> {
  const volumes: VolumeUsage[] = [];
  for (const volume of pod.spec?.volumes ?? []) {
    const path = isCounted(volume) ? volumePath(volume) : undefined;
    if (path === undefined) continue;
    const pvcName =
      volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral && `${pod.metadata.name}-${volume.name}`);
    const told = driverUsage(volume);
    if (told) {
      // A driver that does not count, or fails to: nobody else may walk its volume.
      const usage = await told.catch(() => undefined);
      if (usage) {
        const { fs, inodesUsed, isAbnormal } = usage;
        const abnormal = isAbnormal === undefined ? {} : { isAbnormal };
        const { usedBytes } = fs;
        volumes.push({ name: volume.name, pvcName, usedBytes, inodesUsed, fs, isEphemeral: false, ...abnormal });
      }
      continue;
    }
    const { bytes, inodes } = await diskUsage(path);
    volumes.push({
      name: volume.name,
      pvcName,
      usedBytes: bytes,
      inodesUsed: inodes,
      fs: safeFsUsage(path),
      isEphemeral: pvcName === undefined && volume.emptyDir?.medium !== 'Memory' && !volume.nfs && !volume.csi,
    });
  }
  const logs = new Map<string, DiskUsage>();
  for (const name of await readdir(logDirectory).catch(() => [] as string[])) {
    logs.set(name, await diskUsage(join(logDirectory, name)));
  }
  return { atMs, volumes, logs };
}

function safeFsUsage(path: string): FsUsage | undefined {
  try {
    return fsUsage(path);
  } catch {
    return undefined;
  }
}
