// Pull and push against a registry of our own that can lie, refuse and stumble.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../lib/log.ts';
import { tarEnd, tarHeader, tarPadding } from '../../snapshots/tar.ts';
import { composeImage, storeLayer } from '../compose.ts';
import type { ImageRecord } from '../catalog.ts';
import { digestOf } from '../digest.ts';
import { Images } from '../images.ts';
import { parseChallenges } from './challenge.ts';
import { type PullOptions, pullImage } from './pull.ts';
import { pushImage } from './push.ts';

let directory: string;
let images: Images;
let server: Server;
let host = '';
let blobs: Map<string, Buffer>;
let manifests: Map<string, { type: string; bytes: Buffer }>;
let seen: string[];
/** Answers before the registry does; returns true when it has. */
let intercept: (request: IncomingMessage, response: ServerResponse, path: string) => boolean;

// Time does not pass for retries.
const options: PullOptions = {
  clock: { ...systemClock, after: (ms, callback) => systemClock.after(ms < 60_000 ? 0 : ms, callback) },
  random: () => 0,
};

function store(name: string): Images {
  return new Images({
    stateDir: join(directory, name),
    platform: { os: 'linux', architecture: 'amd64' },
    log: silentLogger,
  });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sampan-registry-'));
  images = store('one');
  blobs = new Map();
  manifests = new Map();
  seen = [];
  intercept = () => false;
  server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const content = Buffer.from('hello');
  const tar = Buffer.concat([tarHeader({ name: 'hello', type: 'file', size: 5 }), content, tarPadding(5), tarEnd]);
  const layer = await storeLayer(images, Readable.from([tar]));
  await composeImage(images, { layers: [layer], run: { Cmd: ['/hello'] }, history: [] }, [`${host}/team/app:1`]);
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', `http://${host}`);
  seen.push(`${request.method} ${url.pathname}`);
  if (intercept(request, response, url.pathname)) return;
  const [, kind, what = ''] = /^\/v2\/team\/app\/(blobs|manifests)\/(.*)$/.exec(url.pathname) ?? [];
  const end = (code: number, body?: Buffer, headers = {}) =>
    response.writeHead(code, headers).end(request.method === 'HEAD' ? undefined : body);
  if (kind === 'blobs' && request.method === 'POST')
    return void end(202, undefined, { location: `/v2/team/app/blobs/uploads/7?state=x` });
  if (kind === 'blobs' && request.method === 'PUT') {
    const body = await buffer(request);
    const digest = url.searchParams.get('digest') as string;
    if (digest !== `sha256:${createHash('sha256').update(body).digest('hex')}` || url.searchParams.get('state') !== 'x')
      return void end(400);
    blobs.set(digest, body);
    return void end(201);
  }
  if (kind === 'blobs') {
    const blob = blobs.get(what);
    return void (blob ? end(200, blob, { 'content-length': blob.length }) : end(404));
  }
  if (kind === 'manifests' && request.method === 'PUT') {
    const entry = { type: request.headers['content-type'] as string, bytes: await buffer(request) };
    manifests.set(what, entry).set(digestOf(entry.bytes), entry);
    return void end(201);
  }
  const manifest = manifests.get(what);
  if (!manifest)
    return void end(404, Buffer.from('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'));
  end(200, manifest.bytes, { 'content-type': manifest.type, 'docker-content-digest': digestOf(manifest.bytes) });
}

const push = () => pushImage(images, `${host}/team/app:1`, options);
const pull = (name = ':1', more: Partial<PullOptions> = {}) =>
  pullImage(store('two'), `${host}/team/app${name}`, { ...options, ...more });

test('what is pushed can be pulled, by tag and by digest', async () => {
  const digest = await push();
  const pulled = await pull();
  expect(pulled).toMatchObject({
    id: images.catalog.list()[0]?.id,
    repoTags: [`${host}/team/app:1`],
    repoDigests: [`${host}/team/app@${digest}`],
  });
  expect((await pull(`@${digest}`)).id).toBe(pulled.id);
});

