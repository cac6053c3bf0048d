// What an update may do beside changing what it is about: create, skip the version, change metadata with a status.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const NS = '/api/v1/namespaces/default';

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const call: TestServer['call'] = (...parameters) => server.call(...parameters);
const put = (path: string, body: object) => call('PUT', path, { body });
const post = (path: string, body: object) => call('POST', path, { body });

describe('PUT to a name that there is not', () => {
  it.each<[string, string, object, number]>([
    ['Service', `${NS}/services/fresh`, { spec: { ports: [{ port: 80 }] } }, 201],
    ['LimitRange', `${NS}/limitranges/fresh`, { spec: { limits: [] } }, 201],
    ['RuntimeClass', '/apis/node.k8s.io/v1/runtimeclasses/fresh', { handler: 'h' }, 201],
    ['ConfigMap', `${NS}/configmaps/fresh`, {}, 404],
    ['StorageClass', '/apis/storage.k8s.io/v1/storageclasses/fresh', { provisioner: 'p' }, 404],
  ])('%s', async (_, path, body, code) => {
    const answer = await put(path, { metadata: { name: 'fresh' }, ...body });
    // What may not be created so was not found.
    expect(answer.code).toBe(code);
  });
});

describe('PUT without a version', () => {
  const rules = { rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }] };
  const webhook = {
    name: 'a.example.com',
    clientConfig: { url: 'https://127.0.0.1:1/x' },
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    failurePolicy: 'Ignore',
    objectSelector: { matchLabels: { never: 'here' } },
    ...rules,
  };
  const policy = {
    matchConstraints: { resourceRules: rules.rules, objectSelector: { matchLabels: { never: 'here' } } },
    validations: [{ expression: 'true' }],
  };
  it.each<[string, object]>([
    ['/apis/node.k8s.io/v1/runtimeclasses', { handler: 'h' }],
    ['/apis/storage.k8s.io/v1/csidrivers', { spec: {} }],
    ['/apis/storage.k8s.io/v1/csinodes', { spec: { drivers: [] } }],
    ['/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities', { storageClassName: 'a' }],
    [
      '/apis/storage.k8s.io/v1/volumeattachments',
      { spec: { attacher: 'a', nodeName: 'n', source: { persistentVolumeName: 'v' } } },
    ],
    ['/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', { webhooks: [webhook] }],
    ['/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies', { spec: policy }],
  ])('%s', async (path, rest) => {
    const body = { metadata: { name: 'known.example.com' }, ...rest };
    expect(await post(path, body)).toMatchObject({ code: 201 });
    const answer = await put(`${path}/known.example.com`, body);
    expect(answer.code).toBe(422);
    expect(answer.body.details.causes).toEqual([
      {
        reason: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        message: 'Invalid value: 0: must be specified for an update',
      },
    ]);
  });

  it('of other kinds is unconditional', async () => {
    const body = { metadata: { name: 'known' } };
    await post(`${NS}/configmaps`, body);
    expect((await put(`${NS}/configmaps/known`, { ...body, data: { a: 'b' } })).body.data).toEqual({ a: 'b' });
  });
});

describe('the status', () => {
  it('is written with labels, where upstream keeps no others out', async () => {
    const quota = (await post(`${NS}/resourcequotas`, { metadata: { name: 'q' } })).body;
    quota.metadata.labels = { a: 'b' };
    quota.spec = { hard: { pods: '1' } };
    const { body } = await put(`${NS}/resourcequotas/q/status`, quota);
    expect(body.metadata.labels).toEqual({ a: 'b' });
    expect(body.spec).toEqual({});
  });

  it('is written without them to others', async () => {
    const path = '/apis/networking.k8s.io/v1/servicecidrs';
    const range = (await post(path, { metadata: { name: 'r' }, spec: { cidrs: ['10.9.0.0/24'] } })).body;
    range.metadata.labels = { a: 'b' };
    const { code, body } = await put(`${path}/r/status`, range);
    expect([code, body.metadata.labels]).toEqual([200, undefined]);
  });

  it('of a new node is what it says', async () => {
    const { body } = await post('/api/v1/nodes', { metadata: { name: 'n' }, status: { capacity: { cpu: '2' } } });
    expect(body.status.capacity).toEqual({ cpu: '2' });
  });
});

it('no update sets when something is deleted', async () => {
  const body = (await post(`${NS}/configmaps`, { metadata: { name: 'alive' } })).body;
  body.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  body.metadata.deletionGracePeriodSeconds = 1;
  const answer = await put(`${NS}/configmaps/alive`, body);
  expect(answer.code).toBe(422);
  expect(answer.body.details.causes.map((each: { field: string }) => each.field)).toEqual([
    'metadata.deletionTimestamp',
    'metadata.deletionGracePeriodSeconds',
  ]);
});

it('finalizers of a namespace are checked where they are written', async () => {
  const body = (await post('/api/v1/namespaces', { metadata: { name: 'f' } })).body;
  body.spec.finalizers = ['kubernetes', 'mine'];
  const answer = await put('/api/v1/namespaces/f/finalize', body);
  expect(answer.code).toBe(422);
  expect(answer.body.message).toBe(
    'Namespace "f" is invalid: spec.finalizers[1]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
  );
});
