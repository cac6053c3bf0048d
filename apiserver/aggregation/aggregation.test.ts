// An API that another server answers: found in discovery, asked as the front proxy on behalf of the user, watched, taken for
// unavailable when it is. The server here is a small one on the loopback, to which the API server's egress leads.
import { createServer, request, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueAuthority, issueCertificate } from '../auth/issue.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
const API_SERVICE = '/apis/apiregistration.k8s.io/v1/apiservices';
const RESOURCES = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: 'wardle.example.com/v1alpha1',
  resources: [
    {
      name: 'flunders',
      singularName: 'flunder',
      namespaced: true,
      kind: 'Flunder',
      verbs: ['get', 'list', 'watch'],
      shortNames: ['fl'],
    },
    { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] },
  ],
};
let server: TestServer;
let remote: Server;
let ca: string;
let isSick = false;
let port = 0;
const seen: IncomingMessage[] = [];
const open = new Set<Duplex>();

function answer(incoming: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'https://remote');
  const json = (body: object, code = 200) => {
    response.writeHead(code, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  if (isSick) return json({}, 500);
  switch (pathname) {
    case '/apis/wardle.example.com/v1alpha1':
      return json(RESOURCES);
    case '/openapi/v3':
      return json({
        paths: {
          'apis/wardle.example.com/v1alpha1': {
            serverRelativeURL: '/openapi/v3/apis/wardle.example.com/v1alpha1?hash=H',
          },
        },
      });
    case '/openapi/v3/apis/wardle.example.com/v1alpha1':
      return json({ openapi: '3.0.0', info: { title: 'wardle', version: '0' }, paths: {} });
    case '/openapi/v2':
      return json({
        swagger: '2.0',
        paths: { '/apis/wardle.example.com/v1alpha1/flunders': {}, '/api/v1/pods': { stolen: true } },
        definitions: { 'com.example.Flunder': { type: 'object' }, 'io.k8s.api.core.v1.Pod': { stolen: true } },
        parameters: { 'limit-1NfNmdNH': { name: 'limit', in: 'query', type: 'integer' } },
      });
  }
  seen.push(incoming);
  if (searchParams.get('watch')) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"type":"ADDED","object":{"kind":"Flunder"}}\n');
    return;
  }
  json({ kind: 'FlunderList', apiVersion: 'wardle.example.com/v1alpha1', metadata: {}, items: [] });
}

beforeAll(async () => {
  const nowMs = Date.now();
  const authority = await issueAuthority({ commonName: 'wardle-ca', days: 1, nowMs, serial: Buffer.from('01', 'hex') });
  ca = authority.certificatePem;
  const serving = await issueCertificate(
    { commonName: 'wardle', usage: 'server', sans: ['api.wardle.svc'], days: 1 },
    authority,
    nowMs,
    Buffer.from('02', 'hex'),
  );
  server = await startTestServer({
    egress: (to) => (to.host.startsWith('10.8.') ? { host: '127.0.0.1', port } : to),
  });
  remote = createServer(
    {
      key: serving.keyPem,
      cert: serving.certificatePem,
      ca: server.pki.frontProxyCaPem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    answer,
  );
  remote.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  remote.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
    seen.push(incoming);
    socket.on('end', () => socket.end());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi');
  });
  await new Promise<void>((resolve) => remote.listen(0, '127.0.0.1', resolve));
  port = (remote.address() as AddressInfo).port;
  await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'wardle' } } });
});
afterAll(async () => {
  for (const each of open) each.destroy();
  await new Promise((resolve) => remote.close(resolve));
  await server.stop();
});

/** Waits, by a watch, until the condition Available has `reason`. */
async function available(reason: string): Promise<{ status: string; message: string }> {
  const { keyPem: key, certificatePem: cert } = server.pki.admin;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.port,
        path: `${API_SERVICE}?watch=true&fieldSelector=metadata.name=v1alpha1.wardle.example.com`,
        ca: server.pki.caPem,
        key,
        cert,
        agent: false,
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk;
          const lines = text.split('\n');
          text = lines.pop() ?? '';
          for (const line of lines) {
            const found = JSON.parse(line).object.status?.conditions?.find(
              (each: { reason: string }) => each.reason === reason,
            );
            if (!found) continue;
            resolve(found);
            sent.destroy();
          }
        });
        response.on('error', () => {});
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

