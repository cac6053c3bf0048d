import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../lib/clock.ts';
import { ensureNodePki } from '../../auth/pki.ts';
import { startTestServer, type TestServer } from '../../testing/server.ts';

type Answer = Record<string, unknown>;
type Handler = (review: any, response: ServerResponse, request: IncomingMessage) => Answer | undefined;

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1';
/** Of a pod behind a service, reached at the loopback address. */
const POD_IP = '10.244.0.9';
const MAPS = '/api/v1/namespaces/default/configmaps';

let server: TestServer;
let hooks: Server;
let port = 0;
const handlers = new Map<string, Handler>();
/** Every review that was received, in order, with the path it came to. */
let seen: { path: string; request: any }[] = [];
let installed: string[] = [];

beforeAll(async () => {
  server = await startTestServer({
    egress: (to) => (to.host === POD_IP ? { host: '127.0.0.1', port: to.port } : to),
  });
  const sans = ['127.0.0.1', 'hook.default.svc'];
  const { serving } = await ensureNodePki(join(server.dir, 'pki'), 'hook', { clock: systemClock, sans });
  hooks = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const path = (request.url ?? '').split('?')[0] as string;
      seen.push({ path, request: review.request });
      const answer = handlers.get(path)?.(review.request, response, request);
      if (answer) respond(response, review.request.uid, answer);
    });
  });
  await new Promise<void>((resolve) => hooks.listen(0, '127.0.0.1', resolve));
  port = (hooks.address() as AddressInfo).port;
});

afterEach(async () => {
  for (const path of installed) await server.call('DELETE', path);
  installed = [];
  handlers.clear();
  seen = [];
});

afterAll(async () => {
  hooks.closeAllConnections();
  await new Promise((resolve) => hooks.close(resolve));
  await server.stop();
});

function respond(response: ServerResponse, uid: string, answer: Answer): void {
  const body = JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    response: { uid, ...answer },
  });
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(body);
}

const patch = (...operations: object[]): Answer => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

const setData = (key: string, value: string) => patch({ op: 'add', path: `/data/${key}`, value });

