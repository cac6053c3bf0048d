// Versions that a webhook converts, over TLS: what it is asked, what its answers may change, and what clients see when it fails.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { DEFINITIONS, definitionOf, establish, GROUP, schemaOf, versionOf } from './testing/definitions.ts';

let server: TestServer;
let webhook: Server;
let reviews: any[] = [];
let answer: (review: any) => any;

/** v1 has `spec.host` with a port in it, v2 has them apart. */
function convert(object: any, apiVersion: string): any {
  const { host, port, ...spec } = object.spec ?? {};
  if (apiVersion.endsWith('/v2')) {
    const [name, number] = String(host ?? '').split(':');
    return { ...object, apiVersion, spec: { ...spec, host: name, port: number } };
  }
  return { ...object, apiVersion, spec: { ...spec, host: `${host}:${port}` } };
}

const honest = (review: any) => ({
  apiVersion: review.apiVersion,
  kind: review.kind,
  response: {
    uid: review.request.uid,
    result: { status: 'Success' },
    convertedObjects: review.request.objects.map((each: any) => convert(each, review.request.desiredAPIVersion)),
  },
});

/** An honest answer whose objects are then changed. */
const changing = (change: (object: any) => void) => (review: any) => {
  const result = honest(review);
  result.response.convertedObjects.forEach(change);
  return result;
};

beforeAll(async () => {
  server = await startTestServer();
  const { pki } = server;
  webhook = createServer({ key: pki.apiserver.keyPem, cert: pki.apiserver.certificatePem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString());
      reviews.push(review);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answer(review)));
    });
  });
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
  const text = { type: 'string' };
  const spec = { type: 'object', properties: { host: text, port: text, color: { type: 'string', default: 'red' } } };
  await establish(
    server,
    definitionOf(
      'routes',
      'Route',
      [
        versionOf('v1', schemaOf({ type: 'object', properties: { host: text, color: text } })),
        versionOf('v2', schemaOf(spec), { storage: false }),
      ],
      {
        conversion: {
          strategy: 'Webhook',
          webhook: {
            conversionReviewVersions: ['v1'],
            clientConfig: {
              url: `https://127.0.0.1:${(webhook.address() as AddressInfo).port}/convert`,
              caBundle: Buffer.from(pki.caPem).toString('base64'),
            },
          },
        },
      },
    ),
  );
});

beforeEach(() => {
  reviews = [];
  answer = honest;
});

afterAll(async () => {
  await server.stop();
  webhook.closeAllConnections();
  await new Promise((resolve) => webhook.close(resolve));
});

const path = (version: string, name = '') => `/apis/${GROUP}/${version}/namespaces/default/routes${name && `/${name}`}`;
const route = (version: string, name: string, spec: object) => ({
  apiVersion: `${GROUP}/${version}`,
  kind: 'Route',
  metadata: { name },
  spec,
});

test('objects are stored in one version and served in both', async () => {
  const made = await server.call('POST', path('v2'), { body: route('v2', 'a', { host: 'x', port: '80' }) });
  expect(made).toMatchObject({
    code: 201,
    body: { apiVersion: `${GROUP}/v2`, spec: { host: 'x', port: '80', color: 'red' } },
  });
  const stored = await server.call('GET', path('v1', 'a'));
  expect(stored.body.spec).toEqual({ host: 'x:80', color: 'red' });
  const patched = await server.call('PATCH', path('v1', 'a'), {
    body: { spec: { host: 'y:81' } },
    type: 'application/merge-patch+json',
  });
  expect(patched.code).toBe(200);
  const read = await server.call('GET', path('v2', 'a'));
  expect(read.body.spec).toMatchObject({ host: 'y', port: '81' });
  expect(read.body.metadata.resourceVersion).toBe(patched.body.metadata.resourceVersion);
  expect(reviews[0]).toMatchObject({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'ConversionReview',
    request: { uid: expect.any(String), desiredAPIVersion: `${GROUP}/v1`, objects: [{ metadata: { name: 'a' } }] },
  });
});

