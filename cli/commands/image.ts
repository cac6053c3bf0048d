// sampan image: the images of this machine's runtime.
import { resolve } from 'node:path';
import { type CriClient, CriError, createCriClient } from '../../kubelet/cri/client.ts';
import type { ImageResult } from '../../proto/runtime-images.ts';
import { buildOnNode, callImages, requireRuntime } from '../image-client.ts';
import { layoutOf } from '../layout.ts';
import { createProgress } from '../progress.ts';
import { align } from '../table.ts';
import { UserError } from '../user-error.ts';

export interface ImageFlags {
  dataDir: string;
}

/** Shows the work as a step on stderr, and what came out of it on stdout. */
export async function showing(
  title: string,
  work: (onLine: (line: string) => void) => Promise<ImageResult>,
): Promise<void> {
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
  flags: ImageFlags & { tag: string[]; file?: string; buildArg?: string[]; target?: string; cache: boolean },
): Promise<void> {
  const buildArgs = Object.fromEntries(
    (flags.buildArg ?? []).map((each) => {
      const at = each.indexOf('=');
      if (at < 1) throw new UserError(`--build-arg is NAME=VALUE, not ${JSON.stringify(each)}`);
      return [each.slice(0, at), each.slice(at + 1)];
    }),
  );
  const { tag: tags, file: dockerfile, target, cache } = flags;
  const build = { contextDir: context, tags, dockerfile, buildArgs, target, noCache: !cache };
  return showing(`build ${flags.tag.join(', ')}`, (onLine) =>
    buildOnNode(layoutOf(flags.dataDir).criSocket, build, onLine),
  );
}

/** Archives with images in them. */
export const loadCommand = (path: string, flags: ImageFlags & { tag?: string }): Promise<void> =>
  showing(`load ${path}`, (onLine) =>
    callImages(
      layoutOf(flags.dataDir).criSocket,
      'Import',
      { path: resolve(path), ...(flags.tag && { name: flags.tag }) },
      onLine,
    ),
  );

/** An archive with images in it, or with `--rootfs` a root file system that becomes one. */
export function importCommand(
  path: string,
  flags: ImageFlags & { tag?: string; rootfs?: boolean; change?: string[] },
): Promise<void> {
  if (!flags.rootfs && flags.change)
    throw new UserError('--change is for --rootfs: an archive says itself how its images run');
  if (!flags.rootfs) return loadCommand(path, flags);
  if (!flags.tag) throw new UserError('a root file system needs a name: --tag NAME');
  const request = { path: resolve(path), name: flags.tag, rootfs: true, changes: flags.change ?? [] };
  return showing(`import ${path}`, (onLine) =>
    callImages(layoutOf(flags.dataDir).criSocket, 'Import', request, onLine),
  );
}

export const saveCommand = (images: string[], flags: ImageFlags & { output: string }): Promise<void> =>
  showing(`save ${images.join(', ')} to ${flags.output}`, (onLine) =>
    callImages(layoutOf(flags.dataDir).criSocket, 'Export', { images, path: resolve(flags.output) }, onLine),
  );

export const tagCommand = (image: string, name: string, flags: ImageFlags): Promise<void> =>
  showing(`tag ${image} as ${name}`, (onLine) =>
    callImages(layoutOf(flags.dataDir).criSocket, 'Tag', { image, name }, onLine),
  );

export const commitCommand = (
  container: string,
  name: string,
  flags: ImageFlags & { author?: string; message?: string; change?: string[] },
): Promise<void> =>
  showing(`commit ${container}`, (onLine) =>
    callImages(
      layoutOf(flags.dataDir).criSocket,
      'Commit',
      {
        container,
        name,
        changes: flags.change ?? [],
        ...(flags.author && { author: flags.author }),
        ...(flags.message && { message: flags.message }),
      },
      onLine,
    ),
  );

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
        sizeText(image.size ?? 0),
      ]),
    );
    for (const line of align([['IMAGE', 'ID', 'SIZE'], ...rows.toSorted()])) process.stdout.write(`${line}\n`);
  });
}

/** Takes the names away; an image goes with its last one. */
export async function removeCommand(names: string[], flags: ImageFlags): Promise<void> {
  for (const image of names) {
    await callImages(layoutOf(flags.dataDir).criSocket, 'Untag', { image }, () => {});
    process.stdout.write(`${image}\n`);
  }
}

export const sizeText = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
