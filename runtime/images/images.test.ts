// Names, content, archives and snapshots, on a real disk.
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { fromOverlay, toOverlay } from '../snapshots/layer.ts';
import { chainIds } from '../snapshots/snapshots.ts';
import { readTar } from '../snapshots/tar.ts';
import { dir, type Entry, file, type ImageBench, imageBench, tar } from '../testing/images.ts';
import { exportArchive, Images, importArchive } from './index.ts';
import { composeImage, storeLayer } from './compose.ts';
import { digestOf } from './digest.ts';
import { formatImageName, parseImageName } from './name.ts';

let bench: ImageBench;
let directory: string;
let images: Images;
beforeEach(() => {
  bench = imageBench();
  ({ directory, images } = bench);
});
afterEach(() => bench.end());

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
const imageOf = (name: string, ...layers: Buffer[]) => bench.imageOf(name, layers);

describe('names', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['user/app:1', 'docker.io/user/app:1'],
    ['localhost:5000/a/b', 'localhost:5000/a/b:latest'],
    ['localhost/a', 'localhost/a:latest'],
    ['registry.k8s.io/pause:3.9', 'registry.k8s.io/pause:3.9'],
    ['index.docker.io/library/x', 'docker.io/library/x:latest'],
    [`a:1@sha256:${'0'.repeat(64)}`, `docker.io/library/a@sha256:${'0'.repeat(64)}`],
  ])('%s is %s', (text, expected) => expect(formatImageName(parseImageName(text))).toBe(expected));

  test.each([
    '',
    'example.com/UPPER:1',
    'a//b',
    'a:',
    'a:b:c',
    'a@sha256:12',
    'http://x/y',
    '-a',
    'a/../b',
    `x:${'t'.repeat(129)}`,
    '.example.com/a',
  ])('%j is refused', (text) => expect(() => parseImageName(text)).toThrow(/invalid/));
});

describe('content', () => {
  test('wrong digests and sizes leave nothing', async () => {
    const good = Buffer.from('hello');
    const digest = digestOf(good);
    await expect(images.content.put(Readable.from([Buffer.from('hellO')]), { digest })).rejects.toMatchObject({
      kind: 'corrupt',
    });
    await expect(images.content.put(Readable.from([Buffer.from('hell')]), { digest, size: 5 })).rejects.toThrow(
      /truncated/,
    );
    await expect(images.content.put(Readable.from([good, good]), { digest, size: 5 })).rejects.toThrow(/longer/);
    expect(images.content.list()).toEqual([]);
    expect(readdirSync(join(directory, 'state/blobs/ingest'))).toEqual([]);
    await images.content.put(Readable.from([good]), { digest, size: 5 });
    expect(images.content.read(digest).toString()).toBe('hello');
  });
});

describe('tar', () => {
  test('entries of every kind survive writing and reading', async () => {
    const long = `${'d'.repeat(120)}/${'é'.repeat(60)}`;
    const bytes = tar([
      dir('a/', { mode: 0o1777, uid: 3_000_000, mtime: 5 }),
      file(long, 'content', { xattrs: { 'user.x': Buffer.from([0, 255, 10]) } }),
      { name: 'l', type: 'symlink', linkname: 'x'.repeat(150) },
      { name: 'n', type: 'char', devMajor: 1, devMinor: 3 },
    ]);
    const seen: object[] = [];
    for await (const { raw: _raw, body, ...header } of readTar(
      Readable.from([bytes.subarray(0, 700), bytes.subarray(700)]),
    )) {
      const content = Buffer.concat(await all(body)).toString();
      seen.push({ ...header, content });
    }
    expect(seen).toMatchObject([
      { name: 'a/', type: 'directory', mode: 0o1777, uid: 3_000_000, mtime: 5 },
      { name: long, content: 'content', xattrs: { 'user.x': Buffer.from([0, 255, 10]) } },
      { name: 'l', type: 'symlink', linkname: 'x'.repeat(150) },
      { name: 'n', type: 'char', devMajor: 1, devMinor: 3 },
    ]);
  });

  test.each([
    ['a way out', [file('../x')]],
    ['a way out in the middle', [file('a/../../x')]],
    ['a file through a link', [{ name: 'l', type: 'symlink', linkname: '/etc' }, file('l/passwd')]],
    ['a hard link to the outside', [{ name: 'h', type: 'link', linkname: '../../etc/passwd' }]],
    [
      'a hard link through a link',
      [
        { name: 'l', type: 'symlink', linkname: '/' },
        { name: 'h', type: 'link', linkname: 'l/etc/passwd' },
      ],
    ],
    ['a whiteout of the parent', [file('a/.wh...')]],
    ['a whiteout through a link', [{ name: 'l', type: 'symlink', linkname: '/etc' }, file('l/.wh.passwd')]],
    [
      'a whiteout through a link that comes later',
      [file('l/.wh.passwd'), { name: 'l', type: 'symlink', linkname: '/etc' }],
    ],
    [
      'an opaque directory behind a link that comes later',
      [file('l/d/.wh..wh..opq'), { name: 'l', type: 'symlink', linkname: '/tmp' }],
    ],
    [
      'an opaque directory that becomes a link',
      [file('l/.wh..wh..opq'), { name: 'l', type: 'symlink', linkname: '/tmp' }],
    ],
    [
      'a device through a link',
      [
        { name: 'l', type: 'symlink', linkname: '/tmp' },
        { name: 'l/sda', type: 'block', devMajor: 8, devMinor: 0 },
      ],
    ],
    [
      'a directory through a hard link of a link',
      [{ name: 'l', type: 'symlink', linkname: '/tmp' }, { name: 'h', type: 'link', linkname: 'l' }, dir('h/d')],
    ],
    ['overlay attributes', [dir('d', { xattrs: { 'trusted.overlay.redirect': Buffer.from('/etc') } })]],
  ] as [string, Entry[]][])('a layer with %s is refused and leaves nothing', async (_, entries) => {
    await expect(imageOf('bad', tar(entries))).rejects.toMatchObject({ kind: 'invalid' });
    expect(readdirSync(join(directory, 'state/snapshots/layers'))).toEqual([]);
    expect(images.catalog.list()).toEqual([]);
  });

  test.each([0, 100, 600, 1023])('garbage and truncation at %i are errors', async (at) => {
    const bytes = tar([file('a', 'x'.repeat(600))]).subarray(0, at);
    const noise = Buffer.concat([bytes, Buffer.alloc(512, 7)]);
    const read = async (source: Buffer) => {
      for await (const entry of readTar(Readable.from([source]))) for await (const _ of entry.body);
    };
    await expect(read(noise)).rejects.toThrow(/tar/);
  });
});

