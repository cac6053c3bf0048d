// What an image is made of, for a person: its configuration, layers and history. Pure but for the config it reads.
import type { ImageRecord } from './catalog.ts';
import { ImageError } from './errors.ts';
import type { Images } from './images.ts';
import type { ImageConfig } from './oci.ts';

export interface ImageDocument {
  id: string;
  repoTags: string[];
  repoDigests: string[];
  created?: string;
  author?: string;
  architecture: string;
  os: string;
  /** Bytes as stored. */
  size: number;
  config: ImageRecord['run'];
  manifest: { digest: string; mediaType: string };
  /** Lowest first. */
  layers: { digest: string; diffId: string; mediaType: string; size: number }[];
  /** Oldest first. */
  history: { createdBy: string; comment?: string; created?: string; size: number }[];
}

/** Throws ImageError when there is none. */
export function inspectImage(images: Images, reference: string): ImageDocument {
  const image = images.catalog.find(reference);
  if (!image) throw new ImageError('not-found', `image "${reference}" not found`);
  const config = images.content.readJson<ImageConfig>(image.config.digest);
  const layers = image.layers.map(({ digest, mediaType, size }, i) => ({
    digest,
    diffId: image.diffIds[i] as string,
    mediaType,
    size,
  }));
  let next = 0;
  const history = (config.history ?? []).map(
    ({ created_by: createdBy = '', comment, created, empty_layer: isEmpty }) => ({
      createdBy,
      ...(comment && { comment }),
      ...(created && { created }),
      size: isEmpty ? 0 : (layers[next++]?.size ?? 0),
    }),
  );
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    ...(config.created && { created: config.created }),
    ...(config.author && { author: config.author }),
    architecture: image.architecture,
    os: image.os,
    size: image.size,
    config: image.run,
    manifest: { digest: image.manifest.digest, mediaType: image.manifest.mediaType },
    layers,
    history,
  };
}