describe('what is served here', () => {
  it('has its APIServices, and gets them back', async () => {
    const { body } = await server.call('GET', API_SERVICE);
    const byName = new Map(body.items.map((each: any) => [each.metadata.name, each]));
    const apps: any = byName.get('v1.apps');
    expect(apps.spec).toEqual({ group: 'apps', version: 'v1', groupPriorityMinimum: 17800, versionPriority: 15 });
    expect(apps.status.conditions[0]).toMatchObject({ type: 'Available', status: 'True', reason: 'Local' });
    expect((byName.get('v1.') as any).spec).toEqual({ version: 'v1', groupPriorityMinimum: 18000, versionPriority: 1 });
    expect(byName.has('v1beta1.metrics.k8s.io')).toBe(true);
    expect(byName.has('v1.apiregistration.k8s.io')).toBe(false);
  });
});

describe('what another server answers', () => {
  it('says what is missing, until nothing is', async () => {
    await server.call('POST', API_SERVICE, {
      body: {
        metadata: { name: 'v1alpha1.wardle.example.com' },
        spec: {
          group: 'wardle.example.com',
          version: 'v1alpha1',
          groupPriorityMinimum: 2000,
          versionPriority: 10,
          caBundle: Buffer.from(ca).toString('base64'),
          service: { namespace: 'wardle', name: 'api' },
        },
      },
    });
    expect(await available('ServiceNotFound')).toMatchObject({
      status: 'False',
      message: 'service/api in "wardle" is not present',
    });
    const refused = await server.call('GET', '/apis/wardle.example.com/v1alpha1/flunders');
    expect([refused.code, refused.text]).toEqual([503, 'service unavailable\n']);
    await server.call('POST', '/api/v1/namespaces/wardle/services', {
      body: {
        metadata: { name: 'api' },
        spec: { selector: { app: 'api' }, ports: [{ name: 'https', port: 443, targetPort: 8443 }] },
      },
    });
    expect((await available('EndpointsNotFound')).message).toBe(
      'cannot find endpointslices for service/api in "wardle"',
    );
    const slice = {
      metadata: { name: 'api-1', labels: { 'kubernetes.io/service-name': 'api' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.8.0.1'], conditions: { ready: false } }],
      ports: [{ name: 'https', port: 8443 }],
    };
    const slices = '/apis/discovery.k8s.io/v1/namespaces/wardle/endpointslices';
    await server.call('POST', slices, { body: slice });
    expect((await available('MissingEndpoints')).message).toBe(
      'endpointslices for service/api in "wardle" have no addresses with port name "https"',
    );
    isSick = true;
    await server.call('PUT', `${slices}/api-1`, {
      body: { ...slice, endpoints: [{ addresses: ['10.8.0.1'], conditions: { ready: true } }] },
    });
    const url = 'https://10.8.0.1:8443/apis/wardle.example.com/v1alpha1';
    expect((await available('FailedDiscoveryCheck')).message).toBe(
      `failing or missing response from ${url}: bad status from ${url}: 500`,
    );
    isSick = false;
    expect(await available('Passed')).toMatchObject({ status: 'True', message: 'all checks passed' });
  });

  it('is in discovery and OpenAPI, in the order of priorities', async () => {
    const { body } = await server.call('GET', '/apis', { headers: { accept: AGGREGATED } });
    const names = body.items.map((each: any) => each.metadata.name);
    expect(names.slice(-2)).toEqual(['wardle.example.com', 'metrics.k8s.io']);
    const group = body.items.at(-2);
    expect(group.versions[0]).toMatchObject({ version: 'v1alpha1', freshness: 'Current' });
    expect(group.versions[0].resources).toEqual([
      {
        resource: 'flunders',
        responseKind: { group: 'wardle.example.com', version: 'v1alpha1', kind: 'Flunder' },
        scope: 'Namespaced',
        singularResource: 'flunder',
        verbs: ['get', 'list', 'watch'],
        shortNames: ['fl'],
        subresources: [
          {
            subresource: 'status',
            responseKind: { group: 'wardle.example.com', version: 'v1alpha1', kind: 'Flunder' },
            verbs: ['get'],
          },
        ],
      },
    ]);
    const legacy = await server.call('GET', '/apis');
    expect(legacy.body.groups.map((each: any) => each.name)).toEqual(names);
    expect((await server.call('GET', '/apis/wardle.example.com')).body).toMatchObject({
      kind: 'APIGroup',
      preferredVersion: { groupVersion: 'wardle.example.com/v1alpha1' },
    });
    expect((await server.call('GET', '/apis/wardle.example.com/v1alpha1')).body).toEqual(RESOURCES);
    const index = await server.call('GET', '/openapi/v3');
    const { serverRelativeURL } = index.body.paths['apis/wardle.example.com/v1alpha1'];
    expect((await server.call('GET', serverRelativeURL)).body.info.title).toBe('wardle');
    const swagger = (await server.call('GET', '/openapi/v2')).body;
    expect(swagger.paths['/apis/wardle.example.com/v1alpha1/flunders']).toEqual({});
    expect(swagger.definitions['com.example.Flunder']).toBeDefined();
    expect(swagger.definitions['io.k8s.api.core.v1.Pod'].stolen).toBeUndefined();
    expect(swagger.parameters['limit-1NfNmdNH']).toEqual({ name: 'limit', in: 'query', type: 'integer' });
  });

  it('is asked by the front proxy on behalf of the user', async () => {
    const path = '/apis/wardle.example.com/v1alpha1/namespaces/default/flunders?limit=500';
    const { body } = await server.call('GET', path, {
      headers: { 'x-remote-user': 'root', 'x-remote-group': 'system:masters' },
    });
    expect(body.kind).toBe('FlunderList');
    const last = seen.at(-1) as IncomingMessage;
    expect(last.url).toBe(path);
    expect((last.socket as TLSSocket).getPeerCertificate().subject.CN).toBe('front-proxy-client');
    expect(last.headers['x-remote-user']).toBe('kubernetes-admin');
    expect(last.headersDistinct['x-remote-group']).toEqual(['system:masters', 'system:authenticated']);
    expect(last.headers.host).toBe('api.wardle.svc:443');
    const denied = await server.call('GET', path, { headers: { 'impersonate-user': 'bob' } });
    expect(denied.body.message).toBe(
      'flunders.wardle.example.com is forbidden: User "bob" cannot list resource "flunders" in API group "wardle.example.com" in the namespace "default"',
    );
  });

  it('can be watched and spoken to in another protocol', async () => {
    const { keyPem: key, certificatePem: cert } = server.pki.admin;
    const to = { host: '127.0.0.1', port: server.port, ca: server.pki.caPem, key, cert, agent: false as const };
    const line = await new Promise((resolve, reject) => {
      const sent = request({ ...to, path: '/apis/wardle.example.com/v1alpha1/flunders?watch=true' }, (response) => {
        response.on('data', (chunk) => {
          resolve(String(chunk));
          sent.destroy();
        });
        response.on('error', () => {});
      });
      sent.on('error', reject);
      sent.end();
    });
    expect(line).toBe('{"type":"ADDED","object":{"kind":"Flunder"}}\n');
    const said = await new Promise((resolve, reject) => {
      const path = '/apis/wardle.example.com/v1alpha1/namespaces/default/flunders/x/connect';
      const sent = request({ ...to, path, headers: { connection: 'Upgrade', upgrade: 'echo' } });
      sent.on('upgrade', (_answer, socket, head) => {
        const done = (chunk: Buffer) => {
          resolve(String(chunk));
          socket.destroy();
        };
        if (head.length > 0) done(head);
        else socket.once('data', done);
      });
      sent.on('response', (response) => reject(new Error(`not upgraded: ${response.statusCode}`)));
      sent.on('error', reject);
      sent.end();
    });
    expect(said).toBe('hi');
  });

  it('is called stale when it is away, and gone when its APIService is', async () => {
    isSick = true;
    await server.call('PATCH', `${API_SERVICE}/v1alpha1.wardle.example.com`, {
      body: { spec: { versionPriority: 11 } },
      type: 'application/merge-patch+json',
    });
    await available('FailedDiscoveryCheck');
    const stale = await server.call('GET', '/apis', { headers: { accept: AGGREGATED } });
    const group = stale.body.items.find((each: any) => each.metadata.name === 'wardle.example.com');
    expect([group.versions[0].freshness, group.versions[0].resources.length]).toEqual(['Stale', 1]);
    expect((await server.call('GET', '/apis/wardle.example.com/v1alpha1/flunders')).code).toBe(503);
    await server.call('DELETE', `${API_SERVICE}/v1alpha1.wardle.example.com`);
    expect((await server.call('GET', '/apis/wardle.example.com/v1alpha1/flunders')).code).toBe(404);
  });
});
