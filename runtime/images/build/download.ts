// ADD of a URL: one file, fetched to disk, checked against --checksum. Named after the last part of the URL's path.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { messageOf } from '../errors.ts';
import type { ExtraFile } from './copy.ts';

export const isUrl = (source: string) => /^https?:\/\//i.test(source);
export const isGit = (source: string) => /^(git|ssh):\/\/|^git@|^https?:\/\/[^?]*\.git(#|$)/i.test(source);

/** Throws an error in one line. `checksum`: `sha256:<hex>`. */
export async function download(url: string, directory: string, checksum: string | undefined): Promise<ExtraFile> {
  const name = posix.basename(new URL(url).pathname);
  if (name === '' || name === '/') throw new Error(`"${url}" does not end in a file's name`);
  if (checksum !== undefined && !/^sha256:[0-9a-f]{64}$/.test(checksum)) {
    throw new Error(`--checksum=${checksum} is not sha256: and 64 hexadecimal digits`);
  }
  const hostPath = join(directory, `download-${createHash('sha256').update(url).digest('hex').slice(0, 16)}`);
  const hash = createHash('sha256');
  let size = 0;
  try {
    const response = await fetch(url);
    if (!response.ok || !response.body) throw new Error(`${response.status} ${response.statusText}`);
    await pipeline(
      Readable.fromWeb(response.body as ReadableStream),
      async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          hash.update(chunk);
          size += chunk.length;
          yield chunk;
        }
      },
      createWriteStream(hostPath, { mode: 0o600 }),
    );
  } catch (error) {
    throw new Error(`"${url}": ${messageOf(error)}`, { cause: error });
  }
  const digest = `sha256:${hash.digest('hex')}`;
  if (checksum !== undefined && digest !== checksum) throw new Error(`"${url}" has ${digest}, want ${checksum}`);
  return { name, content: { hostPath, size }, mode: 0o600 };
}
