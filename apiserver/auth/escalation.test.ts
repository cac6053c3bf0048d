// Nobody grants what they do not hold, over HTTP: roles, bindings, aggregation, and what a start repairs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryStore } from '../storage/memory.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const IN_DEFAULT = `${RBAC}/namespaces/default`;
const eve = { 'impersonate-user': 'eve' };

beforeAll(async () => {
  server = await startTestServer();
  // Eve may write roles and bindings, and read pods.
  await server.call('POST', `${RBAC}/clusterroles`, {
    body: {
      metadata: { name: 'writer' },
      rules: [
        {
          verbs: ['get', 'create', 'update', 'patch', 'delete'],
          apiGroups: ['rbac.authorization.k8s.io'],
          resources: ['roles', 'rolebindings', 'clusterroles'],
        },
        { verbs: ['get'], apiGroups: [''], resources: ['pods'] },
      ],
    },
  });
  await bind('writers', 'writer', 'eve');
});
afterAll(() => server.stop());

const bind = (name: string, role: string, user: string) =>
  server.call('POST', `${RBAC}/clusterrolebindings`, {
    body: {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', name: user }],
    },
  });

const pods = (...verbs: string[]) => [{ verbs, apiGroups: [''], resources: ['pods'] }];
const asEve = (method: string, path: string, body: unknown, type?: string) =>
  server.call(method, path, { body, headers: eve, ...(type && { type }) });

describe('escalation', () => {
  it('of a role is refused, with what is missing', async () => {
    await expect
      .poll(
        async () => (await asEve('POST', `${IN_DEFAULT}/roles`, { metadata: { name: 'a' }, rules: pods('get') })).code,
      )
      .toBe(201);
    const refused = await asEve('POST', `${IN_DEFAULT}/roles`, { metadata: { name: 'b' }, rules: pods('get', 'list') });
    expect(refused.code).toBe(403);
    expect(refused.body.message).toBe(
      'roles.rbac.authorization.k8s.io "b" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
    );
    const patch = [{ op: 'add', path: '/rules/0/verbs/-', value: 'list' }];
    expect((await asEve('PATCH', `${IN_DEFAULT}/roles/a`, patch, 'application/json-patch+json')).code).toBe(403);
    const update = { metadata: { name: 'a' }, rules: pods('*') };
    expect((await asEve('PUT', `${IN_DEFAULT}/roles/a`, update)).code).toBe(403);
    // What does not grant is not judged.
    const label = { metadata: { labels: { x: 'y' } } };
    expect((await asEve('PATCH', `${IN_DEFAULT}/roles/a`, label, 'application/merge-patch+json')).code).toBe(200);
  });

  it('of a binding is refused', async () => {
    const binding = (name: string, role: string) => ({
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', name: 'eve' }],
    });
    const refused = await asEve('POST', `${IN_DEFAULT}/rolebindings`, binding('up', 'view'));
    expect(refused.code).toBe(403);
    expect(refused.body.message).toMatch(/^rolebindings.* "up" is forbidden: user "eve" .*not currently held:\n/);
    const missing = await asEve('POST', `${IN_DEFAULT}/rolebindings`, binding('up', 'nothing'));
    expect(missing.body).toMatchObject({
      code: 404,
      message: 'clusterrole.rbac.authorization.k8s.io "nothing" not found',
    });
    expect((await asEve('POST', `${IN_DEFAULT}/rolebindings`, binding('same', 'writer'))).code).toBe(201);
  });

  it('is open to who may escalate or bind', async () => {
    await server.call('POST', `${RBAC}/clusterroles`, {
      body: {
        metadata: { name: 'grantor' },
        rules: [
          {
            verbs: ['bind', 'escalate'],
            apiGroups: ['rbac.authorization.k8s.io'],
            resources: ['clusterroles', 'roles'],
            resourceNames: ['view', 'a'],
          },
        ],
      },
    });
    await bind('grantors', 'grantor', 'eve');
    const update = { metadata: { name: 'a' }, rules: pods('*') };
    await expect.poll(async () => (await asEve('PUT', `${IN_DEFAULT}/roles/a`, update)).code).toBe(200);
    const body = (role: string) => ({
      metadata: { generateName: 'g-' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', name: 'x' }],
    });
    expect((await asEve('POST', `${IN_DEFAULT}/rolebindings`, body('view'))).code).toBe(201);
    expect((await asEve('POST', `${IN_DEFAULT}/rolebindings`, body('edit'))).code).toBe(403);
  });

  it('by an aggregation rule needs everything', async () => {
    const role = {
      metadata: { name: 'collect' },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { x: 'y' } }] },
      rules: [],
    };
    const refused = await asEve('POST', `${RBAC}/clusterroles`, role);
    expect(refused.body.message).toBe(
      'clusterroles.rbac.authorization.k8s.io "collect" is forbidden: must have cluster-admin privileges to use the aggregationRule',
    );
    expect((await server.call('POST', `${RBAC}/clusterroles`, { body: role })).code).toBe(201);
  });

  it('leaves a role reference as it is', async () => {
    const changed = await server.call('PATCH', `${RBAC}/clusterrolebindings/writers`, {
      body: { roleRef: { name: 'cluster-admin' } },
      type: 'application/merge-patch+json',
    });
    expect(changed.code).toBe(422);
    expect(changed.body.message).toMatch(/cannot change roleRef/);
  });
});

it('a start repairs the default roles', async () => {
  const store = createMemoryStore();
  const keep = { ...store, close: async () => {} };
  const first = await startTestServer({ store: keep });
  const role = `${RBAC}/clusterroles/system:basic-user`;
  const off = `${RBAC}/clusterroles/system:discovery`;
  const strip = (annotations?: object) => ({
    body: { rules: [], ...(annotations && { metadata: { annotations } }) },
    type: 'application/merge-patch+json',
  });
  expect((await first.call('PATCH', role, strip())).code).toBe(200);
  await first.call('PATCH', off, strip({ 'rbac.authorization.kubernetes.io/autoupdate': 'false' }));
  await first.stop();
  const second = await startTestServer({ store: keep });
  expect((await second.call('GET', role)).body.rules).not.toHaveLength(0);
  expect((await second.call('GET', off)).body.rules ?? []).toHaveLength(0);
  await second.stop();
  await store.close();
});
