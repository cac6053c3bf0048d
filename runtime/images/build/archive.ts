// ADD of a local archive: its entries as they would lie below the destination. tar, plain or packed with gzip, bzip2, xz
// or zstd, by its first bytes, as the Dockerfile reference says.
import { posix } from 'node:path';
import { cleanPath } from '../../snapshots/layer.ts';
import { readTar, TarError, tarHeader, tarPadding } from '../../snapshots/tar.ts';
import { packingOf, unpacked } from '../packing.ts';
import type { ContextFile } from './context.ts';

const isTar = (head: Buffer) => head.toString('latin1', 257, 262) === 'ustar';

/** A packed file counts when what is in it starts as a tar does. */
export async function isArchive(file: ContextFile): Promise<boolean> {
  if (!file.stats.isFile()) return false;
  const packing = packingOf(file.hostPath);
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of unpacked(file.hostPath, packing)) {
      head = Buffer.concat([head, chunk]);
      if (head.length >= BLOCK) break;
    }
  } catch {
    // Not what its first bytes promised: a file like any other.
    return false;
  }
  return isTar(head);
}

const BLOCK = 512;

/** Entries of the archive below `base`, without times. `directories` are those that the tar being written has already. */
export async function* unpackedEntries(
  file: ContextFile,
  base: string,
  directories: Set<string>,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const entry of readTar(unpacked(file.hostPath, packingOf(file.hostPath)))) {
      const { raw: _raw, body, ...header } = entry;
      const path = posix.join(base, cleanPath(entry.name));
      if (path === '.' || path === base) continue;
      if (header.type === 'directory') directories.add(path);
      const linkname = header.type === 'link' ? posix.join(base, cleanPath(header.linkname)) : header.linkname;
      yield tarHeader({ ...header, name: header.type === 'directory' ? `${path}/` : path, linkname, mtime: 0 });
      for await (const part of body) yield part;
      yield tarPadding(header.size);
    }
  } catch (error) {
    if (error instanceof TarError) throw new Error(`"${file.path}": ${error.message}`, { cause: error });
    throw error;
  }
}