/** Installs one webhook, `handler` behind it, and waits until the server knows of it. */
async function install(type: 'mutating' | 'validating', name: string, handler: Handler, more: object = {}) {
  handlers.set(`/${name}`, handler);
  const path = `${CONFIGURATIONS}/${type}webhookconfigurations`;
  const webhook = {
    name: `${name}.example.com`,
    clientConfig: {
      url: `https://127.0.0.1:${port}/${name}`,
      caBundle: Buffer.from(server.pki.caPem).toString('base64'),
    },
    rules: [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 5,
    ...more,
  };
  const answer = await server.call('POST', path, { body: { metadata: { name }, webhooks: [webhook] } });
  expect(answer.text).toContain('"uid"');
  installed.push(`${path}/${name}`);
}

let count = 0;
const create = (more: object = {}, query = '', metadata: object = {}) =>
  server.call('POST', `${MAPS}${query}`, {
    body: { metadata: { name: `map-${++count}`, ...metadata }, data: { a: '1' }, ...more },
  });

describe('a validating webhook', () => {
  it('is asked with all that there is to know', async () => {
    await install('validating', 'ask', () => ({ allowed: true }));
    const { code } = await create({}, '?fieldManager=tester&dryRun=All');
    expect(code).toBe(201);
    const { request } = seen[0] as (typeof seen)[0];
    expect(request).toMatchObject({
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
      requestResource: { group: '', version: 'v1', resource: 'configmaps' },
      name: `map-${count}`,
      namespace: 'default',
      operation: 'CREATE',
      userInfo: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
      oldObject: null,
      dryRun: true,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', dryRun: ['All'], fieldManager: 'tester' },
    });
    expect(request.object).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', data: { a: '1' } });
    expect(request.object.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('sees updates, patches and deletions with what was there', async () => {
    await create();
    const path = `${MAPS}/map-${count}`;
    await install('validating', 'ask', () => ({ allowed: true }));
    await server.call('PATCH', path, { body: { data: { b: '2' } }, type: 'application/merge-patch+json' });
    await server.call('DELETE', path, { body: { propagationPolicy: 'Background' } });
    const [update, deletion] = seen.map((each) => each.request);
    expect(update).toMatchObject({
      operation: 'UPDATE',
      object: { data: { a: '1', b: '2' } },
      oldObject: { data: { a: '1' } },
      options: { kind: 'PatchOptions' },
    });
    expect(deletion).toMatchObject({
      operation: 'DELETE',
      object: null,
      oldObject: { data: { a: '1', b: '2' } },
      options: { kind: 'DeleteOptions', propagationPolicy: 'Background' },
    });
  });

  it.each<[string, Answer, number, string, string | undefined]>([
    ['with a message', { status: { message: 'not today' } }, 400, 'not today', undefined],
    ['with a code and a reason', { status: { message: 'm', code: 403, reason: 'Forbidden' } }, 403, 'm', 'Forbidden'],
    ['with a reason only', { status: { reason: 'Because' } }, 400, 'Because', 'Because'],
    ['with a code that is none', { status: { message: 'm', code: 200 } }, 400, 'm', undefined],
  ])('refuses %s', async (_, answer, code, message, reason) => {
    await install('validating', 'no', () => ({ allowed: false, ...answer }));
    const { body, code: got } = await create();
    expect(got).toBe(code);
    expect(body.message).toBe(`admission webhook "no.example.com" denied the request: ${message}`);
    expect(body.reason).toBe(reason);
  });

  it('refuses without explanation', async () => {
    await install('validating', 'no', () => ({ allowed: false }));
    expect((await create()).body.message).toBe(
      'admission webhook "no.example.com" denied the request without explanation',
    );
  });

  it('warns', async () => {
    await install('validating', 'warn', () => ({ allowed: true, warnings: ['mind the gap'] }));
    expect((await create()).headers.warning).toBe('299 - "mind the gap"');
  });

  it('is not asked about what does not concern it', async () => {
    await install('validating', 'no', () => ({ allowed: false }), {
      objectSelector: { matchLabels: { watched: 'yes' } },
      namespaceSelector: {
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['off'] }],
      },
    });
    expect((await create()).code).toBe(201);
    expect((await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'off' } } })).code).toBe(201);
    const labels = { watched: 'yes' };
    const there = { body: { metadata: { name: 'x', labels } } };
    expect((await server.call('POST', '/api/v1/namespaces/off/configmaps', there)).code).toBe(201);
    expect(seen).toEqual([]);
    expect((await create({}, '', { labels })).code).toBe(400);
  });

  it('cannot lock itself in', async () => {
    const everything = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }];
    await install('validating', 'no', () => ({ allowed: false }), { rules: everything });
    expect((await create()).code).toBe(400);
    const path = `${CONFIGURATIONS}/validatingwebhookconfigurations/no`;
    expect((await server.call('DELETE', path)).code).toBe(200);
    expect((await create()).code).toBe(201);
  });
});

