// Import of images from disk: an OCI image layout (directory or tar) and `docker save` archives (tar). A tar may be
// gzip or zstd compressed. Everything is verified on its way into the content store.
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanPath } from '../snapshots/layer.ts';
import { runProgram } from '../snapshots/process.ts';
import { readTar, TarError } from '../snapshots/tar.ts';
import type { ImageRecord } from './catalog.ts';
import { parseDigest } from './digest.ts';
import { ImageError } from './errors.ts';
import type { Images, OnProgress } from './images.ts';
import { formatImageName, parseImageName } from './name.ts';
import {
  choosePlatform,
  compressionOf,
  type Descriptor,
  type ImageConfig,
  type Index,
  type Manifest,
  mediaTypes,
} from './oci.ts';
import { packingOf, unpacked } from './packing.ts';

export interface ImportOptions {
  /** Name for an archive that carries none (and only then), or for its only image. */
  name?: string;
  onProgress?: OnProgress;
}

/** Imports every image of the archive or layout at `path`; returns the records. */
export async function importArchive(images: Images, path: string, options: ImportOptions = {}): Promise<ImageRecord[]> {
  return images.exclusiveOfGc(async () => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) throw new ImageError('not-found', `no such file or directory: ${path}`);
    if (stats.isDirectory()) return importDirectory(images, path, options);
    const directory = mkdtempSync(join(tmpdir(), 'sampan-import-'));
    try {
      await unpackArchive(path, directory);
      return await importDirectory(images, directory, options);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

/** A tar on disk, unpacked where it is packed. */
export async function* readTarFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  if (!existsSync(path)) throw new ImageError('not-found', `no such file or directory: ${path}`);
  yield* unpacked(path, packingOf(path));
}

/** Checks the archive's entries (plain files and directories only, no way out of the root), then unpacks it. */
async function unpackArchive(path: string, directory: string): Promise<void> {
  const packing = packingOf(path);
  try {
    for await (const entry of readTar(unpacked(path, packing))) {
      cleanPath(entry.name);
      if (!['file', 'directory', 'symlink', 'link'].includes(entry.type)) {
        throw new TarError(`"${entry.name}" is a ${entry.type}`);
      }
      // `docker save` links repeated layers to each other inside the archive.
      if (entry.type === 'symlink' && entry.linkname.startsWith('/')) throw new TarError(`"${entry.name}" links out`);
    }
  } catch (error) {
    if (error instanceof TarError) throw new ImageError('invalid', `${path}: ${error.message}`, { cause: error });
    throw new ImageError('invalid', `${path} is not a tar archive`, { cause: error });
  }
  const flag = packing === 'none' ? [] : [`--${packing}`];
  try {
    await runProgram('tar', ['--extract', `--file=${path}`, ...flag, `--directory=${directory}`, '--no-same-owner']);
  } catch (error) {
    throw new ImageError('invalid', `${path} is not a tar archive`, { cause: error });
  }
}

async function importDirectory(images: Images, root: string, options: ImportOptions): Promise<ImageRecord[]> {
  // An archive of today's `docker save` is both; the OCI part says more.
  if (existsSync(join(root, 'index.json')) && existsSync(join(root, 'oci-layout')))
    return importLayout(images, root, options);
  if (existsSync(join(root, 'manifest.json'))) return importDockerSave(images, root, options);
  throw new ImageError(
    'invalid',
    `neither an OCI image layout nor a docker-save archive: ${readdirSync(root).slice(0, 5).join(', ') || 'it is empty'}`,
  );
}

function readJson<T>(root: string, name: string): T {
  try {
    return JSON.parse(readFileSync(inside(root, name), 'utf8')) as T;
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError('invalid', `${name} of the archive cannot be read as JSON`, { cause: error });
  }
}

function inside(root: string, name: string): string {
  try {
    const path = realpathSync(join(root, cleanPath(name)));
    if (path.startsWith(`${realpathSync(root)}/`)) return path;
  } catch (error) {
    throw new ImageError('invalid', `the archive refers to "${name}"`, { cause: error });
  }
  throw new ImageError('invalid', `"${name}" of the archive leads out of it`);
}

async function importLayout(images: Images, root: string, options: ImportOptions): Promise<ImageRecord[]> {
  const index = readJson<Index>(root, 'index.json');
  if (!Array.isArray(index.manifests)) throw new ImageError('invalid', 'index.json has no manifests');
  const copy = async (descriptor: Descriptor): Promise<void> => {
    const { algorithm, hex } = parseDigest(descriptor.digest);
    if (images.content.has(descriptor.digest)) return;
    const path = join(root, 'blobs', algorithm, hex);
    if (!existsSync(path)) throw new ImageError('invalid', `the layout lacks blob ${descriptor.digest}`);
    options.onProgress?.({ what: `copy ${descriptor.digest}`, totalBytes: descriptor.size });
    await images.content.put(createReadStream(path), { digest: descriptor.digest, size: descriptor.size });
  };
  const imported: ImageRecord[] = [];
  for (const entry of index.manifests) {
    await copy(entry);
    let manifest = entry;
    if (isIndex(entry.mediaType)) {
      const chosen = choosePlatform(images.content.readJson<Index>(entry.digest), images.platform);
      if (!chosen) {
        throw new ImageError(
          'unsupported',
          `no manifest for ${images.platform.os}/${images.platform.architecture} in ${entry.digest}`,
        );
      }
      await copy(chosen);
      manifest = chosen;
    }
    const parsed = images.content.readJson<Manifest>(manifest.digest);
    if (!parsed.config) throw new ImageError('invalid', `manifest ${manifest.digest} has no config`);
    await copy(parsed.config);
    for (const layer of parsed.layers ?? []) await copy(layer);
    const annotated = nameOf(entry, options.name);
    const names = annotated ?? (index.manifests.length === 1 && options.name ? [options.name] : []);
    const record = await images.admit(manifest, names, { digest: entry.digest, onProgress: options.onProgress });
    imported.push(record);
  }
  return imported;
}

/** containerd and docker write the whole name; the specification's own annotation may be a bare tag. */
function nameOf(entry: Descriptor, fallback: string | undefined): string[] | undefined {
  const whole = entry.annotations?.['io.containerd.image.name'];
  if (whole !== undefined) return [whole];
  const name = entry.annotations?.['org.opencontainers.image.ref.name'];
  if (name === undefined) return undefined;
  if (/[/:]/.test(name)) return [name];
  if (fallback === undefined) return [name];
  const base = parseImageName(fallback);
  return [formatImageName({ ...base, tag: name, digest: undefined })];
}

function isIndex(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;
}

async function importDockerSave(images: Images, root: string, options: ImportOptions): Promise<ImageRecord[]> {
  interface Saved {
    Config: string;
    RepoTags: string[] | null;
    Layers: string[];
  }
  const list = readJson<Saved[]>(root, 'manifest.json');
  if (!Array.isArray(list)) throw new ImageError('invalid', 'manifest.json is not a list');
  const imported: ImageRecord[] = [];
  for (const saved of list) {
    if (typeof saved.Config !== 'string' || !Array.isArray(saved.Layers)) {
      throw new ImageError('invalid', 'manifest.json: an image lacks Config or Layers');
    }
    const configBytes = readFileSync(inside(root, saved.Config));
    const config = images.content.putBytes(configBytes);
    readJson<ImageConfig>(root, saved.Config);
    const layers: Descriptor[] = [];
    for (const name of saved.Layers) {
      options.onProgress?.({ what: `copy ${name}` });
      const path = inside(root, name);
      const stored = await images.content.put(createReadStream(path));
      const head = images.content.stream(stored.digest);
      const first = ((await head[Symbol.asyncIterator]().next()).value ?? Buffer.alloc(0)) as Buffer;
      head.destroy();
      const mediaType = compressionOf(first) === 'gzip' ? mediaTypes.ociLayerGzip : mediaTypes.ociLayer;
      layers.push({ mediaType, ...stored });
    }
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, ...config },
      layers,
    };
    const stored = images.content.putBytes(Buffer.from(JSON.stringify(manifest)));
    const names = saved.RepoTags?.length ? saved.RepoTags : options.name ? [options.name] : [];
    imported.push(
      await images.admit({ mediaType: mediaTypes.ociManifest, ...stored }, names, { onProgress: options.onProgress }),
    );
  }
  return imported;
}
