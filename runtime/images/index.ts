// What the runtime's other parts and its admin service use of images.
import type { buildImage as BuildImage } from './build/build.ts';

/** Builds are rare and their parser is large: it is loaded by the first one. */
export const buildImage: typeof BuildImage = async (...args) => (await import('./build/build.ts')).buildImage(...args);

export type { ImageRecord } from './catalog.ts';
export { ImageError, messageOf } from './errors.ts';
export { exportArchive } from './export-archive.ts';
export { Images, type OnProgress, type Progress } from './images.ts';
export { importArchive } from './import-archive.ts';
export { formatImageName, normaliseName, parseImageName } from './name.ts';
export { platformOf } from './oci.ts';
export { pullImage } from './registry/pull.ts';
export { pushImage } from './registry/push.ts';
