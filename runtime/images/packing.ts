// How a file is packed, by its first bytes (names and media types lie often enough), and what is in it.
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { readProgram } from '../snapshots/process.ts';
import { compressionOf } from './oci.ts';

/**
 * Bytes that a decompressor gives at a time. Each piece costs a hop through the thread pool and through the streams behind it:
 * with Node's 16 KiB a layer takes more than twice the CPU.
 */
const chunkSize = 256 * 1024;

export type Packing = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

/** By the first bytes of the file. */
export function packingOf(path: string): Packing {
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

/** The file's content, unpacked. */
export async function* unpacked(path: string, packing: Packing): AsyncGenerator<Uint8Array, void, undefined> {
  if (packing === 'bzip2' || packing === 'xz') {
    yield* readProgram(packing, ['--decompress', '--stdout', '--', path]);
    return;
  }
  const bytes = createReadStream(path, { highWaterMark: chunkSize });
  try {
    if (packing === 'none') {
      yield* bytes;
      return;
    }
    const unzip = packing === 'gzip' ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
    bytes.on('error', (error) => unzip.destroy(error));
    yield* bytes.pipe(unzip);
  } finally {
    bytes.destroy();
  }
}
