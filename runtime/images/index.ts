// What the runtime's other parts and its admin service use of images.
export { buildImage } from './build/build.ts';
export type { ImageRecord } from './catalog.ts';
export { ImageError, messageOf } from './errors.ts';
export { exportArchive } from './export-archive.ts';
export { Images, type OnProgress, type Progress } from './images.ts';
export { importArchive } from './import-archive.ts';
export { formatImageName, normaliseName, parseImageName } from './name.ts';
export { platformOf } from './oci.ts';
export { pullImage } from './registry/pull.ts';
export { pushImage } from './registry/push.ts';
