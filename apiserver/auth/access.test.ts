// Who may do what: RBAC refuses every verb without right, nodes see what their pods need, tokens die with their pods.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const NS = '/api/v1/namespaces/default';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';

beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  await server.call('POST', `${NS}/configmaps`, { body: { metadata: { name: 'seen' } } });
});
afterAll(() => server.stop());

const tokenOf = async (account: string, spec: object = {}) =>
  (await server.call('POST', `${NS}/serviceaccounts/${account}/token`, { body: { spec } })).body.status.token as string;

describe('RBAC', () => {
  it('refuses every verb without right, in upstream words, and changes nothing', async () => {
    const token = await tokenOf('default');
    const user = 'system:serviceaccount:default:default';
    const one = `${NS}/configmaps/seen`;
    const cases = [
      ['GET', one, 'get'],
      ['GET', `${NS}/configmaps`, 'list'],
      ['GET', `${NS}/configmaps?watch=1`, 'watch'],
      ['POST', `${NS}/configmaps`, 'create'],
      ['PUT', one, 'update'],
      ['PATCH', one, 'patch'],
      ['DELETE', one, 'delete'],
      ['DELETE', `${NS}/configmaps`, 'deletecollection'],
    ] as const;
    for (const [method, path, verb] of cases) {
      const answer = await server.call(method, path, { token, ...(method !== 'GET' && { body: {} }) });
      expect(answer.code, verb).toBe(403);
      const name = path.startsWith(one) ? ' "seen"' : '';
      expect(answer.body.message).toBe(
        `configmaps${name} is forbidden: User "${user}" cannot ${verb} resource "configmaps" in API group "" in the namespace "default"`,
      );
    }
    const nodes = await server.call('GET', '/api/v1/nodes', { token });
    expect(nodes.body.message).toBe(
      `nodes is forbidden: User "${user}" cannot list resource "nodes" in API group "" at the cluster scope`,
    );
    expect((await server.call('GET', '/metrics', { token })).body.message).toBe(
      `forbidden: User "${user}" cannot get path "/metrics"`,
    );
    expect((await server.call('GET', `${NS}/pods/x/log`, { token })).body.message).toMatch(
      /cannot get resource "pods\/log"/,
    );
    expect((await server.call('GET', one)).code).toBe(200);
  });

  it('grants what a role grants, as soon as it is bound', async () => {
    await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'reader' } } });
    const token = await tokenOf('reader');
    expect((await server.call('GET', `${NS}/configmaps/seen`, { token })).code).toBe(403);
    await server.call('POST', `${RBAC}/namespaces/default/roles`, {
      body: {
        metadata: { name: 'read' },
        rules: [{ verbs: ['get'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['seen'] }],
      },
    });
    await server.call('POST', `${RBAC}/namespaces/default/rolebindings`, {
      body: {
        metadata: { name: 'read' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'read' },
        subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
      },
    });
    await expect.poll(async () => (await server.call('GET', `${NS}/configmaps/seen`, { token })).code).toBe(200);
    expect((await server.call('GET', `${NS}/configmaps/other`, { token })).code).toBe(403);
    await server.call('DELETE', `${RBAC}/namespaces/default/rolebindings/read`);
    await expect.poll(async () => (await server.call('GET', `${NS}/configmaps/seen`, { token })).code).toBe(403);
  });

  it('lets no update create what may not be created', async () => {
    await server.call('POST', `${RBAC}/namespaces/default/roles`, {
      body: {
        metadata: { name: 'renew' },
        rules: [{ verbs: ['update'], apiGroups: ['coordination.k8s.io'], resources: ['leases'] }],
      },
    });
    await server.call('POST', `${RBAC}/namespaces/default/rolebindings`, {
      body: {
        metadata: { name: 'renew' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'renew' },
        subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: 'default' }],
      },
    });
    const token = await tokenOf('default');
    const put = () =>
      server.call('PUT', '/apis/coordination.k8s.io/v1/namespaces/default/leases/l', {
        token,
        body: { metadata: { name: 'l' }, spec: {} },
      });
    await expect.poll(async () => (await put()).body.message).not.toMatch(/cannot update/);
    expect([403, 404]).toContain((await put()).code);
    expect((await server.call('GET', '/apis/coordination.k8s.io/v1/namespaces/default/leases/l')).code).toBe(404);
  });

  it('aggregates cluster roles', async () => {
    await server.call('POST', `${RBAC}/clusterroles`, {
      body: {
        metadata: { name: 'extra-view', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
        rules: [{ verbs: ['get'], apiGroups: ['example.com'], resources: ['gadgets'] }],
      },
    });
    await server.call('POST', `${RBAC}/clusterrolebindings`, {
      body: {
        metadata: { name: 'viewers' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'vera' }],
      },
    });
    const may = async (resource: string, group: string) =>
      (
        await server.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
          body: { spec: { user: 'vera', resourceAttributes: { verb: 'get', resource, group, namespace: 'default' } } },
        })
      ).body.status.allowed;
    await expect.poll(() => may('gadgets', 'example.com')).toBe(true);
    expect(await may('configmaps', '')).toBe(true);
    expect(await may('secrets', '')).toBe(false);
  });
});