describe('snapshots', () => {
  test('layers stack with whiteouts, opaque directories, hard links, owners and modes', async () => {
    const lower = tar([
      dir('etc/'),
      file('etc/a'),
      file('etc/b'),
      dir('var/'),
      file('var/old'),
      dir('opt/'),
      file('opt/x'),
      { name: 'lib', type: 'symlink', linkname: 'opt' },
    ]);
    const upper = tar([
      { name: 'etc/.wh.a', type: 'file' },
      dir('var/', { mode: 0o700, uid: 12, gid: 13 }),
      { name: 'var/.wh..wh..opq', type: 'file' },
      file('var/new', 'n', { mode: 0o4755, uid: 65534 }),
      { name: 'var/hard', type: 'link', linkname: 'var/new' },
      { name: 'null', type: 'char', devMajor: 1, devMinor: 3, mode: 0o666 },
    ]);
    const image = await imageOf('two', lower, upper);
    const view = images.view(image);
    expect(view.find('/etc/a')).toBeUndefined();
    expect(view.readText('/etc/b')).toBe('etc/b');
    expect(view.find('/var/old')).toBeUndefined();
    expect(view.readText('/lib/x')).toBe('opt/x');
    expect(view.readText('/../lib/../lib/x')).toBe('opt/x');
    expect(view.resolve('/lib/new/file')).toBe('/opt/new/file');
    const [top] = images.snapshots.lowerDirs(chainIds(image.diffIds)) as [string];
    const whiteout = lstatSync(join(top, 'etc/a'));
    expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
    const stats = lstatSync(join(top, 'var/new'));
    expect([stats.mode & 0o7777, stats.uid, stats.nlink]).toEqual([0o4755, 65534, 2]);
    expect([lstatSync(join(top, 'var')).mode & 0o7777, lstatSync(join(top, 'var')).uid]).toEqual([0o700, 12]);
    // The kernel agrees about what is hidden; and the layer can be had back from the directory.
    const back = execFileSync('tar', [
      '-c',
      '--xattrs',
      '--xattrs-include=*',
      '--sort=name',
      '--format=pax',
      '-C',
      top,
      '.',
    ]);
    const names: string[] = [];
    for await (const entry of readTar(fromOverlay(Readable.from([back]), 0))) names.push(entry.name);
    expect(names).toEqual(['etc/', 'etc/.wh.a', 'null', 'var/', 'var/.wh..wh..opq', 'var/hard', 'var/new']);
  });

  test('removed and made again in one layer hides the old content', async () => {
    const result = { opaque: [] as string[], size: 0, entries: 0 };
    await all(
      toOverlay(
        Readable.from([
          tar([{ name: '.wh.d', type: 'file' }, dir('d'), file('d/new'), { name: '.wh.f', type: 'file' }, file('f')]),
        ]),
        result,
      ),
    );
    expect(result.opaque).toEqual(['d']);
  });

  test('a layer that does not unpack to its diff id is refused', async () => {
    const layer = await storeLayer(images, Readable.from([tar([file('a')])]));
    await expect(
      composeImage(images, { layers: [{ ...layer, diffId: digestOf('other') }], run: {}, history: [] }, ['x']),
    ).rejects.toMatchObject({ kind: 'corrupt' });
    expect(readdirSync(join(directory, 'state/snapshots/layers'))).toEqual([]);
  });
});

