// The proxy subresources: a pod, a service and a node reached through the API server as through a long path. The backend is
// a small server on the loopback; the API server's egress leads the cluster's addresses to it.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { encodePath, pathBelow } from './connect.ts';
import { isProxyable, splitSchemeNamePort } from './locations.ts';
import { LinkRewriter, rewriteUrl } from './rewrite.ts';

const NS = '/api/v1/namespaces/default';
const places = new Map<string, number>();
let server: TestServer;
let backend: Server;
let kubelet: ReturnType<typeof createTlsServer>;
const seen: IncomingMessage[] = [];

const PAGE =
  '<!-- <a href="/no"> --><a class=x href="/login?next=/">in</a><a href="rel">r</a><script>"<a href=\'/no\'>"</script>';

beforeAll(async () => {
  backend = createServer((incoming, answer) => {
    seen.push(incoming);
    const { pathname } = new URL(incoming.url ?? '/', 'http://backend');
    if (pathname === '/page') {
      answer.setHeader('content-type', 'text/html; charset=utf-8');
      answer.setHeader('access-control-allow-origin', '*');
      if (!incoming.headers['accept-encoding']) return void answer.end(PAGE);
      answer.setHeader('content-encoding', 'gzip');
      return void answer.end(gzipSync(PAGE));
    }
    if (pathname === '/moved') return void answer.writeHead(302, { location: '/there/?a=1' }).end();
    if (pathname === '/fail') return void answer.writeHead(418, { 'x-pot': 'tea' }).end('short and stout');
    let size = 0;
    incoming.on('data', (chunk: Buffer) => (size += chunk.length));
    incoming.on('end', () => {
      answer.setHeader('set-cookie', ['a=1', 'b=2']);
      answer.end(JSON.stringify({ method: incoming.method, url: incoming.url, size }));
    });
  });
  backend.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
    seen.push(incoming);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
    socket.on('end', () => socket.end());
    socket.on('error', () => {});
  });
  const port = await listening(backend);
  for (const place of ['10.9.0.1:8080', '10.9.0.2:80', '10.9.0.9:9100']) places.set(place, port);
  places.set('10.9.0.3:80', 1);
  server = await startTestServer({
    egress: (to) => {
      const found = places.get(`${to.host}:${to.port}`);
      return found === undefined ? to : { host: '127.0.0.1', port: found };
    },
  });
  const serving = server.pki.nodes['node-a']?.serving;
  kubelet = createTlsServer(
    { key: serving?.keyPem, cert: serving?.certificatePem, ca: server.pki.caPem, requestCert: true },
    (incoming, answer) => answer.end(`kubelet ${incoming.url}`),
  );
  places.set('10.9.0.9:10250', await listening(kubelet));
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a' } } });
  await status('/api/v1/nodes/node-a', { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] });
  await pod('p', '10.9.0.1', [{ containerPort: 8080 }]);
  await pod('q', '10.9.0.2');
  await pod('gone', '10.9.0.3');
  await pod('local', '127.0.0.1');
  await server.call('POST', `${NS}/services`, {
    body: {
      metadata: { name: 's' },
      spec: { ports: [{ name: 'web', port: 80, targetPort: 8080 }], clusterIP: 'None' },
    },
  });
  await server.call('POST', `${NS}/services`, {
    body: { metadata: { name: 'empty' }, spec: { ports: [{ port: 80 }] } },
  });
  await server.call('POST', `${NS}/endpoints`, {
    body: {
      metadata: { name: 's' },
      subsets: [
        {
          addresses: [
            { ip: '10.9.0.1', targetRef: { kind: 'Pod', namespace: 'default', name: 'p' } },
            { ip: '10.9.0.77', targetRef: { kind: 'Pod', namespace: 'default', name: 'p' } },
          ],
          ports: [{ name: 'web', port: 8080 }],
        },
      ],
    },
  });
});
afterAll(async () => {
  backend.closeAllConnections();
  kubelet.closeAllConnections();
  await Promise.all([backend, kubelet].map((each) => new Promise((resolve) => each.close(resolve))));
  await server.stop();
});

function listening(one: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}): Promise<number> {
  return new Promise((resolve) => one.listen(0, '127.0.0.1', () => resolve((one.address() as AddressInfo).port)));
}

const status = (path: string, body: object) =>
  server.call('PATCH', `${path}/status`, { body: { status: body }, type: 'application/merge-patch+json' });

async function pod(name: string, ip: string, ports: object[] = []): Promise<void> {
  const spec = { nodeName: 'node-a', containers: [{ name: 'c', image: 'i', ports }] };
  await server.call('POST', `${NS}/pods`, { body: { metadata: { name }, spec } });
  await status(`${NS}/pods/${name}`, { phase: 'Running', podIP: ip, podIPs: [{ ip }] });
}