test('a second push or pull moves no blob', async () => {
  await push();
  const two = store('two');
  await pullImage(two, `${host}/team/app:1`, options);
  seen = [];
  await push();
  await pullImage(two, `${host}/team/app:1`, options);
  expect(seen.filter((line) => line.startsWith('POST') || line.startsWith('GET /v2/team/app/blobs'))).toEqual([]);
});

describe('an image that the disk has damaged', () => {
  let two: Images;
  const blobPath = (digest: string) => two.content.path(digest);
  const damages: Record<string, (record: ImageRecord) => void> = {
    'a bit of the manifest': ({ manifest }) => flip(blobPath(manifest.digest)),
    'a bit of the config': ({ config }) => flip(blobPath(config.digest)),
    'the config is gone': ({ config }) => rmSync(blobPath(config.digest)),
    'the layer is cut short': ({ layers }) => truncateSync(blobPath(layers[0]?.digest ?? ''), 20),
    'the unpacked layer is gone': () => rmSync(layerOf(two), { recursive: true }),
    'files of the unpacked layer are gone': () => rmSync(join(layerOf(two), 'fs'), { recursive: true }),
    'the unpacked layer is gone, and a bit of its blob': ({ layers }) => {
      rmSync(layerOf(two), { recursive: true });
      flip(blobPath(layers[0]?.digest ?? ''));
    },
    'what is known of the layer': () => writeFileSync(join(layerOf(two), 'layer.json'), '{'),
    'the list of images': () => writeFileSync(join(two.root, 'images.json'), '{"images":[{'),
  };
  const layerOf = (of: Images) => join(of.snapshots.directory, readdirSync(of.snapshots.directory)[0] ?? '');
  const flip = (path: string) => {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };

  test.each(Object.keys(damages))('is repaired by the next pull: %s', async (what) => {
    const digest = await push();
    two = store('two');
    const record = await pullImage(two, `${host}/team/app@${digest}`, options);
    damages[what]?.(record);
    // As after a restart of the runtime.
    two = store('two');
    const isUsable = two.whole(record.id) !== undefined;
    expect(isUsable).toBe(!/unpacked|layer$|list/.test(what));
    await pullImage(two, `${host}/team/app@${digest}`, options);
    expect(two.whole(record.id)).toMatchObject({ id: record.id });
    expect(readFileSync(join(two.snapshots.lowerDirs(two.chain(record))[0] ?? '', 'hello'), 'utf8')).toBe('hello');
    for (const { digest: each } of [record.manifest, record.config])
      expect(digestOf(two.content.read(each))).toBe(each);
    expect(two.content.fits(record.layers[0] as never)).toBe(true);
    await two.collect();
    expect(readdirSync(two.snapshots.directory)).toHaveLength(1);
  });
});

test('an index is resolved for this platform', async () => {
  const digest = await push();
  const entry = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: manifests.get(digest)?.bytes.length,
  };
  const index = (architecture: string) =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { ...entry, digest: digestOf('arm'), platform: { os: 'linux', architecture: 'arm64' } },
          { ...entry, platform: { os: 'linux', architecture } },
        ],
      }),
    );
  manifests.set('multi', { type: 'application/vnd.docker.distribution.manifest.list.v2+json', bytes: index('amd64') });
  manifests.set('foreign', { type: 'application/vnd.oci.image.index.v1+json', bytes: index('s390x') });
  expect((await pull(':multi')).repoDigests).toEqual([`${host}/team/app@${digestOf(index('amd64'))}`]);
  await expect(pull(':foreign')).rejects.toThrow('no match for platform linux/amd64');
});

test('wrong content is refused and leaves nothing', async () => {
  await push();
  for (const [digest, blob] of blobs) blobs.set(digest, Buffer.alloc(blob.length, 1));
  const two = store('two');
  await expect(pullImage(two, `${host}/team/app:1`, options)).rejects.toMatchObject({ kind: 'corrupt' });
  expect(two.catalog.list()).toEqual([]);
});

