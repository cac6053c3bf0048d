// ADD of a local archive: its entries as they would lie below the destination. tar, plain or packed with gzip, bzip2, xz
// or zstd, by its first bytes, as the Dockerfile reference says.
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { posix } from 'node:path';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { cleanPath } from '../../snapshots/layer.ts';
import { readProgram } from '../../snapshots/process.ts';
import { readTar, TarError, tarHeader, tarPadding } from '../../snapshots/tar.ts';
import { compressionOf } from '../oci.ts';
import type { ContextFile } from './context.ts';

type Packing = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

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

function packingOf(path: string): Packing {
  const head = Buffer.alloc(8);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const compression = compressionOf(head);
  if (compression !== 'none') return compression;
  if (head.toString('latin1', 0, 3) === 'BZh') return 'bzip2';
  return head.toString('latin1', 1, 6) === '7zXZ\0' ? 'xz' : 'none';
}

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

async function* unpacked(path: string, packing: Packing): AsyncGenerator<Uint8Array, void, undefined> {
  if (packing === 'bzip2' || packing === 'xz') {
    yield* readProgram(packing, ['--decompress', '--stdout', '--', path]);
    return;
  }
  const bytes = createReadStream(path);
  try {
    if (packing === 'none') {
      yield* bytes;
      return;
    }
    const unzip = packing === 'gzip' ? createGunzip() : createZstdDecompress();
    bytes.on('error', (error) => unzip.destroy(error));
    yield* bytes.pipe(unzip);
  } finally {
    bytes.destroy();
  }
}