describe('authentication', () => {
  it('lets nobody see more than health and version', async () => {
    for (const path of ['/healthz', '/livez', '/readyz', '/version']) {
      expect((await server.call('GET', path, { as: null })).code, path).toBe(200);
    }
    const answer = await server.call('GET', '/api/v1/pods', { as: null });
    expect(answer.code).toBe(403);
    expect(answer.body.message).toMatch(/User "system:anonymous" cannot list resource "pods"/);
  });
  it('refuses tokens that are not ours', async () => {
    const good = await tokenOf('default');
    const [head, body, signature = ''] = good.split('.');
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
    const turned = signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
    for (const token of [
      'x',
      'a.b.c',
      `${head}.${body}.${turned}`,
      `${unsigned}.${body}.`,
      `${unsigned}.${body}.${signature}`,
    ]) {
      const answer = await server.call('GET', '/version', { token });
      expect({ code: answer.code, reason: answer.body.reason }).toEqual({ code: 401, reason: 'Unauthorized' });
    }
    expect(
      (await server.call('GET', '/version', { token: await tokenOf('default', { audiences: ['other'] }) })).code,
    ).toBe(401);
  });
  it('ends a token with the pod it is bound to', async () => {
    await server.call('POST', `${NS}/pods`, {
      body: { metadata: { name: 'owner' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    });
    const token = await tokenOf('default', { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'owner' } });
    const review = await server.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      body: { spec: { token } },
    });
    expect(review.body.status).toMatchObject({
      authenticated: true,
      user: {
        username: 'system:serviceaccount:default:default',
        extra: { 'authentication.kubernetes.io/pod-name': ['owner'] },
      },
    });
    await server.call('DELETE', `${NS}/pods/owner`, { body: { gracePeriodSeconds: 0 } });
    await expect.poll(async () => (await server.call('GET', '/version', { token })).code).toBe(401);
  });
  it('refuses token requests that ask too much', async () => {
    const short = await server.call('POST', `${NS}/serviceaccounts/default/token`, {
      body: { spec: { expirationSeconds: 10 } },
    });
    expect(short.body.message).toMatch(/may not specify a duration less than 10 minutes/);
    expect((await server.call('POST', `${NS}/serviceaccounts/nobody/token`, { body: {} })).code).toBe(404);
  });
  it('impersonates only with the right to', async () => {
    const as = { 'impersonate-user': 'bob', 'impersonate-group': 'devs' };
    const asBob = await server.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      body: {},
      headers: as,
    });
    expect(asBob.body.status.userInfo).toMatchObject({ username: 'bob', groups: ['devs', 'system:authenticated'] });
    const refused = await server.call('GET', '/version', { token: await tokenOf('default'), headers: as });
    expect(refused.body.message).toMatch(/cannot impersonate resource "users"/);
  });
});

describe('nodes', () => {
  const asNode = () => server.pki.nodes['node-a']?.client;

  it('read what their pods refer to, and no more', async () => {
    for (const name of ['wanted', 'private'])
      await server.call('POST', `${NS}/secrets`, { body: { metadata: { name } } });
    const read = (name: string) => server.call('GET', `${NS}/secrets/${name}`, { as: asNode() });
    expect((await read('wanted')).code).toBe(403);
    await server.call('POST', `${NS}/pods`, {
      body: {
        metadata: { name: 'user' },
        spec: {
          nodeName: 'node-a',
          containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'wanted' } }] }],
        },
      },
    });
    await expect.poll(async () => (await read('wanted')).code).toBe(200);
    const refused = await read('private');
    expect(refused.code).toBe(403);
    expect(refused.body.message).toMatch(/no relationship found between node 'node-a' and this object/);
    expect((await server.call('GET', `${NS}/secrets`, { as: asNode() })).code).toBe(403);
  });
  it('change only themselves and their pods', async () => {
    const own = await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a' } }, as: asNode() });
    expect(own.code).toBe(201);
    const other = await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-b' } }, as: asNode() });
    expect(other.code).toBe(403);
    expect(other.body.message).toMatch(/is not allowed to modify node "node-b"/);
    await server.call('POST', `${NS}/pods`, {
      body: { metadata: { name: 'elsewhere' }, spec: { nodeName: 'node-b', containers: [{ name: 'c', image: 'i' }] } },
    });
    const patch = {
      body: { status: { phase: 'Failed' } },
      type: 'application/strategic-merge-patch+json',
      as: asNode(),
    };
    expect((await server.call('PATCH', `${NS}/pods/elsewhere/status`, patch)).code).toBe(403);
    expect((await server.call('PATCH', `${NS}/pods/user/status`, patch)).code).toBe(200);
    const lease = { metadata: { name: 'node-a' }, spec: { holderIdentity: 'node-a' } };
    expect(
      (
        await server.call('POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', {
          body: lease,
          as: asNode(),
        })
      ).code,
    ).toBe(201);
  });
});