test('a manifest that does not have the digest it was asked by is refused', async () => {
  const digest = await push();
  manifests.set(digest, { type: 'x', bytes: Buffer.from('{"schemaVersion":2}') });
  await expect(pull(`@${digest}`)).rejects.toMatchObject({ kind: 'corrupt' });
});

test('a transfer that breaks off is tried again', async () => {
  await push();
  let broken = 0;
  intercept = (request, response, path) => {
    if (request.method !== 'GET' || !path.includes('/blobs/') || broken >= 2) return false;
    broken++;
    response.writeHead(200, { 'content-length': 1000 }).write('abc');
    setTimeout(() => response.destroy(), 5);
    return true;
  };
  await pull();
  expect(broken).toBe(2);
});

/** Every blob's transfer breaks off in the middle `times` times; ranges are honoured. Returns the ranges asked for. */
function breakOff(times: number): (string | undefined)[] {
  const ranges: (string | undefined)[] = [];
  const left = new Map<string, number>();
  intercept = (request, response, path) => {
    const blob = blobs.get(path.split('/').at(-1) as string);
    if (request.method !== 'GET' || !blob) return false;
    const { range } = request.headers;
    ranges.push(range);
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]);
    const rest = blob.subarray(start);
    response.writeHead(range ? 206 : 200, {
      'content-length': rest.length,
      ...(range && { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` }),
    });
    const remaining = left.get(path) ?? times;
    left.set(path, remaining - 1);
    if (remaining <= 0) response.end(rest);
    else response.write(rest.subarray(0, 40), () => setImmediate(() => response.destroy()));
    return true;
  };
  return ranges;
}

test('a transfer goes on where it broke off, also in the next process', async () => {
  await push();
  const ranges = breakOff(4);
  await expect(pull()).rejects.toMatchObject({ kind: 'unavailable' });
  expect(ranges.filter((range) => range === undefined).length).toBe(2);
  ranges.length = 0;
  const image = await pull();
  expect(ranges.length).toBeGreaterThan(0);
  expect(ranges).not.toContain(undefined);
  expect(store('two').view(image).readText('/hello')).toBe('hello');
});

test('a registry that answers another range, or lies in the rest, is not believed', async () => {
  await push();
  breakOff(4);
  await expect(pull()).rejects.toThrow();
  intercept = (request, response, path) => {
    if (!request.headers.range || !path.includes('/blobs/')) return false;
    response.writeHead(206, { 'content-range': 'bytes 0-9/10', 'content-length': 10 }).end('0123456789');
    return true;
  };
  await expect(pull()).rejects.toThrow('another range than was asked for');
  intercept = (request, response, path) => {
    const blob = blobs.get(path.split('/').at(-1) as string);
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]);
    if (!blob || !start) return false;
    const lie = Buffer.alloc(blob.length - start, 1);
    response.writeHead(206, { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` }).end(lie);
    return true;
  };
  await expect(pull()).rejects.toMatchObject({ kind: 'corrupt' });
  intercept = () => false;
  await pull();
});

test('a registry that goes silent fails the pull after a while; other pulls go on, and the next one takes up the rest', async () => {
  await push();
  const config = images.catalog.list()[0]?.config.digest as string;
  let stalls = true;
  const ranges: (string | undefined)[] = [];
  const stalled: ServerResponse[] = [];
  intercept = (request, response, path) => {
    const blob = path.includes(config) ? blobs.get(config) : undefined;
    if (!blob) return false;
    ranges.push(request.headers.range);
    if (!stalls) return false;
    response.writeHead(200, { 'content-length': blob.length }).write(blob.subarray(0, 10));
    stalled.push(response);
    return true;
  };
  const silent = { clock: systemClock, progressTimeoutMs: 200 };
  const failed = pull(':1', silent);
  failed.catch(() => undefined);
  await expect.poll(() => stalled.length).toBe(1);
  // Another image of the same store meanwhile: only its manifest is wanted, and it is not there.
  await expect(pullImage(store('three'), `${host}/team/app:none`, options)).rejects.toMatchObject({
    kind: 'not-found',
  });
  await expect(failed).rejects.toMatchObject({
    kind: 'unavailable',
    message: `GET http://${host}/v2/team/app/blobs/${config}: no progress in 0.2s`,
  });
  // Not tried over and over within one pull.
  expect(ranges).toEqual([undefined]);
  await expect.poll(() => stalled[0]?.destroyed).toBe(true);
  stalls = false;
  await pull(':1', silent);
  expect(ranges).toEqual([undefined, 'bytes=10-']);
  // Silent before the answer.
  intercept = () => true;
  await expect(pull(':other', silent)).rejects.toThrow(/manifests\/other: no progress in 0.2s/);
});

