// Which images there are: id (the config's digest), names that point to it, sizes, user. One JSON file, replaced
// atomically; every change is one synchronous transaction. Blobs and snapshots that nothing refers to are garbage.
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../../lib/files.ts';
import { isDigest } from './digest.ts';
import { ImageError } from './errors.ts';
import { formatImageName, normaliseName, parseImageName, repositoryOf } from './name.ts';
import type { Descriptor, ImageConfig, RunConfig } from './oci.ts';

export interface ImageRecord {
  /** Digest of the config blob. */
  id: string;
  manifest: Descriptor;
  config: Descriptor;
  layers: Descriptor[];
  /** Digests of the unpacked layers, lowest first. */
  diffIds: string[];
  /** Normalised `repository:tag`. */
  repoTags: string[];
  /** `repository@digest` of the manifest or index it was pulled by. */
  repoDigests: string[];
  /** Bytes of config and layers as stored. */
  size: number;
  run: RunConfig;
  architecture: string;
  os: string;
}

export class Catalog {
  #path: string;
  #images: Map<string, ImageRecord>;

  /** A file that cannot be read any more is set aside as `<path>.damaged` and told to `onDamage`: images come again when they are pulled. */
  constructor(path: string, onDamage: (error: unknown) => void = () => {}) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    let text = '{"images":[]}';
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    try {
      const { images } = JSON.parse(text) as { images: ImageRecord[] };
      this.#images = new Map(images.map((image) => [image.id, image]));
    } catch (error) {
      renameSync(path, `${path}.damaged`);
      onDamage(error);
      this.#images = new Map();
    }
  }

  list(): ImageRecord[] {
    return [...this.#images.values()];
  }

  /** By id, `sha256:` id, unambiguous id prefix of 4 characters or more, tag or digest reference. */
  find(reference: string): ImageRecord | undefined {
    const id = isDigest(reference) ? reference : `sha256:${reference}`;
    const exact = this.#images.get(id);
    if (exact) return exact;
    const name = normaliseName(reference);
    if (name !== undefined) {
      for (const image of this.#images.values()) {
        if (image.repoTags.includes(name) || image.repoDigests.includes(name)) return image;
      }
    }
    const prefix = reference.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{4,63}$/.test(prefix)) return undefined;
    const matches = this.list().filter((image) => image.id.startsWith(`sha256:${prefix}`));
    return matches.length === 1 ? matches[0] : undefined;
  }

  /** Adds an image, or names to one that is there; a tag moves away from the image that had it. */
  add(image: ImageRecord, names: readonly string[], digest?: string): ImageRecord {
    const tags: string[] = [];
    const digests: string[] = [];
    for (const text of names) {
      const name = parseImageName(text);
      if (name.digest !== undefined) digests.push(formatImageName(name));
      else tags.push(formatImageName(name));
      if (digest !== undefined) digests.push(`${repositoryOf(name)}@${digest}`);
    }
    const old = this.#images.get(image.id);
    const next = new Map(this.#images);
    for (const [id, other] of next) {
      const kept = other.repoTags.filter((tag) => !tags.includes(tag));
      if (kept.length !== other.repoTags.length) next.set(id, { ...other, repoTags: kept });
    }
    const current = next.get(image.id);
    const merged: ImageRecord = {
      ...(old ?? image),
      repoTags: [...new Set([...(current?.repoTags ?? []), ...tags])],
      repoDigests: [...new Set([...(current?.repoDigests ?? []), ...digests])],
    };
    next.set(image.id, merged);
    this.#save(next);
    return merged;
  }

  tag(reference: string, name: string): ImageRecord {
    const image = this.find(reference);
    if (!image) throw new ImageError('not-found', `image "${reference}" not found`);
    return this.add(image, [name]);
  }

  /** Removes the image with all its names. */
  remove(id: string): void {
    const next = new Map(this.#images);
    if (next.delete(id)) this.#save(next);
  }

  /** Removes one name; the image goes too when that was its last tag. Returns whether the image is gone. */
  untag(reference: string): { removed: boolean } {
    const image = this.find(reference);
    if (!image) return { removed: false };
    const name = normaliseName(reference);
    const named = name !== undefined && (image.repoTags.includes(name) || image.repoDigests.includes(name));
    const repoTags = image.repoTags.filter((tag) => tag !== name);
    if (!named || repoTags.length === 0) {
      this.remove(image.id);
      return { removed: true };
    }
    const repositories = new Set(repoTags.map((tag) => repositoryOf(parseImageName(tag))));
    const repoDigests = image.repoDigests.filter((d) => repositories.has(d.slice(0, d.indexOf('@'))));
    this.#save(new Map(this.#images).set(image.id, { ...image, repoTags, repoDigests }));
    return { removed: false };
  }

  #save(next: Map<string, ImageRecord>): void {
    writeFileAtomic(this.#path, JSON.stringify({ images: [...next.values()] }));
    this.#images = next;
  }
}

/** The record of an image whose manifest and config are known; throws ImageError when they do not belong together. */
export function imageRecord(
  manifest: Descriptor,
  parts: { config: Descriptor; layers: Descriptor[] },
  config: ImageConfig,
): ImageRecord {
  const diffIds = config.rootfs?.diff_ids ?? [];
  if (diffIds.length !== parts.layers.length) {
    throw new ImageError(
      'invalid',
      `image ${manifest.digest} has ${parts.layers.length} layers, its config lists ${diffIds.length}`,
    );
  }
  return {
    id: parts.config.digest,
    manifest,
    config: parts.config,
    layers: parts.layers,
    diffIds,
    repoTags: [],
    repoDigests: [],
    size: parts.layers.reduce((sum, layer) => sum + layer.size, parts.config.size),
    run: config.config ?? {},
    architecture: config.architecture,
    os: config.os,
  };
}