describe('a pod', () => {
  it('is reached with every verb, below its path, at its first declared port', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      const body = method === 'GET' ? undefined : 'x'.repeat(5000);
      const answer = await server.call(method, `${NS}/pods/p/proxy/a/b%20c/?q=1&q=2`, { body, type: 'text/plain' });
      expect([answer.code, answer.body]).toEqual([200, { method, url: '/a/b%20c/?q=1&q=2', size: body?.length ?? 0 }]);
      expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    }
  });
  it('is asked without what the client showed to be let in', async () => {
    await server.call('GET', `${NS}/pods/p:8080/proxy/x`, {
      headers: {
        authorization: 'Bearer nobody',
        'x-remote-user': 'root',
        te: 'trailers',
        'x-mine': '1',
        cookie: 'k=v',
      },
    });
    const { headers } = seen.at(-1) as IncomingMessage;
    expect(headers).toMatchObject({ 'x-mine': '1', cookie: 'k=v', 'x-forwarded-for': '127.0.0.1' });
    expect(headers['x-forwarded-uri']).toBe(`${NS}/pods/p:8080/proxy/x`);
    for (const name of ['authorization', 'x-remote-user', 'te']) expect(headers[name]).toBeUndefined();
  });
  it('has its links and redirects below the path', async () => {
    const base = `${NS}/pods/p/proxy`;
    const page = await server.call('GET', `${base}/page`);
    const wanted = PAGE.replace('"/login', `"${base}/login`);
    expect(page.text).toBe(wanted);
    expect(page.headers['access-control-allow-origin']).toBeUndefined();
    expect((await server.call('GET', `${base}/moved`)).headers['location']).toBe(`${base}/there/?a=1`);
    const root = await server.call('GET', `${base}?x=1`);
    expect([root.code, root.headers['location']]).toEqual([301, `${base}/?x=1`]);
    const zipped = await raw(`${base}/page`, { 'accept-encoding': 'gzip' });
    expect(gunzipSync(zipped).toString()).toBe(wanted);
  });
  it('answers what it wants, or a Status tells why it cannot', async () => {
    const own = await server.call('GET', `${NS}/pods/p/proxy/fail`);
    expect([own.code, own.text, own.headers['x-pot']]).toEqual([418, 'short and stout', 'tea']);
    const cases: [string, number, string, string][] = [
      [
        'pods/gone/proxy/',
        503,
        'ServiceUnavailable',
        'error trying to reach service: dial tcp 10.9.0.3:80: connect: connection refused',
      ],
      ['pods/local/proxy/', 400, 'BadRequest', 'address not allowed'],
      ['pods/ftp:p:1/proxy/', 400, 'BadRequest', 'invalid pod request "ftp:p:1"'],
      ['pods/none/proxy/', 404, 'NotFound', 'pods "none" not found'],
      ['services/s:81/proxy/', 503, 'ServiceUnavailable', 'no service port 81 found for service "s"'],
      ['services/s/proxy/', 503, 'ServiceUnavailable', 'no endpoints available for service "s"'],
      ['services/empty/proxy/', 503, 'ServiceUnavailable', 'no endpoints available for service "empty"'],
    ];
    for (const [path, code, reason, message] of cases) {
      const { body } = await server.call('GET', `${NS}/${path}`);
      expect(body).toMatchObject({ kind: 'Status', code, reason, message });
    }
  });
  it('speaks another protocol after an upgrade', async () => {
    const { keyPem: key, certificatePem: cert } = server.pki.admin;
    const socket = await new Promise<Duplex>((resolve, reject) => {
      const sent = request({
        host: '127.0.0.1',
        port: server.port,
        path: `${NS}/pods/p/proxy/live?x=1`,
        ca: server.pki.caPem,
        key,
        cert,
        agent: false,
        headers: { connection: 'Upgrade', upgrade: 'echo' },
      });
      sent.on('upgrade', (_answer, opened) => resolve(opened));
      sent.on('response', (answer) => reject(new Error(`not upgraded: ${answer.statusCode}`)));
      sent.on('error', reject);
      sent.end();
    });
    const echoed = new Promise((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));
    socket.write('hello');
    expect(await echoed).toBe('HELLO');
    expect(seen.at(-1)?.url).toBe('/live?x=1');
    socket.destroy();
  });
  it('wants the right to its proxy', async () => {
    const answer = await server.call('GET', `${NS}/pods/p/proxy/`, { headers: { 'impersonate-user': 'bob' } });
    expect(answer.body.message).toBe(
      'pods "p" is forbidden: User "bob" cannot get resource "pods/proxy" in API group "" in the namespace "default"',
    );
  });
});

describe('a service', () => {
  it('is reached at a ready endpoint, by the name or the number of its port', async () => {
    for (const id of ['s:web', 's:80', 'http:s:web']) {
      const answer = await server.call('GET', `${NS}/services/${id}/proxy/ok`);
      expect(answer.body).toMatchObject({ url: '/ok' });
    }
  });
});

