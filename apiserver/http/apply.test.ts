// Server-side apply and managed fields over HTTP: what a client sees of them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

let server: TestServer;
let names = 0;
const fresh = () => `o${++names}`;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const apply = (path: string, manager: string, body: unknown, query = '') =>
  server.call('PATCH', `${path}?${manager && `fieldManager=${manager}`}${query}`, { body, type: APPLY });

const configMap = (name: string, data: object) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

const deployment = (name: string, replicas?: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    ...(replicas !== undefined && { replicas }),
    selector: { matchLabels: { app: 'x' } },
    template: { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
});

type Entry = { manager: string; operation: string; subresource?: string; fieldsV1: object };
const managers = (object: { metadata: { managedFields?: Entry[] } }) =>
  (object.metadata.managedFields ?? []).map((each) =>
    [each.manager, each.operation, ...(each.subresource ? [each.subresource] : [])].join(' '),
  );

describe('apply', () => {
  it('creates, changes, and writes nothing when there is nothing to write', async () => {
    const path = `${CONFIG_MAPS}/${fresh()}`;
    const name = path.split('/').at(-1) as string;
    const yaml = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  a: "1"\n  b: "1"\n`;
    const made = await apply(path, 'one', yaml);
    expect(made.code).toBe(201);
    expect(managers(made.body)).toEqual(['one Apply']);
    const again = await apply(path, 'one', configMap(name, { a: '1', b: '1' }));
    expect([again.code, again.body]).toEqual([200, made.body]);
    const less = await apply(path, 'one', configMap(name, { a: '1' }));
    expect(less.body.data).toEqual({ a: '1' });
    expect(less.body.metadata.resourceVersion).not.toBe(made.body.metadata.resourceVersion);
  });

  it('answers what is stored, and stores what it answers', async () => {
    const path = `${DEPLOYMENTS}/${fresh()}`;
    const made = await apply(path, 'one', deployment(path.split('/').at(-1) as string, 2));
    expect((await server.call('GET', path)).body).toEqual(made.body);
  });

  it('refuses conflicts until it is forced', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    await apply(path, 'one', configMap(name, { a: '1' }));
    const refused = await apply(path, 'two', configMap(name, { a: '2' }));
    expect(refused.code).toBe(409);
    expect(refused.body).toMatchObject({
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .data.a',
      details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.a' }] },
    });
    const forced = await apply(path, 'two', configMap(name, { a: '2' }), '&force=true');
    expect([forced.code, managers(forced.body)]).toEqual([200, ['two Apply']]);
  });

  it('only tries with dryRun', async () => {
    const name = fresh();
    const tried = await apply(`${CONFIG_MAPS}/${name}`, 'one', configMap(name, { a: '1' }), '&dryRun=All');
    expect([tried.code, tried.body.data]).toEqual([201, { a: '1' }]);
    expect((await server.call('GET', `${CONFIG_MAPS}/${name}`)).code).toBe(404);
  });

  it('compares the resourceVersion that a configuration names', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    await apply(path, 'one', configMap(name, { a: '1' }));
    const stale = { ...configMap(name, { a: '2' }), metadata: { name, resourceVersion: '1' } };
    expect((await apply(path, 'one', stale)).body).toMatchObject({ code: 409, reason: 'Conflict' });
  });

  it('goes on with what somebody else has created meanwhile', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    const all = await Promise.all(
      ['one', 'two', 'three', 'four'].map((each) => apply(path, each, configMap(name, { [each]: '' }))),
    );
    expect(all.map((each) => each.code).sort()).toEqual([200, 200, 200, 201]);
    const now = await server.call('GET', path);
    expect(Object.keys(now.body.data).sort()).toEqual(['four', 'one', 'three', 'two']);
  });

  it('reaches status and scale, each with managers of its own', async () => {
    const name = fresh();
    const path = `${DEPLOYMENTS}/${name}`;
    await apply(path, 'one', deployment(name, 2));
    const head = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name } };
    const status = await apply(`${path}/status`, 'two', { ...head, spec: { replicas: 9 }, status: { replicas: 2 } });
    expect(status.body).toMatchObject({ spec: { replicas: 2 }, status: { replicas: 2 } });
    expect(status.body.metadata.managedFields).toMatchObject([
      { manager: 'one', operation: 'Apply' },
      { manager: 'two', operation: 'Apply', subresource: 'status', fieldsV1: { 'f:status': { 'f:replicas': {} } } },
    ]);
    const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name }, spec: { replicas: 3 } };
    const refused = await apply(`${path}/scale`, 'hpa', scale);
    expect(refused.body.message).toBe('Apply failed with 1 conflict: conflict with "one": .spec.replicas');
    const scaled = await apply(`${path}/scale`, 'hpa', scale, '&force=true');
    expect(scaled.body).toMatchObject({ kind: 'Scale', spec: { replicas: 3 } });
    const back = await apply(path, 'one', deployment(name, 2));
    expect(back.body.message).toBe(
      'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale": .spec.replicas',
    );
    const left = await apply(path, 'one', deployment(name));
    expect(left.body.spec.replicas).toBe(3);
  });

  it('needs the right to create', async () => {
    const name = fresh();
    const role = {
      metadata: { name },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['patch', 'get'] }],
    };
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', { body: role });
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      body: {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'patcher' }],
      },
    });
    const as = { headers: { 'impersonate-user': 'patcher' }, type: APPLY, body: configMap(name, {}) };
    await expect
      .poll(async () => (await server.call('PATCH', `${CONFIG_MAPS}/${name}?fieldManager=x`, as)).body.message)
      .toMatch(/User "patcher" cannot create resource "configmaps"/);
    await server.call('POST', CONFIG_MAPS, { body: configMap(name, {}) });
    expect((await server.call('PATCH', `${CONFIG_MAPS}/${name}?fieldManager=x`, as)).code).toBe(200);
  });

  it.each([
    ['', {}, 422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'],
    ['one', { apiVersion: 'v2' }, 400, 'invalid object type: /v2, Kind=ConfigMap'],
    ['one', { metadata: { managedFields: [{}] } }, 400, 'metadata.managedFields must be nil'],
    [
      'one',
      { metadata: { name: 'other' } },
      400,
      'the name of the object (other) does not match the name on the URL (x)',
    ],
    [
      'one',
      { datum: {} },
      500,
      'failed to create typed patch object (/x; /v1, Kind=ConfigMap): .datum: field not declared in schema',
    ],
  ])('refuses (manager %j) %j', async (manager, change, code, message) => {
    const answer = await apply(`${CONFIG_MAPS}/x`, manager, { ...configMap('x', {}), ...change });
    expect([answer.code, answer.body.message]).toEqual([code, message]);
  });

  it('refuses what is no YAML, doubled keys if asked to, and force for other patches', async () => {
    expect((await apply(`${CONFIG_MAPS}/x`, 'one', '{{{')).body.message).toMatch(/^error decoding YAML: /);
    expect((await apply(`${CONFIG_MAPS}/x`, 'one', '[]')).code).toBe(400);
    const doubled = 'apiVersion: v1\nkind: ConfigMap\nkind: ConfigMap\nmetadata: {name: doubled}\n';
    const strict = await apply(`${CONFIG_MAPS}/doubled`, 'one', doubled, '&fieldValidation=Strict');
    expect([strict.code, strict.body.message]).toEqual([400, expect.stringMatching(/^error strict decoding YAML: /)]);
    const forced = await server.call('PATCH', `${CONFIG_MAPS}/x?force=true`, { body: {}, type: MERGE });
    expect([forced.code, forced.body.message]).toEqual([
      422,
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    ]);
  });
});

describe('managed fields', () => {
  it('name the field manager, or the head of the user agent', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    await server.call('POST', CONFIG_MAPS, {
      body: configMap(name, { a: '1' }),
      headers: { 'user-agent': 'thing.exe/v1.2 (linux)' },
    });
    const body = { data: { b: '1' } };
    const patched = await server.call('PATCH', `${path}?fieldManager=me`, { body, type: MERGE });
    expect(managers(patched.body).sort()).toEqual(['me Update', 'thing.exe Update']);
    const watched = await server.call('GET', `${CONFIG_MAPS}?fieldSelector=metadata.name=${name}`);
    expect(watched.body.items[0].metadata.managedFields).toEqual(patched.body.metadata.managedFields);
  });

  it('are handed over by a JSON patch, and forgotten by an empty entry', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    const made = await server.call('POST', `${CONFIG_MAPS}?fieldManager=kubectl-client-side-apply`, {
      body: configMap(name, { a: '1' }),
    });
    const { managedFields, resourceVersion } = made.body.metadata;
    const value = [{ ...managedFields[0], manager: 'kubectl', operation: 'Apply' }];
    const patch = (version: string) =>
      server.call('PATCH', `${path}?fieldManager=kubectl`, {
        type: 'application/json-patch+json',
        body: [
          { op: 'replace', path: '/metadata/managedFields', value },
          { op: 'replace', path: '/metadata/resourceVersion', value: version },
        ],
      });
    expect((await patch('1')).code).toBe(409);
    expect(managers((await patch(resourceVersion)).body)).toEqual(['kubectl Apply']);
    const less = await apply(path, 'kubectl', configMap(name, { b: '1' }));
    expect(less.body.data).toEqual({ b: '1' });
    const reset = await server.call('PATCH', path, { body: { metadata: { managedFields: [{}] } }, type: MERGE });
    expect(reset.body.metadata).not.toHaveProperty('managedFields');
    await apply(path, 'kubectl', configMap(name, { b: '1' }));
    const emptied = { ...configMap(name, { b: '1' }), metadata: { name, managedFields: [] } };
    const put = await server.call('PUT', path, { body: emptied });
    expect([put.code, put.body.metadata.managedFields]).toEqual([200, undefined]);
  });

  it('survive a PUT without them, and one that garbles them', async () => {
    const name = fresh();
    const path = `${CONFIG_MAPS}/${name}`;
    await apply(path, 'one', configMap(name, { a: '1' }));
    const put = await server.call('PUT', `${path}?fieldManager=two`, { body: configMap(name, { a: '1', b: '1' }) });
    expect(managers(put.body).sort()).toEqual(['one Apply', 'two Update']);
    const garbled = configMap(name, { a: '1', b: '1' });
    Object.assign(garbled.metadata, { managedFields: [{ manager: 'x', operation: 'Update' }] });
    const after = await server.call('PUT', `${path}?fieldManager=two`, { body: garbled });
    expect([after.code, after.body]).toEqual([200, put.body]);
  });

  it('are of the server for what the server makes', async () => {
    const found = await server.call('GET', '/api/v1/namespaces/default');
    expect(managers(found.body)).toEqual(['kube-apiserver Update']);
  });

  it('are in PartialObjectMetadata too', async () => {
    const name = fresh();
    const made = await apply(`${CONFIG_MAPS}/${name}`, 'one', configMap(name, { a: '1' }));
    const accept = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
    const partial = await server.call('GET', `${CONFIG_MAPS}/${name}`, { headers: { accept } });
    expect(partial.body.metadata).toEqual(made.body.metadata);
  });
});
