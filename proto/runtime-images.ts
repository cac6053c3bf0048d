// The runtime's image service, and its messages as types (camelCase names).
import { fileURLToPath } from 'node:url';
import { readProtoFile } from '../lib/grpc/proto-file.ts';

/** Served on the same socket as CRI. */
export const RuntimeImages = readProtoFile(
  fileURLToPath(new URL('./sampan-runtime-v1.proto', import.meta.url)),
).service('Images');

/** A password, or one of the tokens that registries hand out. */
export interface Login {
  username?: string;
  password?: string;
  identityToken?: string;
  registryToken?: string;
}

/** Method name to its request; every one streams ImageProgress. */
export interface RuntimeImagesMethods {
  Import: { path: string; name?: string; rootfs?: boolean; changes?: string[] };
  Export: { images: string[]; path: string };
  Build: {
    contextDirectory: string;
    dockerfile?: string;
    tags: string[];
    buildArgs?: Record<string, string>;
    noCache?: boolean;
    target?: string;
  };
  Pull: { image: string; login?: Login | null };
  Push: { image: string; as?: string; login?: Login | null };
  Tag: { image: string; name: string };
  Untag: { image: string };
  Inspect: { image: string };
  Commit: { container: string; name: string; author?: string; message?: string; changes?: string[] };
  Collect: Record<string, never>;
}

export interface ImageProgress {
  what?: string;
  doneBytes?: number;
  totalBytes?: number;
  output?: string;
  /** Set in the last message. */
  result?: ImageResult | null;
}

export interface ImageResult {
  ids?: string[];
  names?: string[];
  digest?: string;
  removedBlobs?: number;
  removedLayers?: number;
  /** JSON: an ImageDocument. */
  document?: string;
}