test('a list is asked for in one review, and reading it again asks for nothing', async () => {
  for (let i = 0; i < 20; i++) {
    await server.call('POST', path('v1'), { body: route('v1', `many-${i}`, { host: `h:${i}` }) });
  }
  // A change of the definition starts its caches anew.
  const name = `${DEFINITIONS}/routes.${GROUP}`;
  const definition = (await server.call('GET', name)).body;
  definition.spec.versions[1].additionalPrinterColumns = [{ name: 'Host', type: 'string', jsonPath: '.spec.host' }];
  await server.call('PUT', name, { body: definition });
  reviews = [];
  expect((await server.call('GET', path('v2'))).body.items).toHaveLength(21);
  // Every object at its newest revision, and the revisions before it from which watches may resume: all at once.
  expect(reviews).toHaveLength(1);
  expect(new Set(reviews[0].request.objects.map((each: any) => each.metadata.name)).size).toBe(21);
  await server.call('GET', path('v2'));
  expect(reviews).toHaveLength(1);
});

test.each<[string, (review: any) => any, string]>([
  [
    'another count',
    (review) => ({ ...honest(review), response: { ...honest(review).response, convertedObjects: [] } }),
    'returned 0 objects, expected 1',
  ],
  [
    'a refusal',
    (review) => ({
      ...honest(review),
      response: { uid: review.request.uid, result: { status: 'Failed', message: 'not today' } },
    }),
    'failed: not today',
  ],
  [
    'another uid',
    (review) => ({ ...honest(review), response: { ...honest(review).response, uid: 'x' } }),
    'failed: expected response.uid=',
  ],
  [
    'another kind of answer',
    () => ({ kind: 'Other', apiVersion: 'v1' }),
    'failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got v1, Kind=Other',
  ],
  [
    'another version',
    changing((each) => {
      each.apiVersion = `${GROUP}/v3`;
    }),
    `returned invalid converted object at index 0: invalid groupVersion (expected ${GROUP}/v1, received ${GROUP}/v3)`,
  ],
  [
    'another name',
    changing((each) => {
      each.metadata = { ...each.metadata, name: 'other' };
    }),
    'returned invalid converted object at index 0: must have the same name: bad != other',
  ],
])('an answer with %s fails the request and says why', async (_what, wrong, message) => {
  answer = wrong;
  const made = await server.call('POST', path('v2'), { body: route('v2', 'bad', { host: 'x', port: '1' }) });
  expect(made.code).toBe(500);
  expect(made.body.message).toContain(`conversion webhook for ${GROUP}/v2, Kind=Route ${message}`);
  answer = honest;
  expect((await server.call('GET', path('v1', 'bad'))).code).toBe(404);
});

test('labels and annotations may change, nothing else of the metadata', async () => {
  answer = changing((each) => {
    each.metadata = { ...each.metadata, labels: { by: 'webhook' }, finalizers: ['x.example.com/y'], generation: 99 };
  });
  const made = await server.call('POST', path('v2'), { body: route('v2', 'meta', { host: 'x', port: '1' }) });
  expect(made.code).toBe(201);
  const stored = (await server.call('GET', path('v1', 'meta'))).body.metadata;
  expect(stored).toMatchObject({ labels: { by: 'webhook' }, generation: 1 });
  expect(stored.finalizers).toBeUndefined();
});

test('reads fail while it fails, and come back with it', async () => {
  const name = `${DEFINITIONS}/routes.${GROUP}`;
  const definition = (await server.call('GET', name)).body;
  definition.spec.names.categories = ['all'];
  await server.call('PUT', name, { body: definition });
  answer = () => ({});
  const failed = await server.call('GET', path('v2'));
  expect(failed.code).toBe(500);
  expect(failed.body.message).toContain('conversion webhook for');
  expect((await server.call('GET', path('v1'))).code).toBe(200);
  answer = honest;
  expect((await server.call('GET', path('v2'))).code).toBe(200);
});
