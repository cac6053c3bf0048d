// What critest asks of images, spec by spec: pulls by tag, without one and by digest, every kind of reference, users,
// lists, one identity everywhere, and removals at once. Two registries of our own, a launcher in memory.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Image } from '../../proto/cri-types.ts';
import { buildTestImage, type Harness, startHarness } from '../testing/harness.ts';
import type { FakeLauncher } from '../testing/fake-launcher.ts';

const root = join(import.meta.dirname, '../..');
let h: Harness<FakeLauncher>;
const registries: ChildProcess[] = [];
const hosts: string[] = [];

beforeAll(async () => {
  for (let i = 0; i < 2; i++) {
    const registry = spawn(join(root, 'scripts/node'), [join(root, 'runtime/testing/registry-process.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    registries.push(registry);
  }
  for (const { stdout } of registries) {
    const [port] = await once(stdout as NodeJS.ReadableStream, 'data');
    hosts.push(`127.0.0.1:${String(port).trim()}`);
  }
  h = await startHarness();
  await push('app', ['1', 'latest', 'uclibc', 'glibc'], 'one');
  for (const [tag, user] of Object.entries({
    uid: '1002',
    name: 'www-data',
    uidgroup: '1003:users',
    namegroup: 'web:users',
  }))
    await push('user', [tag], tag, `USER ${user}\nCMD ["/bin/app"]`);
  await push('tags', ['a'], 'first');
  await push('tags', ['b'], 'second');
  await push('tags', ['c'], 'third');
  await removeAll();
});
afterEach(removeAll);
afterAll(async () => {
  await h?.stop();
  for (const registry of registries) registry.kill();
});

/** Builds an image and pushes it to both registries under `repository` with these tags. */
async function push(repository: string, tags: string[], content: string, instructions?: string): Promise<void> {
  const name = `local/${repository}:${tags[0]}`;
  await buildTestImage(h, name, { 'bin/app': content, 'etc/passwd': 'web:x:7:8::/:/bin/sh\n' }, instructions);
  for (const host of hosts)
    for (const tag of tags) await h.client.images('Push', { image: name, as: `${host}/${repository}:${tag}` });
}

async function removeAll(): Promise<void> {
  for (const { items = [] } = await h.client.call('ListPodSandbox'); items.length > 0; ) {
    const podSandboxId = items.pop()?.id;
    await h.client.call('StopPodSandbox', { podSandboxId });
    await h.client.call('RemovePodSandbox', { podSandboxId });
  }
  const { images = [] } = await h.client.call('ListImages');
  for (const { id } of images) await h.client.call('RemoveImage', { image: { image: id } });
}

const pull = async (image: string) => (await h.client.call('PullImage', { image: { image } })).imageRef as string;
const list = async (image?: string) =>
  (await h.client.call('ListImages', image ? { filter: { image: { image } } } : { filter: {} })).images ?? [];
const status = async (image: string): Promise<Image | null | undefined> =>
  (await h.client.call('ImageStatus', { image: { image } })).image;
const remove = async (name: string) => h.client.call('RemoveImage', { image: { image: (await status(name))?.id } });

it('public images with a tag, without one and with a digest are pulled and removed', async () => {
  const [host] = hosts as [string];
  const byTag = `${host}/app:1`;
  await pull(byTag);
  const image = await status(byTag);
  expect(image).toMatchObject({ repoTags: [byTag], size: expect.any(Number) });
  const [digest] = image?.repoDigests ?? [];
  expect(digest).toMatch(new RegExp(`^${host}/app@sha256:[0-9a-f]{64}$`));
  await remove(byTag);
  expect([await status(byTag), await status(image?.id as string), await list()]).toEqual([null, null, []]);

  await pull(`${host}/app`);
  expect(await status(`${host}/app`)).toMatchObject({ repoTags: [`${host}/app:latest`] });
  await remove(`${host}/app`);

  await pull(digest as string);
  expect(await status(digest as string)).toMatchObject({ repoTags: [], repoDigests: [digest] });
  await remove(digest as string);
  expect(await status(digest as string)).toBeNull();
});

it('image status supports all kinds of references, and a list filtered by each', async () => {
  const name = `${hosts[0]}/app:1`;
  await pull(name);
  const image = (await status(name)) as Image;
  const references = [image.id as string, ...(image.repoTags ?? []), ...(image.repoDigests ?? [])];
  expect(references.length).toBe(3);
  for (const reference of references) {
    expect([reference, await status(reference)]).toEqual([reference, image]);
    expect(await list(reference)).toEqual([image]);
  }
  expect(await list(`${hosts[0]}/app:2`)).toEqual([]);
});

it('uid and username of the image’s user are told, without the group', async () => {
  const told: Record<string, unknown> = {};
  for (const tag of ['uid', 'name', 'uidgroup', 'namegroup']) {
    await pull(`${hosts[0]}/user:${tag}`);
    const image = await status(`${hosts[0]}/user:${tag}`);
    told[tag] = [image?.uid?.value ?? 0, image?.username];
  }
  expect(told).toEqual({ uid: [1002, ''], name: [0, 'www-data'], uidgroup: [1003, ''], namegroup: [0, 'web'] });
});

describe('lists', () => {
  it('three images of one repository are three, with one tag each', async () => {
    const names = ['a', 'b', 'c'].map((tag) => `${hosts[0]}/tags:${tag}`);
    const ids: string[] = [];
    for (const name of names) ids.push(await pull(name));
    const images = await list();
    expect(new Set(ids).size).toBe(3);
    expect(ids.map((id) => images.find((each) => each.id === id)?.repoTags)).toEqual(names.map((name) => [name]));
  });

  it('three tags of one image are one, also as a stream', async () => {
    const names = ['1', 'glibc', 'uclibc'].map((tag) => `${hosts[0]}/app:${tag}`);
    const ids = await Promise.all(names.map(pull));
    expect(new Set(ids).size).toBe(1);
    const images = await list();
    expect(images.map((each) => [...(each.repoTags ?? [])].sort())).toEqual([names]);
    const streamed: Image[] = [];
    for await (const part of h.client.stream('StreamImages', {}))
      streamed.push(...((part as { images?: Image[] }).images ?? []));
    expect(streamed).toEqual(images);
  });
});

describe('consistency', () => {
  it('one identity in every answer, from whichever registry it came', async () => {
    const [one, two] = hosts.map((host) => `${host}/app:1`) as [string, string];
    const ref = await pull(one);
    expect(await pull(two)).toBe(ref);
    for (const name of [one, two]) expect((await status(name))?.id).toBe(ref);
    expect((await status(ref))?.repoDigests?.length).toBe(2);
    const metadata = { name: 'p', namespace: 'default', uid: 'u' };
    const { podSandboxId } = await h.client.call('RunPodSandbox', { config: { metadata } });
    for (const [name, image] of Object.entries({ id: ref, tag: two })) {
      const { containerId } = await h.client.call('CreateContainer', {
        podSandboxId,
        config: { metadata: { name }, image: { image, userSpecifiedImage: two } },
      });
      const found = (await h.client.call('ContainerStatus', { containerId })).status;
      expect([found?.imageId, found?.image]).toEqual([
        ref,
        expect.objectContaining({ image, userSpecifiedImage: two }),
      ]);
      const { containers } = await h.client.call('ListContainers', { filter: { id: containerId } });
      expect(containers?.map((each) => each.imageId)).toEqual([ref]);
    }
  });

  it('five removals at once all succeed, and after each the image is gone', async () => {
    const name = `${hosts[0]}/app:1`;
    const id = await pull(name);
    expect((await list()).map((each) => each.repoTags)).toEqual([[name]]);
    const after = await Promise.all(
      Array.from({ length: 5 }, async () => {
        await h.client.call('RemoveImage', { image: { image: id } });
        return status(id);
      }),
    );
    expect(after).toEqual([null, null, null, null, null]);
    await h.client.call('RemoveImage', { image: { image: name } });
    expect(await list()).toEqual([]);
  });

  it('usage of the image file system grows with a pull and shrinks with a removal', async () => {
    const used = async () => Number((await h.client.call('ImageFsInfo')).imageFilesystems?.[0]?.usedBytes?.value);
    const before = await used();
    const id = await pull(`${hosts[0]}/app:1`);
    expect(await used()).toBeGreaterThan(before);
    await h.client.call('RemoveImage', { image: { image: id } });
    expect(await used()).toBe(before);
  });
});

it('what cannot be pulled is told by code', async () => {
  await expect(pull(`${hosts[0]}/app:none`)).rejects.toMatchObject({ code: 5 });
  await expect(pull('UPPER CASE')).rejects.toMatchObject({ code: 3 });
});
