// The image service: ListImages, StreamImages, ImageStatus, PullImage, RemoveImage, ImageFsInfo.
import type { AuthConfig, Image, ImageSpec } from '../../proto/cri-types.ts';
import type { ImageRecord } from '../images/catalog.ts';
import { digestOf } from '../images/digest.ts';
import { pullImage as pull } from '../images/registry/pull.ts';
import type { Credentials } from '../images/registry/client.ts';
import { type Call, type CriContext, nowNs, type StreamCall, verboseInfo } from './context.ts';
import { invalidField } from './errors.ts';
import { layersInUse } from '../store/records.ts';
import { inPages } from './pages.ts';

export function imageOf(record: ImageRecord, annotations: Record<string, string> = {}): Image {
  const user = (record.run.User ?? '').split(':')[0] ?? '';
  const numeric = /^\d+$/.test(user);
  return {
    id: record.id,
    repoTags: record.repoTags,
    repoDigests: record.repoDigests,
    size: record.size,
    uid: numeric ? { value: Number(user) } : null,
    username: numeric ? '' : user,
    spec: { image: '', annotations },
    pinned: false,
  };
}

function matching(context: CriContext, spec: ImageSpec | null | undefined): Image[] {
  if (!spec?.image) {
    const { catalog } = context.images;
    return catalog.list().flatMap((record) => (context.images.isWhole(record) ? [imageOf(record)] : []));
  }
  const found = context.images.whole(spec.image);
  return found ? [imageOf(found)] : [];
}

export const listImages: Call<'ListImages'> = async (context, request) => ({
  images: matching(context, request.filter?.image),
});

export const streamImages: StreamCall<'StreamImages'> = async function* (context, request) {
  for (const images of inPages(matching(context, request.filter?.image))) yield { images };
};

/** An image that is not there is an empty answer, not an error. */
export const imageStatus: Call<'ImageStatus'> = async (context, request) => {
  const record = context.images.whole(request.image?.image ?? '');
  if (!record) return { image: null, info: {} };
  const { architecture, os, run: config, diffIds } = record;
  const imageSpec = { architecture, os, config, rootfs: { type: 'layers', diff_ids: diffIds } };
  const info = { chainID: context.images.chain(record).at(-1) ?? '', imageSpec };
  return { image: imageOf(record), info: verboseInfo(request.verbose, info) };
};

export const pullImage: Call<'PullImage'> = async (context, request) => {
  const reference = request.image?.image ?? '';
  if (reference === '') throw invalidField('image.image', 'it is required');
  const image = await pull(context.images, reference, {
    credentials: credentialsOf(request.auth),
    insecureRegistries: context.insecureRegistries,
    clock: context.clock,
    random: context.random,
  });
  return { imageRef: image.id };
};

export function credentialsOf(auth: AuthConfig | null | undefined): Credentials | undefined {
  if (!auth) return undefined;
  if (auth.registryToken) return { kind: 'bearer', token: auth.registryToken };
  if (auth.identityToken) return { kind: 'identity', token: auth.identityToken };
  if (auth.username) return { kind: 'basic', username: auth.username, password: auth.password ?? '' };
  if (auth.auth) {
    const text = Buffer.from(auth.auth, 'base64').toString('utf8').replaceAll('\0', '');
    const colon = text.indexOf(':');
    if (colon <= 0) throw invalidField('auth.auth', 'it is not base64 of user:password');
    return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  return undefined;
}

/** All names of the image go, and what only it used; layers of containers that still exist stay. */
export const removeImage: Call<'RemoveImage'> = async (context, request) => {
  const record = context.images.catalog.find(request.image?.image ?? '');
  if (!record) return {};
  context.images.catalog.remove(record.id);
  await context.images.collect(layersInUse(context.store.containers.list()));
  return {};
};

const diskAgeMs = 10_000;

export const imageFsInfo: Call<'ImageFsInfo'> = async (context) => {
  const layers = context.images.snapshots.layersUsage();
  const blobs = context.images.catalog.list().reduce((sum, image) => sum + image.size, 0);
  const key = digestOf('active');
  let active = context.diskSamples.get(key);
  if (!active || context.clock.monotonic() - active.atMs >= diskAgeMs) {
    active = { atMs: context.clock.monotonic(), usage: await context.images.snapshots.activeUsage() };
    context.diskSamples.set(key, active);
  }
  const usage = (bytes: number, inodes: number, mountpoint: string) => ({
    timestamp: nowNs(context),
    fsId: { mountpoint },
    usedBytes: { value: bytes },
    inodesUsed: { value: inodes },
  });
  return {
    imageFilesystems: [usage(layers.bytes + blobs, layers.inodes, context.images.root)],
    containerFilesystems: [usage(active.usage.bytes, active.usage.inodes, context.images.root)],
  };
};
