// Push: blobs the registry does not have (one upload each, in one piece), then the manifest under the tag.
import { Readable } from 'node:stream';
import { ImageError } from '../errors.ts';
import type { Images, OnProgress } from '../images.ts';
import { parseImageName } from '../name.ts';
import type { Descriptor } from '../oci.ts';
import { Registry, type RegistryOptions } from './client.ts';

export interface PushOptions extends RegistryOptions {
  /** The name to push under; default: `reference` itself. */
  as?: string;
  onProgress?: OnProgress;
}

/** Returns the digest of the pushed manifest. */
export async function pushImage(images: Images, reference: string, options: PushOptions): Promise<string> {
  const image = images.catalog.find(reference);
  if (!image) throw new ImageError('not-found', `image "${reference}" not found`);
  const name = parseImageName(options.as ?? reference);
  const registry = new Registry(name.registry, name.path, options);
  return images.exclusiveOfGc(async () => {
    for (const blob of [...image.layers, image.config]) await pushBlob(images, registry, blob, options.onProgress);
    const bytes = images.content.read(image.manifest.digest);
    await registry.request(`manifests/${name.tag ?? image.manifest.digest}`, {
      method: 'PUT',
      headers: { 'content-type': image.manifest.mediaType },
      body: bytes,
      scope: 'pull,push',
      accept: [200, 201],
    });
    return image.manifest.digest;
  });
}

async function pushBlob(
  images: Images,
  registry: Registry,
  blob: Descriptor,
  onProgress: OnProgress | undefined,
): Promise<void> {
  const what = `blob ${blob.digest}`;
  const head = await registry.request(`blobs/${blob.digest}`, {
    method: 'HEAD',
    scope: 'pull,push',
    accept: [200, 404],
  });
  if (head.status === 200) {
    onProgress?.({ what, doneBytes: blob.size, totalBytes: blob.size });
    return;
  }
  const started = await registry.request('blobs/uploads/', { method: 'POST', scope: 'pull,push', accept: [202] });
  await started.body?.cancel();
  const location = started.headers.get('location');
  if (location === null) throw new ImageError('unavailable', `${registry.base}: the upload got no location`);
  const target = new URL(location, registry.base);
  target.searchParams.set('digest', blob.digest);
  onProgress?.({ what, doneBytes: 0, totalBytes: blob.size });
  await registry.request(target.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
    body: () => Readable.toWeb(images.content.stream(blob.digest)) as ReadableStream<Uint8Array>,
    scope: 'pull,push',
    accept: [201],
  });
  onProgress?.({ what, doneBytes: blob.size, totalBytes: blob.size });
}
