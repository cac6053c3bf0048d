// sampan image: the images of this machine's runtime.
import { resolve } from 'node:path';
import { type CriClient, CriError, createCriClient } from '../../kubelet/cri/client.ts';
import type { ImageResult } from '../../proto/runtime-images.ts';
import { buildOnNode, callImages, requireRuntime } from '../image-client.ts';
import { layoutOf } from '../layout.ts';
import { createProgress } from '../progress.ts';
import { align } from '../table.ts';
import { UserError } from '../user-error.ts';

interface ImageFlags {
  dataDir: string;
}

/** Shows the work as a step on stderr, and what came out of it on stdout. */
async function showing(title: string, work: (onLine: (line: string) => void) => Promise<ImageResult>): Promise<void> {
  const step = createProgress(process.stderr).step(title);
  try {
    const { names = [], digest } = await work((line) => step.update(line));
    step.done();
    for (const name of names) process.stdout.write(`${name}\n`);
    if (digest) process.stdout.write(`${digest}\n`);
  } catch (error) {
    step.fail(error instanceof Error ? error.message : String(error));
    throw new UserError(`${title} failed`);
  }
}

export function buildCommand(
  context: string,
  flags: ImageFlags & { tag: string[]; file?: string; buildArg?: string[] },
): Promise<void> {
  const buildArgs = Object.fromEntries(
    (flags.buildArg ?? []).map((each) => {
      const at = each.indexOf('=');
      if (at < 1) throw new UserError(`--build-arg is NAME=VALUE, not ${JSON.stringify(each)}`);
      return [each.slice(0, at), each.slice(at + 1)];
    }),
  );
  const build = { contextDir: context, tags: flags.tag, dockerfile: flags.file, buildArgs };
  return showing(`build ${flags.tag.join(', ')}`, (onLine) =>
    buildOnNode(layoutOf(flags.dataDir).criSocket, build, onLine),
  );
}

export const importCommand = (path: string, flags: ImageFlags & { tag?: string }): Promise<void> =>
  showing(`import ${path}`, (onLine) =>
    callImages(
      layoutOf(flags.dataDir).criSocket,
      'Import',
      { path: resolve(path), ...(flags.tag && { name: flags.tag }) },
      onLine,
    ),
  );

export const pullCommand = (image: string, flags: ImageFlags): Promise<void> =>
  showing(`pull ${image}`, (onLine) => callImages(layoutOf(flags.dataDir).criSocket, 'Pull', { image }, onLine));

/** A CRI client of the running node; what the runtime refuses is one line for a person. */
async function withCri<T>(criSocket: string, work: (cri: CriClient) => Promise<T>): Promise<T> {
  requireRuntime(criSocket);
  const cri = createCriClient(criSocket);
  try {
    return await work(cri);
  } catch (error) {
    throw error instanceof CriError ? new UserError(error.message) : error;
  } finally {
    cri.close();
  }
}

export function listCommand(flags: ImageFlags): Promise<void> {
  return withCri(layoutOf(flags.dataDir).criSocket, async (cri) => {
    const { images = [] } = await cri.call('ListImages', {});
    const rows = images.flatMap((image) =>
      (image.repoTags?.length ? image.repoTags : ['<none>']).map((tag) => [
        tag,
        (image.id ?? '').replace('sha256:', '').slice(0, 12),
        size(image.size ?? 0),
      ]),
    );
    for (const line of align([['IMAGE', 'ID', 'SIZE'], ...rows.toSorted()])) process.stdout.write(`${line}\n`);
  });
}

export async function removeCommand(names: string[], flags: ImageFlags): Promise<void> {
  const { criSocket } = layoutOf(flags.dataDir);
  await withCri(criSocket, async (cri) => {
    for (const image of names) {
      const { image: found } = await cri.call('ImageStatus', { image: { image } });
      if (!found) throw new UserError(`no image is called ${image}`);
      await cri.call('RemoveImage', { image: { image } });
      process.stdout.write(`${image}\n`);
    }
  });
  await callImages(criSocket, 'Collect', {}, () => {});
}

const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);