describe('archives', () => {
  test('an image goes out and comes back the same', async () => {
    const image = await imageOf('example.com/app:1', tar([file('a')]), tar([file('b')]));
    const path = join(directory, 'app.tar');
    await exportArchive(images, ['example.com/app:1'], path);
    images.catalog.remove(image.id);
    expect(await images.collect()).toEqual({ blobs: 4, layers: 2 });
    const [back] = await importArchive(images, path);
    expect(back).toMatchObject({ id: image.id, repoTags: ['example.com/app:1'], diffIds: image.diffIds });
    expect(images.view(image).readText('/b')).toBe('b');
    const unpacked = join(directory, 'layout');
    mkdirSync(unpacked);
    execFileSync('tar', ['-xf', path, '-C', unpacked]);
    expect((await importArchive(images, unpacked))[0]?.id).toBe(image.id);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)));
    expect((await importArchive(images, `${path}.gz`))[0]?.id).toBe(image.id);
  });

  test('a docker-save archive, with its names or a given one', async () => {
    const layer = tar([file('a')]);
    const config = JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Cmd: ['/a'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    });
    const save = (tags: string[] | null) =>
      tar([
        file('c.json', config),
        file('l/layer.tar', layer.toString('latin1')),
        file('manifest.json', JSON.stringify([{ Config: 'c.json', RepoTags: tags, Layers: ['l/layer.tar'] }])),
      ]);
    writeFileSync(join(directory, 's.tar'), save(['busybox:1']));
    expect((await importArchive(images, join(directory, 's.tar')))[0]).toMatchObject({
      id: digestOf(config),
      repoTags: ['docker.io/library/busybox:1'],
      run: { Cmd: ['/a'] },
    });
    writeFileSync(join(directory, 's2.tar'), save(null));
    expect((await importArchive(images, join(directory, 's2.tar'), { name: 'given:2' }))[0]?.repoTags).toContain(
      'docker.io/library/given:2',
    );
  });

  test('a layer may be zstd', async () => {
    const layer = tar([file('z', 'zstd!')]);
    const blob = images.content.putBytes(zstdCompressSync(layer));
    const stored = {
      descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd', ...blob },
      diffId: digestOf(layer),
    };
    expect(
      images.view(await composeImage(images, { layers: [stored], run: {}, history: [] }, ['z'])).readText('/z'),
    ).toBe('zstd!');
  });

  test.each([
    ['nothing to be found', []],
    ['a way out of the archive', [file('../manifest.json', '[]')]],
    [
      'a config outside',
      [file('manifest.json', JSON.stringify([{ Config: '../../etc/passwd', RepoTags: null, Layers: [] }]))],
    ],
    [
      'a config behind a link',
      [
        { name: 'l', type: 'symlink', linkname: '../../../../../../etc/hostname' },
        file('manifest.json', JSON.stringify([{ Config: 'l', RepoTags: null, Layers: [] }])),
      ],
    ],
    [
      'a blob missing',
      [
        file('oci-layout', '{}'),
        file('index.json', JSON.stringify({ manifests: [{ mediaType: 'm', digest: digestOf('x'), size: 1 }] })),
      ],
    ],
  ] as [string, Entry[]][])('an archive with %s is refused', async (_, entries) => {
    writeFileSync(join(directory, 'bad.tar'), tar(entries));
    await expect(importArchive(images, join(directory, 'bad.tar'))).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('catalog', () => {
  test('a tag moves, shared layers stay until their last image goes', async () => {
    const base = tar([file('base')]);
    const one = await imageOf('app:1', base, tar([file('one')]));
    const two = await imageOf('app:1', base, tar([file('two')]));
    expect(images.catalog.find('app:1')?.id).toBe(two.id);
    expect(images.catalog.find(one.id)?.repoTags).toEqual([]);
    images.catalog.remove(one.id);
    expect((await images.collect()).layers).toBe(1);
    expect(images.view(two).readText('/base')).toBe('base');
    expect(images.catalog.find(two.id.slice(7, 19))?.id).toBe(two.id);
  });

  test('it survives a restart', async () => {
    const image = await imageOf('app:1', tar([file('x')]));
    const again = new Images({ stateDir: join(directory, 'state'), platform: images.platform, log: silentLogger });
    expect(again.catalog.find('app')?.id).toBeUndefined();
    expect(again.catalog.find('app:1')).toEqual(image);
  });
});
