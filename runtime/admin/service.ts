// The service sampan.runtime.v1.Images on the CRI socket: import, export, build, pull, push, tag and garbage
// collection, each with its progress streamed. A reader that is slow misses progress, never the result.
import { readFileSync } from 'node:fs';
import type { GrpcService, Handlers } from '../../lib/grpc/server.ts';
import { type ImageResult, type Login, RuntimeImages, type RuntimeImagesMethods } from '../../proto/runtime-images.ts';
import type { ContainerConfig } from '../../proto/cri-types.ts';
import type { CriContext } from '../cri/context.ts';
import { credentialsOf } from '../cri/images.ts';
import { sandboxUserNamespace } from '../cri/run-pod-sandbox.ts';
import { invalidField } from '../cri/errors.ts';
import { report } from '../cri/server.ts';
import { commitContainer, importRootfs } from '../images/commit.ts';
import { ImageError } from '../images/errors.ts';
import { readTarFile } from '../images/import-archive.ts';
import type { ImageRecord } from '../images/index.ts';
import { inspectImage } from '../images/inspect.ts';
import { type IdShift, shiftOf } from '../snapshots/shift.ts';
import { type ContainerRecord, layersInUse } from '../store/records.ts';
import { buildImage, exportArchive, importArchive, type OnProgress, pullImage, pushImage } from '../images/index.ts';
import { runStepWith } from './run-step.ts';

type Work<M extends keyof RuntimeImagesMethods> = (
  context: CriContext,
  request: RuntimeImagesMethods[M],
  onProgress: OnProgress,
) => Promise<ImageResult>;

const works: { [M in keyof RuntimeImagesMethods]: Work<M> } = {
  Import: async (context, { path, name, rootfs, changes = [] }, onProgress) => {
    const from = absolute(path, 'path');
    if (rootfs)
      return resultOf([await importRootfs(context.images, readTarFile(from), { names: named(name), changes })]);
    if (changes.length > 0) throw invalidField('changes', 'they are for root file systems');
    return resultOf(await importArchive(context.images, from, { name: name || undefined, onProgress }));
  },
  Export: async (context, { images, path }) => {
    if (images.length === 0) throw invalidField('images', 'it is required');
    await exportArchive(context.images, images, absolute(path, 'path'));
    return { names: images };
  },
  Build: async (context, request, onProgress) =>
    resultOf([
      await buildImage(context.images, {
        contextDirectory: absolute(request.contextDirectory, 'context_directory'),
        ...(request.dockerfile ? { dockerfile: readFileSync(absolute(request.dockerfile, 'dockerfile'), 'utf8') } : {}),
        tags: request.tags,
        buildArgs: request.buildArgs ?? {},
        noCache: request.noCache ?? false,
        ...(request.target ? { target: request.target } : {}),
        run: runStepWith(context),
        pull: (reference) => pullImage(context.images, reference, { ...registryOptions(context, null), onProgress }),
        onProgress,
      }),
    ]),
  Pull: async (context, { image, login }, onProgress) =>
    resultOf([await pullImage(context.images, image, { ...registryOptions(context, login), onProgress })]),
  Push: async (context, { image, as, login }, onProgress) => ({
    digest: await pushImage(context.images, image, {
      ...registryOptions(context, login),
      ...(as ? { as } : {}),
      onProgress,
    }),
  }),
  Tag: async (context, { image, name }) => resultOf([context.images.catalog.tag(image, name)]),
  Untag: async (context, { image }) => {
    const { repoTags } = find(context, image);
    const { removed } = context.images.catalog.untag(image);
    if (removed) await context.images.collect(layersInUse(context.store.containers.list()));
    return { names: removed ? repoTags : [image] };
  },
  Inspect: async (context, { image }) => ({ document: JSON.stringify(inspectImage(context.images, image)) }),
  Commit: async (context, { container, name, author, message, changes = [] }) => {
    const found = containerNamed(context, container);
    const view = context.images.snapshots.view(context.images.chain(found));
    const image = await commitContainer(context.images, {
      imageId: found.imageId,
      snapshotId: found.id,
      owners: ownersOf(context, found),
      omit: new Set(mountTargets(found.config).filter((path) => !view.find(`/${path}`))),
      names: named(name),
      changes,
      ...(author && { author }),
      ...(message && { message }),
    });
    return resultOf([image]);
  },
  Collect: async (context) => {
    const removed = await context.images.collect(layersInUse(context.store.containers.list()));
    return { removedBlobs: removed.blobs, removedLayers: removed.layers };
  },
};

function registryOptions(context: CriContext, login: Login | null | undefined) {
  const { insecureRegistries, clock, random } = context;
  return { insecureRegistries, clock, random, credentials: login ? credentialsOf(login) : undefined };
}

function find(context: CriContext, reference: string): ImageRecord {
  const image = context.images.catalog.find(reference);
  if (!image) throw new ImageError('not-found', `image "${reference}" not found`);
  return image;
}

/** In a user namespace the files on disk have other owners than the container sees. */
function ownersOf(context: CriContext, { sandboxId }: ContainerRecord): IdShift | undefined {
  const sandbox = context.store.sandboxes.get(sandboxId);
  const userns = sandbox && sandboxUserNamespace(sandbox);
  return userns && shiftOf(userns, 'container');
}

function containerNamed(context: CriContext, id: string): ContainerRecord {
  const found = context.store.containers.list().filter((each) => id !== '' && each.id.startsWith(id));
  if (found.length === 1) return found[0] as ContainerRecord;
  throw new ImageError('not-found', `${found.length === 0 ? 'no' : 'more than one'} container has an id like "${id}"`);
}

/** Places in a container that others are mounted on, relative to its root. */
function mountTargets(config: ContainerConfig): string[] {
  const own = (config.mounts ?? []).map((mount) => mount.containerPath ?? '');
  return [...own, '/dev', '/proc', '/sys', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf'].map((path) =>
    path.replace(/^\/+|\/+$/g, ''),
  );
}

const named = (name: string | undefined) => (name ? [name] : []);

function absolute(path: string, field: string): string {
  if (!path.startsWith('/')) throw invalidField(field, `"${path}" is not an absolute path`);
  return path;
}

function resultOf(images: readonly ImageRecord[]): ImageResult {
  return { ids: images.map((image) => image.id), names: images.flatMap((image) => image.repoTags) };
}

export function imagesAdminService(context: CriContext): GrpcService {
  const streams: Handlers['streams'] = {};
  for (const [method, work] of Object.entries(works) as [string, Work<keyof RuntimeImagesMethods>][]) {
    streams[method] = async (request, sink) => {
      let isBlocked = false;
      const unblock = () => {
        isBlocked = false;
      };
      const onProgress: OnProgress = (progress) => {
        // Byte counts may be skipped; output may not.
        if (isBlocked && progress.output === undefined) return;
        if (sink.write(progress) || isBlocked) return;
        isBlocked = true;
        void sink.drained().then(unblock);
      };
      try {
        sink.write({ what: 'done', result: await work(context, request, onProgress) });
      } catch (error) {
        throw report(context, method, error);
      }
    };
  }
  return { definition: RuntimeImages, handlers: { streams } };
}
