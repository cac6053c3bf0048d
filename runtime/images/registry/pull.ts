// Pull: name → manifest (through an index by platform) → config and layers, three at a time, every blob verified.
import { Readable } from 'node:stream';
import type { ImageRecord } from '../catalog.ts';
import { digestOf } from '../digest.ts';
import { ImageError } from '../errors.ts';
import type { Images, OnProgress } from '../images.ts';
import { formatImageName, parseImageName } from '../name.ts';
import { choosePlatform, type Descriptor, type Index, type Manifest, mediaTypes } from '../oci.ts';
import { Registry, type RegistryOptions } from './client.ts';

const manifestTypes = [mediaTypes.ociIndex, mediaTypes.dockerList, mediaTypes.ociManifest, mediaTypes.dockerManifest];
const parallel = 3;
const blobAttempts = 3;
const maxManifestBytes = 4 << 20;

export interface PullOptions extends RegistryOptions {
  onProgress?: OnProgress;
}

/** Pulls and unpacks; what is already here is not fetched again. */
export async function pullImage(images: Images, reference: string, options: PullOptions): Promise<ImageRecord> {
  const name = parseImageName(reference);
  const registry = new Registry(name.registry, name.path, options);
  return images.exclusiveOfGc(async () => {
    const top = await fetchManifest(images, registry, name.digest ?? name.tag ?? 'latest', name.digest);
    let manifest = top;
    if (manifest.mediaType === mediaTypes.ociIndex || manifest.mediaType === mediaTypes.dockerList) {
      const chosen = choosePlatform(images.content.readJson<Index>(manifest.digest), images.platform);
      if (!chosen) {
        const { os, architecture } = images.platform;
        throw new ImageError(
          'unsupported',
          `no match for platform ${os}/${architecture} in the manifest of ${reference}`,
        );
      }
      manifest = await fetchManifest(images, registry, chosen.digest, chosen.digest);
    }
    const parts = images.content.readJson<Manifest>(manifest.digest);
    if (!parts.config?.digest || !Array.isArray(parts.layers)) {
      throw new ImageError(
        'unsupported',
        `${reference}: manifest ${manifest.digest} (${manifest.mediaType}) is not an image`,
      );
    }
    const layers = parts.layers.filter((layer, i, all) => all.findIndex((l) => l.digest === layer.digest) === i);
    const admit = () =>
      images.admit(manifest, [formatImageName(name)], { digest: top.digest, onProgress: options.onProgress });
    images.content.intact(parts.config.digest);
    await fetchBlobs(images, registry, [parts.config, ...layers], options.onProgress);
    try {
      return await admit();
    } catch (error) {
      // A layer that was here already may have been damaged by the disk since. What comes from the registry is checked on its way.
      if (!(error instanceof ImageError)) throw error;
      const damaged = await Promise.all(layers.map(({ digest }) => images.content.removeDamaged(digest)));
      if (!damaged.includes(true)) throw error;
      await fetchBlobs(images, registry, layers, options.onProgress);
      return admit();
    }
  });
}

async function fetchBlobs(
  images: Images,
  registry: Registry,
  blobs: readonly Descriptor[],
  onProgress: OnProgress | undefined,
): Promise<void> {
  const queue = [...blobs];
  const lanes = Array.from({ length: parallel }, async () => {
    for (let blob = queue.shift(); blob; blob = queue.shift()) await fetchBlob(images, registry, blob, onProgress);
  });
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected');
  if (failed) throw failed.reason;
}

async function fetchManifest(
  images: Images,
  registry: Registry,
  which: string,
  digest: string | undefined,
): Promise<Descriptor> {
  const known = digest === undefined ? undefined : images.content.intact(digest);
  if (known && digest !== undefined) return { mediaType: mediaTypeOf(known, undefined), digest, size: known.length };
  const response = await registry.request(`manifests/${which}`, {
    headers: { accept: manifestTypes.join(', ') },
    scope: 'pull',
    accept: [200],
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (bytes.length > maxManifestBytes)
    throw new ImageError('invalid', `manifest ${which} is larger than ${maxManifestBytes} bytes`);
  const announced = digest ?? response.headers.get('docker-content-digest') ?? digestOf(bytes);
  const stored = images.content.putBytes(bytes, announced.startsWith('sha256:') ? { digest: announced } : {});
  return { mediaType: mediaTypeOf(bytes, response.headers.get('content-type') ?? undefined), ...stored };
}

/** What the document says of itself wins over the header. */
function mediaTypeOf(bytes: Buffer, header: string | undefined): string {
  let document: { mediaType?: string; manifests?: unknown; schemaVersion?: number };
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ImageError('invalid', 'the manifest is not JSON', { cause: error });
  }
  if (document.schemaVersion === 1)
    throw new ImageError('unsupported', 'manifests of schema version 1 are not supported');
  if (typeof document.mediaType === 'string') return document.mediaType;
  const type = header?.split(';')[0]?.trim();
  if (type && (manifestTypes as string[]).includes(type)) return type;
  return Array.isArray(document.manifests) ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

async function fetchBlob(
  images: Images,
  registry: Registry,
  blob: Descriptor,
  onProgress: OnProgress | undefined,
): Promise<void> {
  const what = `blob ${blob.digest}`;
  if (images.content.fits(blob)) {
    onProgress?.({ what, doneBytes: blob.size, totalBytes: blob.size });
    return;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      let doneBytes = 0;
      await images.content.resume(
        blob,
        (offset) => openBlob(registry, blob, offset),
        (count) => {
          doneBytes += count;
          onProgress?.({ what, doneBytes, totalBytes: blob.size });
        },
      );
      return;
    } catch (error) {
      // A connection that breaks in the middle is worth another try, from where it broke; content that is wrong is wrong again.
      const broken = !(error instanceof ImageError) || (error.kind === 'corrupt' && /truncated/.test(error.message));
      if (!broken || attempt >= blobAttempts) {
        if (error instanceof ImageError) throw error;
        throw new ImageError('unavailable', `${what}: the transfer broke off`, { cause: error });
      }
    }
  }
}

/** Registries may ignore a range (RFC 9110, 14.2): then the answer starts at 0. */
async function openBlob(registry: Registry, blob: Descriptor, offset: number) {
  const response = await registry.request(`blobs/${blob.digest}`, {
    headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
    scope: 'pull',
    accept: [200, 206],
  });
  const starts = new RegExp(`^bytes ${offset}-`).test(response.headers.get('content-range') ?? '');
  const isRest = response.status === 206 && starts;
  if (response.status === 206 && !isRest) {
    await response.body?.cancel();
    throw new ImageError('unavailable', `blob ${blob.digest}: the registry answered another range than was asked for`);
  }
  const body = response.body
    ? Readable.fromWeb(response.body as import('node:stream/web').ReadableStream)
    : Readable.from([]);
  return { offset: isRest ? offset : 0, body };
}
