// Images as the rest of the runtime uses them: the catalog, the blobs behind it and the unpacked layers, kept
// consistent: an image is in the catalog only when all its blobs are there and all its layers are unpacked.
import { join } from 'node:path';
import type { Logger } from '../../lib/log.ts';
import { chainIds, Snapshots } from '../snapshots/snapshots.ts';
import type { RootfsView } from '../snapshots/view.ts';
import { Catalog, type ImageRecord, imageRecord } from './catalog.ts';
import { ContentStore } from './content.ts';
import { ImageError } from './errors.ts';
import { type Descriptor, type ImageConfig, type Manifest, type Platform } from './oci.ts';
import { packingOf, unpacked } from './packing.ts';

/** One step of long work, for a person to watch. */
export interface Progress {
  /** What is being done: `layer sha256:ab…`, `step 2/5 COPY . /app`. */
  what: string;
  /** Bytes so far and in all, where known. */
  doneBytes?: number;
  totalBytes?: number;
  /** Output of a build step. */
  output?: string;
}

export type OnProgress = (progress: Progress) => void;

export class Images {
  readonly content: ContentStore;
  readonly catalog: Catalog;
  readonly snapshots: Snapshots;
  readonly platform: Platform;
  /** The state directory. */
  readonly root: string;
  #log: Logger;
  #busy = 0;
  /** Images whose damage has been told. */
  #damaged = new Set<string>();

  /** Keeps `stateDir`/blobs, `stateDir`/images.json and `stateDir`/snapshots. */
  constructor(options: { stateDir: string; platform: Platform; log: Logger }) {
    this.root = options.stateDir;
    this.content = new ContentStore(join(options.stateDir, 'blobs'));
    this.catalog = new Catalog(join(options.stateDir, 'images.json'), (err) =>
      options.log.error({ err }, 'the list of images is damaged and was set aside: images have to be pulled again'),
    );
    this.snapshots = new Snapshots(join(options.stateDir, 'snapshots'));
    this.platform = options.platform;
    this.#log = options.log;
  }

  /** Runs `work` while nothing it has written yet is collected as garbage. */
  async exclusiveOfGc<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      this.#busy--;
    }
  }

  /**
   * Makes an image of a manifest whose blobs are all in the content store: checks it, unpacks its layers, adds it to
   * the catalog under `names`. `digest` is what the names' repository knows it by (manifest or index).
   */
  async admit(
    manifest: Descriptor,
    names: readonly string[],
    options: { digest?: string; onProgress?: OnProgress } = {},
  ): Promise<ImageRecord> {
    const parsed = this.content.readJson<Manifest>(manifest.digest);
    if (!parsed.config || !Array.isArray(parsed.layers)) {
      throw new ImageError('invalid', `manifest ${manifest.digest} has no config or layers`);
    }
    const config = this.content.readJson<ImageConfig>(parsed.config.digest);
    if (config.os !== undefined && config.os !== this.platform.os) {
      throw new ImageError('unsupported', `image ${manifest.digest} is for ${config.os}/${config.architecture}`);
    }
    const record = imageRecord(manifest, { config: parsed.config, layers: parsed.layers }, config);
    await this.unpack(record, options.onProgress);
    this.#damaged.delete(record.id);
    return this.catalog.add(record, names, options.digest);
  }

  /** Unpacks the layers that are not there yet, lowest first. */
  async unpack(image: Pick<ImageRecord, 'layers' | 'diffIds'>, onProgress?: OnProgress): Promise<void> {
    const chain = chainIds(image.diffIds);
    for (const [i, chainId] of chain.entries()) {
      if (this.snapshots.has(chainId)) continue;
      const layer = image.layers[i] as Descriptor;
      onProgress?.({ what: `unpack layer ${layer.digest}` });
      await this.snapshots.unpack(chainId, image.diffIds[i] as string, () => this.openLayer(layer.digest));
    }
  }

  /** The layer's tar, decompressed. */
  async *openLayer(digest: string): AsyncGenerator<Uint8Array, void, undefined> {
    const path = this.content.path(digest);
    const packing = packingOf(path);
    const known = packing === 'gzip' || packing === 'zstd' ? packing : 'none';
    try {
      yield* unpacked(path, known);
    } catch (error) {
      if (known === 'none') throw error;
      throw new ImageError('corrupt', `layer ${digest} does not decompress`, { cause: error });
    }
  }

  /** The image, if its layers are where they were unpacked: one that a disk has lost a part of is not there, and is pulled again. */
  whole(reference: string): ImageRecord | undefined {
    const found = this.catalog.find(reference);
    return found && this.isWhole(found) ? found : undefined;
  }

  isWhole(image: ImageRecord): boolean {
    const missing = chainIds(image.diffIds).find((chainId) => !this.snapshots.has(chainId));
    if (missing === undefined) return true;
    if (!this.#damaged.has(image.id)) {
      this.#damaged.add(image.id);
      const { id, repoTags } = image;
      this.#log.error({ image: id, names: repoTags, layer: missing }, 'an image is damaged: it has to be pulled again');
    }
    return false;
  }

  chain(image: Pick<ImageRecord, 'diffIds'>): string[] {
    return chainIds(image.diffIds);
  }

  view(image: Pick<ImageRecord, 'diffIds'>): RootfsView {
    return this.snapshots.view(this.chain(image));
  }

  /**
   * Removes blobs and layers that no image refers to. `inUse` are diff id stacks of images that are gone from the
   * catalog but still run. Does nothing while a pull, import or build is under way: the next call will.
   */
  async collect(inUse: readonly (readonly string[])[] = []): Promise<{ blobs: number; layers: number }> {
    if (this.#busy > 0 || this.snapshots.isUnpacking) return { blobs: 0, layers: 0 };
    const blobs = new Set<string>();
    const layers = new Set<string>();
    for (const image of this.catalog.list()) {
      for (const part of [image.manifest, image.config, ...image.layers]) blobs.add(part.digest);
      for (const digest of image.repoDigests) blobs.add(digest.slice(digest.indexOf('@') + 1));
      for (const id of chainIds(image.diffIds)) layers.add(id);
    }
    const standing = new Set(inUse.flatMap((diffIds) => chainIds(diffIds)));
    for (const id of standing) layers.add(id);
    this.content.removePartial();
    let removed = 0;
    for (const digest of this.content.list()) {
      if (blobs.has(digest)) continue;
      this.content.remove(digest);
      removed++;
    }
    const swept = await this.snapshots.sweep(layers, standing);
    if (removed + swept.length > 0) this.#log.info({ blobs: removed, layers: swept.length }, 'image garbage collected');
    return { blobs: removed, layers: swept.length };
  }
}