describe('a node', () => {
  it('answers as its kubelet, asked by the API server', async () => {
    await status('/api/v1/nodes/node-a', {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: places.get('10.9.0.9:10250') } },
    });
    const answer = await server.call('GET', '/api/v1/nodes/node-a/proxy/stats/summary?only_cpu_and_memory=true');
    expect(answer.text).toBe('kubelet /stats/summary?only_cpu_and_memory=true');
    expect((await server.call('GET', '/api/v1/nodes/node-a:9100/proxy/metrics')).body.message).toBe(
      'address not allowed',
    );
    expect((await server.call('GET', '/api/v1/nodes/nope/proxy/')).code).toBe(404);
  });
});

describe('discovery', () => {
  it('lists the proxies with their verbs', async () => {
    const { body } = await server.call('GET', '/api/v1');
    const proxies = body.resources.filter((each: { name: string }) => each.name.endsWith('/proxy'));
    expect(proxies.map((each: { name: string; kind: string }) => `${each.name} ${each.kind}`)).toEqual([
      'nodes/proxy NodeProxyOptions',
      'pods/proxy PodProxyOptions',
      'services/proxy ServiceProxyOptions',
    ]);
    expect(proxies[0].verbs).toEqual(['create', 'delete', 'get', 'patch', 'update']);
  });
});

describe('decisions', () => {
  it.each([
    ['p', { scheme: '', name: 'p', port: '' }],
    ['p:80', { scheme: '', name: 'p', port: '80' }],
    ['https:p:', { scheme: 'https', name: 'p', port: '' }],
    ['ftp:p:80', undefined],
    [':80', undefined],
    ['a:b:c:d', undefined],
  ])('%s', (id, wanted) => expect(splitSchemeNamePort(id)).toEqual(wanted));

  it.each([
    ['10.0.0.1', true],
    ['127.0.0.1', false],
    ['169.254.169.254', false],
    ['0.0.0.0', false],
    ['224.0.0.1', false],
    ['::1', false],
    ['fe80::1', false],
    ['2001:db8::1', true],
    ['::ffff:127.0.0.1', false],
    ['name', false],
  ])('%s is proxied to: %s', (address, wanted) => expect(isProxyable(address)).toBe(wanted));

  const place = { prefix: '/long/proxy', backendHost: '10.0.0.1:80', requestHost: 'api:6443' };
  it.each([
    ['/a', '/long/proxy/a'],
    ['/', '/long/proxy/'],
    ['/long/proxy/a', '/long/proxy/a'],
    ['a/b', 'a/b'],
    ['http://10.0.0.1:80/a?b#c', '/long/proxy/a?b#c'],
    ['http://elsewhere/a', 'http://elsewhere/a'],
    ['mailto:x@y', 'mailto:x@y'],
    ['#top', '#top'],
  ])('the link %s becomes %s', (link, wanted) => expect(rewriteUrl(link, place)).toBe(wanted));

  it('tags are rewritten wherever the bytes are cut', async () => {
    const whole = `<p title="a>b"><img alt=é src='/x.png'><a href=/y>t</a></p>`;
    const bytes = Buffer.from(whole);
    for (let cut = 1; cut < bytes.length; cut++) {
      const rewriter = new LinkRewriter(place);
      const chunks: Buffer[] = [];
      rewriter.on('data', (chunk: Buffer) => chunks.push(chunk));
      rewriter.write(bytes.subarray(0, cut));
      rewriter.end(bytes.subarray(cut));
      await new Promise((resolve) => rewriter.on('end', resolve));
      expect(Buffer.concat(chunks).toString()).toBe(
        `<p title="a>b"><img alt=é src='/long/proxy/x.png'><a href=/long/proxy/y>t</a></p>`,
      );
    }
  });

  it('paths go on as Go writes them', () => {
    expect(encodePath("/a b/!'()*/$&+,;:@=")).toBe('/a%20b/%21%27%28%29%2A/$&+,;:@=');
    expect(pathBelow('/api/v1/nodes/n/proxy', ['nodes', 'n', 'proxy'])).toBe('');
    expect(pathBelow('/api/v1/nodes/n/proxy/', ['nodes', 'n', 'proxy'])).toBe('/');
    expect(pathBelow('/api/v1/nodes/n/proxy/a/', ['nodes', 'n', 'proxy', 'a'])).toBe('/a/');
  });
});

function raw(path: string, headers: Record<string, string>): Promise<Buffer> {
  const { keyPem: key, certificatePem: cert } = server.pki.admin;
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: server.port, path, ca: server.pki.caPem, key, cert, agent: false, headers },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve(Buffer.concat(chunks)));
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}
