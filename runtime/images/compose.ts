// Making images out of parts: layers given as tar streams, stacked on a base, with a config.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { ImageRecord } from './catalog.ts';
import type { Images } from './images.ts';
import { type Descriptor, type ImageConfig, type Manifest, mediaTypes, type RunConfig } from './oci.ts';

export interface StoredLayer {
  descriptor: Descriptor;
  diffId: string;
}

/** Stores a tar as a gzip layer. The same tar gives the same blob (gzip without name and time). */
export async function storeLayer(images: Images, tar: AsyncIterable<Uint8Array>): Promise<StoredLayer> {
  const hash = createHash('sha256');
  const source = Readable.from(
    (async function* () {
      for await (const chunk of tar) {
        hash.update(chunk);
        yield chunk;
      }
    })(),
  );
  const gzip = source.pipe(createGzip({ level: 1 }));
  source.on('error', (error) => gzip.destroy(error));
  const stored = await images.content.put(gzip as AsyncIterable<Uint8Array>);
  return {
    descriptor: { mediaType: mediaTypes.ociLayerGzip, ...stored },
    diffId: `sha256:${hash.digest('hex')}`,
  };
}

export interface ComposedImage {
  layers: readonly StoredLayer[];
  run: RunConfig;
  history: NonNullable<ImageConfig['history']>;
  author?: string | undefined;
}

/** Writes config and manifest and admits the image under `names`. No time of day gets into it. */
export async function composeImage(
  images: Images,
  parts: ComposedImage,
  names: readonly string[],
): Promise<ImageRecord> {
  const { os, architecture, variant } = images.platform;
  const config: ImageConfig = {
    created: '1970-01-01T00:00:00Z',
    ...(parts.author && { author: parts.author }),
    architecture,
    os,
    ...(variant ? { variant } : {}),
    config: parts.run,
    rootfs: { type: 'layers', diff_ids: parts.layers.map((layer) => layer.diffId) },
    history: parts.history,
  };
  const configBlob = images.content.putBytes(Buffer.from(JSON.stringify(config)));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, ...configBlob },
    layers: parts.layers.map((layer) => layer.descriptor),
  };
  const blob = images.content.putBytes(Buffer.from(JSON.stringify(manifest)));
  return images.admit({ mediaType: mediaTypes.ociManifest, ...blob }, names);
}
