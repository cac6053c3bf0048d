// Removes images that no container uses: when their disk is fuller than it should be, when they have not been used for too long, and all
// of them when the node runs short of disk. Order and words are upstream's (pkg/kubelet/images/image_gc_manager.go).
import type { EventRecorder } from '../../client/port.ts';
import type { KubeObject } from '../../api/object.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Image } from '../../proto/cri-types.ts';
import type { CriClient } from '../cri/client.ts';
import type { FsUsage } from '../stats/node-usage.ts';
import type { KubeletMetrics } from '../stats/metrics.ts';

export interface ImagePolicy {
  /** Collection begins at this share of the disk, in percent, and goes on down to the low one. */
  highPercent: number;
  lowPercent: number;
  minAgeMs: number;
  /** 0: images do not grow too old. */
  maxAgeMs: number;
}

export const DEFAULT_IMAGE_POLICY: ImagePolicy = { highPercent: 85, lowPercent: 80, minAgeMs: 2 * 60_000, maxAgeMs: 0 };

export interface KnownImage {
  id: string;
  sizeBytes: number;
  isPinned: boolean;
  detectedAtMs: number;
  /** 0: never seen in use. */
  lastUsedMs: number;
  inUse: boolean;
}

/** What may go, the longest unused first. Pure. */
export function evictable(images: readonly KnownImage[], minAgeMs: number, nowMs: number): KnownImage[] {
  return images
    .filter((each) => !each.inUse && !each.isPinned && nowMs - each.detectedAtMs >= minAgeMs)
    .sort((a, b) => a.lastUsedMs - b.lastUsedMs || a.detectedAtMs - b.detectedAtMs);
}

/** How many bytes are to be freed so that the disk is at the low mark; 0 below the high one. Pure. */
export function bytesToFree(
  { capacityBytes, availableBytes }: FsUsage,
  { highPercent, lowPercent }: ImagePolicy,
): number {
  if (capacityBytes === 0) return 0;
  const percent = 100 - Math.floor((availableBytes * 100) / capacityBytes);
  if (percent < highPercent) return 0;
  return Math.max(0, Math.ceil((capacityBytes * (100 - lowPercent)) / 100 - availableBytes));
}

export interface CollectorOptions {
  cri: CriClient;
  policy: ImagePolicy;
  /** The filesystem that images are on; undefined when nobody says. */
  imageFs(): Promise<FsUsage | undefined>;
  /** Ids of images that something besides containers uses. */
  inUse(): Iterable<string>;
  events: EventRecorder;
  node: KubeObject;
  metrics: KubeletMetrics;
  clock: Clock;
  log: Logger;
}

const PERIOD_MS = 5 * 60_000;

export class ImageCollector {
  #options: CollectorOptions;
  #seen = new Map<string, { detectedAtMs: number; lastUsedMs: number }>();

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (await sleep(clock, PERIOD_MS, signal)) {
      await this.collect().catch((err) => log.warn({ err }, 'cannot collect images'));
    }
  }

  /** One round by the policy. */
  async collect(): Promise<void> {
    const { policy, clock, events, node, imageFs } = this.#options;
    const images = await this.#images();
    const nowMs = clock.monotonic();
    if (policy.maxAgeMs > 0) {
      const old = evictable(images, policy.minAgeMs, nowMs).filter(
        (each) => nowMs - Math.max(each.lastUsedMs, each.detectedAtMs) > policy.maxAgeMs,
      );
      for (const image of old) await this.#remove(image, 'age');
    }
    const fs = await imageFs();
    if (!fs) return;
    const wanted = bytesToFree(fs, policy);
    if (wanted === 0) return;
    let freed = 0;
    for (const image of evictable(await this.#images(), policy.minAgeMs, nowMs)) {
      if (freed >= wanted) break;
      if (await this.#remove(image, 'space')) freed += image.sizeBytes;
    }
    if (freed >= wanted) return;
    const used = Math.floor(((fs.capacityBytes - fs.availableBytes) * 100) / fs.capacityBytes);
    events.event(
      node,
      'Warning',
      'FreeDiskSpaceFailed',
      `Failed to garbage collect required amount of images. Attempted to free ${wanted} bytes, but only found ${freed} bytes eligible to free.`,
    );
    this.#options.log.warn({ wanted, freed, used }, 'too few images could be removed');
  }

  /** Everything that no container uses, now. */
  async removeUnused(): Promise<void> {
    for (const image of evictable(await this.#images(), 0, this.#options.clock.monotonic()))
      await this.#remove(image, 'space');
  }

  async #images(): Promise<KnownImage[]> {
    const { cri, clock } = this.#options;
    const [{ images = [] }, { containers = [] }] = await Promise.all([
      cri.call('ListImages', {}),
      cri.call('ListContainers', {}),
    ]);
    const used = new Set<string | undefined>([
      ...containers.flatMap((each) => [each.imageRef, each.imageId, each.image?.image].filter(Boolean)),
      ...this.#options.inUse(),
    ]);
    const nowMs = clock.monotonic();
    const known = images.map((image) => this.#known(image, used, nowMs));
    const ids = new Set(known.map((each) => each.id));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    return known;
  }

  #known(image: Image, used: ReadonlySet<string | undefined>, nowMs: number): KnownImage {
    const id = image.id ?? '';
    const names = [id, ...(image.repoTags ?? []), ...(image.repoDigests ?? [])];
    const inUse = names.some((each) => used.has(each));
    let seen = this.#seen.get(id);
    if (!seen) this.#seen.set(id, (seen = { detectedAtMs: nowMs, lastUsedMs: 0 }));
    if (inUse) seen.lastUsedMs = nowMs;
    return { id, sizeBytes: image.size ?? 0, isPinned: image.pinned ?? false, inUse, ...seen };
  }

  async #remove(image: KnownImage, reason: 'age' | 'space'): Promise<boolean> {
    const { cri, metrics, log } = this.#options;
    try {
      await cri.call('RemoveImage', { image: { image: image.id } });
    } catch (err) {
      log.warn({ err, image: image.id }, 'cannot remove an image');
      return false;
    }
    metrics.imageCollections.add({ reason });
    log.info({ image: image.id, bytes: image.sizeBytes, reason }, 'removed an image that nothing uses');
    return true;
  }
}