describe('a webhook that fails', () => {
  const failures: [string, Handler, string][] = [
    ['is slow', () => undefined, 'context deadline exceeded'],
    [
      'answers another question',
      () => ({ allowed: true, uid: 'other' }),
      'received invalid webhook response: expected response.uid=',
    ],
    [
      'answers garbage',
      (_review, response) => void response.end('<html>'),
      "couldn't get version/kind; json parse error",
    ],
    [
      'answers with another kind',
      (_review, response) => void response.end('{"kind":"Pod","apiVersion":"v1"}'),
      'received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got v1, Kind=Pod',
    ],
    [
      'answers nothing',
      (_review, response) => void response.end('{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}'),
      'received invalid webhook response: webhook response was absent',
    ],
    [
      'sends elsewhere',
      (_review, response) => {
        response.writeHead(307, { location: `https://127.0.0.1:${port}/elsewhere` });
        response.end();
        return undefined;
      },
      'redirects are not followed',
    ],
    [
      'has an error of its own',
      (_review, response) => {
        response.writeHead(500);
        response.end('boom');
        return undefined;
      },
      'an error on the server ("boom") has prevented the request from succeeding',
    ],
    ['hangs up', (_review, response) => void response.destroy(), 'EOF'],
    [
      'hangs up in the middle',
      (_review, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{');
        setImmediate(() => response.destroy());
        return undefined;
      },
      'aborted',
    ],
    [
      'never stops talking',
      (_review, response) => {
        response.writeHead(200);
        const chunk = Buffer.alloc(4 * 1024 * 1024, ' ');
        const more = () => {
          while (!response.destroyed && response.write(chunk));
          response.once('drain', more);
        };
        more();
        return undefined;
      },
      'the answer is larger than',
    ],
  ];

  it.each(failures)('because it %s fails the request', async (_, handler, why) => {
    await install('validating', 'bad', handler, { timeoutSeconds: why.includes('deadline') ? 1 : 20 });
    const { code, body } = await create();
    expect(code).toBe(500);
    expect(body.reason).toBe('InternalError');
    expect(body.message).toMatch(/^Internal error occurred: failed calling webhook "bad\.example\.com": /);
    expect(body.message).toContain(why);
    expect(seen.every((each) => each.path === '/bad')).toBe(true);
  });

  it('is passed over when its failures are to be ignored, its refusals are not', async () => {
    await install('validating', 'bad', (_review, response) => void response.destroy(), { failurePolicy: 'Ignore' });
    expect((await create()).code).toBe(201);
    handlers.set('/bad', () => ({ allowed: false }));
    expect((await create()).code).toBe(400);
  });

  it('says whom it tried to reach', async () => {
    const clientConfig = { url: 'https://127.0.0.1:9/x', caBundle: Buffer.from(server.pki.caPem).toString('base64') };
    await install('validating', 'gone', () => undefined, { clientConfig });
    expect((await create()).body.message).toBe(
      'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: Post "https://127.0.0.1:9/x?timeout=5s": dial tcp 127.0.0.1:9: connect: connection refused',
    );
  });

  it('is not trusted without a certificate of its bundle', async () => {
    await install('validating', 'odd', () => ({ allowed: true }), {
      clientConfig: { url: `https://127.0.0.1:${port}/odd` },
    });
    expect((await create()).body.message).toContain(
      'tls: failed to verify certificate: x509: certificate signed by unknown authority',
    );
    expect(seen).toEqual([]);
  });
});

describe('a mutating webhook', () => {
  it('changes what is stored, reads it as what it is, and drops what is unknown', async () => {
    await install('mutating', 'set', () =>
      patch({ op: 'add', path: '/data/b', value: '2' }, { op: 'add', path: '/nonsense', value: 1 }),
    );
    const { body, code } = await create();
    expect(code).toBe(201);
    expect(body.data).toEqual({ a: '1', b: '2' });
    expect(body).not.toHaveProperty('nonsense');
  });

  it('gives an object that is not valid no chance', async () => {
    await install('mutating', 'set', () => patch({ op: 'add', path: '/data/b!', value: '2' }));
    expect((await create()).code).toBe(422);
  });

  it('sees what those before it did, in the order of their names', async () => {
    await install('mutating', 'b-second', ({ object }) => setData('b', `after ${object.data.a}`));
    await install('mutating', 'a-first', () => patch({ op: 'replace', path: '/data/a', value: 'first' }));
    expect((await create()).body.data).toEqual({ a: 'first', b: 'after first' });
    expect(seen.map((each) => each.path)).toEqual(['/a-first', '/b-second']);
  });

  it('is asked again about what was changed after it, when it says so, and once', async () => {
    await install('mutating', 'a-first', ({ object }) => setData('count', String(Object.keys(object.data).length)), {
      reinvocationPolicy: 'IfNeeded',
    });
    await install('mutating', 'b-second', () => setData('b', '2'));
    expect((await create()).body.data).toEqual({ a: '1', b: '2', count: '3' });
    expect(seen.map((each) => each.path)).toEqual(['/a-first', '/b-second', '/a-first']);
  });

  it('is asked before there is a name, where one is generated', async () => {
    await install('mutating', 'name', () => ({ allowed: true }));
    const { body } = await server.call('POST', MAPS, { body: { metadata: { generateName: 'gen-' } } });
    expect(body.metadata.name).toMatch(/^gen-[a-z0-9]{5}$/);
    expect(seen[0]?.request).not.toHaveProperty('name');
    expect(seen[0]?.request.object.metadata).not.toHaveProperty('uid');
  });

  it('may not answer with a patch and no type', async () => {
    await install('mutating', 'bad', () => ({ allowed: true, patch: 'W10=' }));
    expect((await create()).body.message).toBe(
      'Internal error occurred: failed calling webhook "bad.example.com": received invalid webhook response: webhook returned response.patch but not response.patchType',
    );
  });

  it('changes the scale of a Deployment through its Scale', async () => {
    const spec = {
      replicas: 1,
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    };
    const path = '/apis/apps/v1/namespaces/default/deployments';
    await server.call('POST', path, { body: { metadata: { name: 'd' }, spec } });
    await install('mutating', 'cap', () => patch({ op: 'replace', path: '/spec/replicas', value: 3 }), {
      rules: [{ operations: ['UPDATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments/scale'] }],
    });
    const { body } = await server.call('PATCH', `${path}/d/scale`, {
      body: { spec: { replicas: 9 } },
      type: 'application/merge-patch+json',
    });
    expect(body.spec.replicas).toBe(3);
    expect(seen[0]?.request).toMatchObject({
      kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
      resource: { resource: 'deployments' },
      subResource: 'scale',
      object: { kind: 'Scale', spec: { replicas: 9 } },
      oldObject: { spec: { replicas: 1 } },
    });
    expect((await server.call('GET', `${path}/d`)).body.spec.replicas).toBe(3);
  });

  it('puts back managed fields that it broke', async () => {
    await install('mutating', 'break', () =>
      patch({ op: 'replace', path: '/metadata/managedFields', value: [{ operation: 'Guess', apiVersion: 'v1' }] }),
    );
    const { body, headers } = await create();
    expect(body.metadata.managedFields[0].operation).toBe('Update');
    expect(headers.warning).toContain('.metadata.managedFields was in an invalid state after admission');
  });
});

describe('a service', () => {
  it('is reached at a ready endpoint, under its own name', async () => {
    const service = {
      metadata: { name: 'hook' },
      spec: { clusterIP: 'None', ports: [{ name: 'https', port: 443, targetPort: port }] },
    };
    await server.call('POST', '/api/v1/namespaces/default/services', { body: service });
    await install('validating', 'svc', () => ({ allowed: false, status: { message: 'reached' } }), {
      clientConfig: {
        service: { namespace: 'default', name: 'hook', path: '/svc' },
        caBundle: Buffer.from(server.pki.caPem).toString('base64'),
      },
    });
    expect((await create()).body.message).toContain(
      'failed to call webhook: Post "https://hook.default.svc:443/svc?timeout=5s": no endpoints available for service "hook"',
    );
    const slice = {
      metadata: { name: 'hook-1', labels: { 'kubernetes.io/service-name': 'hook' } },
      addressType: 'IPv4',
      ports: [{ name: 'https', port }],
      endpoints: [{ addresses: [POD_IP], conditions: { ready: true } }],
    };
    const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    expect((await server.call('POST', path, { body: slice })).code).toBe(201);
    expect((await create()).body.message).toBe('admission webhook "svc.example.com" denied the request: reached');
  });
});

describe('connections and bodies of other kinds', () => {
  it('are admitted as what they are', async () => {
    await install('validating', 'no', ({ object }) => ({ allowed: false, status: { message: object.kind } }), {
      rules: [
        {
          operations: ['*'],
          apiGroups: ['*'],
          apiVersions: ['*'],
          resources: ['pods/*', 'serviceaccounts/token', 'subjectaccessreviews'],
        },
      ],
    });
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    const denied = async (path: string, body: object) => (await server.call('POST', path, { body })).body.message;
    const text = (kind: string) => `admission webhook "no.example.com" denied the request: ${kind}`;
    const pods = '/api/v1/namespaces/default/pods';
    expect(await denied(pods, { metadata: { name: 'p' }, spec })).toBe(
      'pods "p" is forbidden: error looking up service account default/default: serviceaccount "default" not found',
    );
    expect(await denied(`${pods}/p/eviction`, { metadata: { name: 'p' } })).toBe(text('Eviction'));
    expect(await denied(`${pods}/p/binding`, { metadata: { name: 'p' }, target: { name: 'n' } })).toBe(text('Binding'));
    expect(await denied('/api/v1/namespaces/default/serviceaccounts/x/token', { spec: { audiences: [] } })).toBe(
      text('TokenRequest'),
    );
    const review = { spec: { user: 'u', nonResourceAttributes: { path: '/', verb: 'get' } } };
    expect(await denied('/apis/authorization.k8s.io/v1/subjectaccessreviews', review)).toBe(
      text('SubjectAccessReview'),
    );
    expect(seen[0]?.request).toMatchObject({
      kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      subResource: 'eviction',
      operation: 'CREATE',
    });
  });
});
