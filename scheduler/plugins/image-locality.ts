// Nodes that have the pod's images already are preferred: by size, and less for images that only few nodes have, so that
// the first node with an image does not draw every pod.
import type { ScorePlugin } from '../framework.ts';
import { asIs } from '../normalize.ts';

const MB = 1024 * 1024;
/** Below this an image is pulled as quickly as not; above, a container's images are as good as can be. */
const MIN_BYTES = 23 * MB;
const MAX_BYTES_PER_CONTAINER = 1000 * MB;

interface ScoreState {
  /** What having each image is worth, in bytes. */
  worth: ReadonlyMap<string, number>;
  images: readonly string[];
  maxBytes: number;
}

/** As nodes report it: with a tag. */
const withTag = (image: string) => (image.lastIndexOf(':') <= image.lastIndexOf('/') ? `${image}:latest` : image);

export const imageLocality: ScorePlugin<ScoreState> = {
  name: 'ImageLocality',
  weight: 1,
  prepare(pod, cluster) {
    const containers = [...(pod.pod.spec?.initContainers ?? []), ...(pod.pod.spec?.containers ?? [])];
    const worth = new Map<string, number>();
    const images: string[] = [];
    for (const { image } of containers) {
      const name = withTag(image ?? '');
      const known = cluster.image(name);
      if (!known) continue;
      images.push(name);
      worth.set(name, known.bytes * (known.nodes / cluster.nodes.length));
    }
    return images.length > 0 ? { worth, images, maxBytes: MAX_BYTES_PER_CONTAINER * containers.length } : undefined;
  },
  score({ worth, images, maxBytes }, node) {
    let sum = 0;
    for (const each of images) if (node.images.has(each)) sum += worth.get(each) ?? 0;
    return ((Math.min(maxBytes, Math.max(MIN_BYTES, sum)) - MIN_BYTES) * 100) / (maxBytes - MIN_BYTES);
  },
  normalize: asIs,
};
