// A container's changes as an image of their own: what it wrote, on top of the image it was made of.
import { configure, type Configured } from './build/configure.ts';
import { parseDockerfile } from './build/dockerfile.ts';
import { composeImage, type StoredLayer, storeLayer } from './compose.ts';
import type { ImageRecord } from './catalog.ts';
import { ImageError } from './errors.ts';
import type { Images } from './images.ts';
import type { ImageConfig } from './oci.ts';
import type { IdShift } from '../snapshots/shift.ts';

export interface CommitOptions {
  /** Of the container, whose image may have lost its name. */
  imageId: string;
  /** The writable directory of the container. */
  snapshotId: string;
  /** Paths that the runtime made there, relative: not the container's doing. */
  omit: ReadonlySet<string>;
  /** From the owners on disk to those the container sees, where they differ. */
  owners?: IdShift | undefined;
  names: readonly string[];
  author?: string;
  message?: string;
  /** Dockerfile instructions that only say how to run it: `CMD ["x"]`, `ENV a=b`. */
  changes: readonly string[];
}

/** Throws ImageError. What the container writes meanwhile may be in the image or not. */
export async function commitContainer(images: Images, options: CommitOptions): Promise<ImageRecord> {
  const base = images.catalog.find(options.imageId);
  if (!base) throw new ImageError('not-found', `the container's image ${options.imageId} is not here any more`);
  const configured = changed({ run: structuredClone(base.run), hasCmd: false }, options.changes);
  return images.exclusiveOfGc(async () => {
    const { history = [] } = images.content.readJson<ImageConfig>(base.config.digest);
    const below: StoredLayer[] = base.layers.map((descriptor, i) => ({
      descriptor,
      diffId: base.diffIds[i] as string,
    }));
    const layer = await storeLayer(images, images.snapshots.diff(options.snapshotId, 0, options.omit, options.owners));
    const note = { created_by: 'commit', ...(options.message && { comment: options.message }) };
    return composeImage(
      images,
      { layers: [...below, layer], run: configured.run, history: [...history, note], author: options.author },
      options.names,
    );
  });
}

function changed(before: Configured, changes: readonly string[]): Configured {
  let configured = before;
  for (const change of changes) {
    for (const step of parseDockerfile(`FROM scratch\n${change}`).stages[0]?.steps ?? []) {
      if (step.kind === 'copy' || step.kind === 'run' || step.kind === 'arg') {
        throw new ImageError('invalid', `"${change}": a commit takes instructions that say how to run an image`);
      }
      if (step.kind === 'workdir') configured = { ...configured, run: { ...configured.run, WorkingDir: step.value } };
      else configured = configure(configured, step, (text) => text);
    }
  }
  return configured;
}

/** Makes an image of a plain root file system in a tar. */
export async function importRootfs(
  images: Images,
  tar: AsyncIterable<Uint8Array>,
  options: { names: readonly string[]; changes: readonly string[] },
): Promise<ImageRecord> {
  const { run } = changed({ run: {}, hasCmd: false }, options.changes);
  return images.exclusiveOfGc(async () => {
    const layer = await storeLayer(images, tar);
    return composeImage(images, { layers: [layer], run, history: [{ created_by: 'import' }] }, options.names);
  });
}