test('a layer that two pulls want at once comes once', async () => {
  await push();
  const two = store('two');
  seen = [];
  await Promise.all([1, 2, 3].map(() => pullImage(two, `${host}/team/app:1`, options)));
  expect(seen.filter((each) => each.includes('/blobs/')).length).toBe(blobs.size);
});

test('servers that stumble are tried again, but not for ever', async () => {
  await push();
  let faults = 2;
  intercept = (_request, response) => {
    if (faults-- <= 0) return false;
    response.writeHead(503).end();
    return true;
  };
  await pull();
  faults = Number.POSITIVE_INFINITY;
  seen = [];
  await expect(pull(':other')).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('503') });
  expect(seen.length).toBe(4);
});

test('what is not there is said in the registry’s words', async () => {
  await expect(pull(':none')).rejects.toMatchObject({
    kind: 'not-found',
    message: expect.stringContaining('MANIFEST_UNKNOWN: manifest unknown'),
  });
});

test('a token is fetched with the credentials and used, a wrong password is told', async () => {
  await push();
  intercept = (request, response, path) => {
    if (path === '/token') {
      const good = request.headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`;
      const scope = new URL(request.url ?? '', 'http://x').searchParams.get('scope');
      response.writeHead(good ? 200 : 401).end(JSON.stringify({ token: `for ${scope}` }));
      return true;
    }
    if (request.headers.authorization === 'Bearer for repository:team/app:pull') return false;
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="s"` }).end();
    return true;
  };
  await pull(':1', { credentials: { kind: 'basic', username: 'me', password: 'secret' } });
  await expect(pull(':1', { credentials: { kind: 'basic', username: 'me', password: 'no' } })).rejects.toMatchObject({
    kind: 'unauthorized',
  });
});

test('basic authentication, and none where it is wanted', async () => {
  await push();
  intercept = (request, response) => {
    if (request.headers.authorization?.startsWith('Basic ')) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    return true;
  };
  await pull(':1', { credentials: { kind: 'basic', username: 'u', password: 'p' } });
  await expect(pull()).rejects.toMatchObject({ kind: 'unauthorized' });
});

test('a redirect to another host is followed without the credentials', async () => {
  await push();
  const got: (string | undefined)[] = [];
  const other = createServer((request, response) => {
    got.push(request.headers.authorization);
    response.end(blobs.get(decodeURIComponent((request.url ?? '').slice(1))));
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  intercept = (request, response, path) => {
    if (!request.headers.authorization) response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    else if (path.includes('/blobs/')) {
      const digest = path.slice(path.lastIndexOf('/') + 1);
      response
        .writeHead(307, {
          location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/${encodeURIComponent(digest)}`,
        })
        .end();
    } else return false;
    return true;
  };
  try {
    await pull(':1', { credentials: { kind: 'basic', username: 'u', password: 'p' } });
    expect(got).toEqual([undefined, undefined]);
  } finally {
    other.closeAllConnections();
    other.close();
  }
});

test('challenges are parsed', () => {
  expect(parseChallenges('Bearer realm="https://a/b?c,d",service=s , Basic realm="x\\"y"')).toEqual([
    { scheme: 'bearer', parameters: { realm: 'https://a/b?c,d', service: 's' } },
    { scheme: 'basic', parameters: { realm: 'x"y' } },
  ]);
});
