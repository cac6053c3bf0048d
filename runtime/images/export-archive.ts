// Export of images as an OCI image layout in a tar, readable by docker, podman, skopeo and ourselves.
import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { tarEnd, tarHeader, tarPadding } from '../snapshots/tar.ts';
import { parseDigest } from './digest.ts';
import { ImageError } from './errors.ts';
import type { Images } from './images.ts';
import { type Index, mediaTypes } from './oci.ts';
import { parseImageName } from './name.ts';

/** Writes the images to a tar at `path`, whole or not at all. */
export async function exportArchive(images: Images, references: readonly string[], path: string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await images.exclusiveOfGc(() =>
      pipeline(Readable.from(layoutTar(images, references)), createWriteStream(temporary, { mode: 0o644 })),
    );
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

async function* layoutTar(images: Images, references: readonly string[]): AsyncGenerator<Buffer, void, undefined> {
  const index: Index & { mediaType: string } = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] };
  const blobs = new Set<string>();
  for (const reference of references) {
    const image = images.catalog.find(reference);
    if (!image) throw new ImageError('not-found', `image "${reference}" not found`);
    for (const part of [image.manifest, image.config, ...image.layers]) blobs.add(part.digest);
    for (const tag of image.repoTags.length > 0 ? image.repoTags : [undefined]) {
      const annotations = tag && {
        'io.containerd.image.name': tag,
        'org.opencontainers.image.ref.name': parseImageName(tag).tag ?? 'latest',
      };
      const { mediaType, digest, size } = image.manifest;
      index.manifests.push({ mediaType, digest, size, ...(annotations ? { annotations } : {}) });
    }
  }
  yield* file('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  yield* file('index.json', Buffer.from(JSON.stringify(index)));
  for (const digest of [...blobs].sort()) {
    const { algorithm, hex } = parseDigest(digest);
    const size = images.content.size(digest);
    yield tarHeader({ name: `blobs/${algorithm}/${hex}`, type: 'file', mode: 0o644, size });
    for await (const chunk of images.content.stream(digest)) yield chunk as Buffer;
    yield tarPadding(size);
  }
  yield tarEnd;
}

function* file(name: string, content: Buffer): Generator<Buffer> {
  yield tarHeader({ name, type: 'file', mode: 0o644, size: content.length });
  yield content;
  yield tarPadding(content.length);
}
