// A small registry for tests: `registry-process.ts [USER PASSWORD]` prints its port on loopback, keeps all in memory and wants
// the login, if there is one, for everything. What is pulled from `lies/<lie>/…` is what was pushed under its tag, with a lie.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

const [user, password] = process.argv.slice(2);
const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const blobs = new Map<string, Buffer>();
const manifests = new Map<string, { type: string; bytes: Buffer }>();
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://registry');
  const end = (code: number, body?: Buffer, headers: Record<string, string> = {}) =>
    void response.writeHead(code, headers).end(request.method === 'HEAD' ? undefined : body);
  if (user && request.headers.authorization !== wanted)
    return end(401, undefined, { 'www-authenticate': 'Basic realm="test"' });
  const [, kind, what = ''] = /^\/v2\/.+\/(blobs|manifests)\/(.*)$/.exec(url.pathname) ?? [];
  if (kind === 'blobs' && request.method === 'POST') return end(202, undefined, { location: `${url.pathname}1` });
  if (kind === 'blobs' && request.method === 'PUT') {
    const body = await buffer(request);
    if (url.searchParams.get('digest') !== digestOf(body)) return end(400);
    blobs.set(digestOf(body), body);
    return end(201);
  }
  const lie = /^\/v2\/lies\/([a-z-]+)\//.exec(url.pathname)?.[1];
  if (lie === 'broken') return end(500);
  if (lie === 'page' && kind === 'manifests')
    return end(200, Buffer.from('<html>Sign in to the hotel network</html>'), { 'content-type': 'text/html' });
  const blob = kind === 'blobs' ? blobs.get(what) : undefined;
  if (blob && lie === 'other-bytes') {
    const other = Buffer.from(blob);
    other[other.length - 1] = (other.at(-1) as number) ^ 1;
    return end(200, other);
  }
  if (blob && lie === 'cut-off') {
    response.writeHead(200, { 'content-length': blob.length });
    return void response.write(blob.subarray(0, blob.length / 2), () => response.destroy());
  }
  if (kind === 'blobs') return blobs.has(what) ? end(200, blobs.get(what)) : end(404);
  if (kind === 'manifests' && request.method === 'PUT') {
    const bytes = await buffer(request);
    const entry = { type: request.headers['content-type'] ?? '', bytes };
    manifests.set(what, entry).set(digestOf(bytes), entry);
    return end(201);
  }
  const manifest = manifests.get(what);
  return manifest ? end(200, manifest.bytes, { 'content-type': manifest.type }) : end(404);
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
