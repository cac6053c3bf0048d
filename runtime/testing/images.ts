// Images for tests, made of tar entries, in a state directory of their own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { silentLogger } from '../../lib/log.ts';
import type { ImageRecord } from '../images/catalog.ts';
import { composeImage, storeLayer } from '../images/compose.ts';
import { Images } from '../images/images.ts';
import type { RunConfig } from '../images/oci.ts';
import { type TarHeader, tarEnd, tarHeader, tarPadding } from '../snapshots/tar.ts';

export type Entry = Partial<TarHeader> & Pick<TarHeader, 'name' | 'type'> & { content?: string };

export function tar(entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap(({ content = '', ...header }) => [
    tarHeader({ ...header, size: Buffer.byteLength(content) }),
    Buffer.from(content),
    tarPadding(Buffer.byteLength(content)),
  ]);
  return Buffer.concat([...parts, tarEnd]);
}

export const file = (name: string, content = name, more: Partial<TarHeader> = {}): Entry => ({
  name,
  type: 'file',
  mode: 0o644,
  content,
  ...more,
});

export const dir = (name: string, more: Partial<TarHeader> = {}): Entry => ({ name, type: 'directory', ...more });

export interface ImageBench {
  /** Removed by `end`. */
  directory: string;
  images: Images;
  /** An image of these layers, given as tars, lowest first. */
  imageOf(name: string, layers: readonly Buffer[], run?: RunConfig): Promise<ImageRecord>;
  /** A directory with these files. */
  context(files: Readonly<Record<string, string | Buffer>>): string;
  end(): void;
}

export function imageBench(): ImageBench {
  const directory = mkdtempSync(join(tmpdir(), 'sampan-images-'));
  const images = new Images({
    stateDir: join(directory, 'state'),
    platform: { os: 'linux', architecture: 'amd64' },
    log: silentLogger,
  });
  return {
    directory,
    images,
    async imageOf(name, layers, run = { Cmd: ['/x'] }) {
      const stored = [];
      for (const layer of layers) stored.push(await storeLayer(images, Readable.from([layer])));
      return composeImage(images, { layers: stored, run, history: [] }, [name]);
    },
    context(files) {
      const root = mkdtempSync(join(directory, 'ctx-'));
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(join(root, path, '..'), { recursive: true });
        writeFileSync(join(root, path), content);
      }
      return root;
    },
    end: () => rmSync(directory, { recursive: true, force: true }),
  };
}
