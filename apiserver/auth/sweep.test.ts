// Nothing is open to somebody without rights: every verb of every resource and subresource that the server knows, the paths
// that are no resources, and the tricks with which a path says one thing and means another. And no Secret is told to anyone
// who may not read it: not in an error, not in a log.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import type { Logger } from '../../lib/log.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
let token = '';
const lines: string[] = [];
const log: Logger = Object.assign(
  Object.fromEntries(
    (['debug', 'info', 'warn', 'error'] as const).map((level) => [
      level,
      (fields: Record<string, unknown>, message: string) =>
        void lines.push(
          JSON.stringify({ level, message, ...fields }, (_key, value: unknown) =>
            value instanceof Error ? { message: value.message, stack: value.stack, cause: value.cause } : value,
          ),
        ),
    ]),
  ) as unknown as Logger,
  { child: () => log },
);

beforeAll(async () => {
  server = await startTestServer({ log });
  await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'nobody' } } });
  token = (await server.call('POST', '/api/v1/namespaces/default/serviceaccounts/nobody/token', { body: {} })).body
    .status.token;
});
afterAll(() => server.stop());

/** What every authenticated user may do, as upstream's defaults have it. */
const OPEN = /^POST \/apis\/(authentication|authorization)\.k8s\.io\/v1\/self\w+reviews$/;
const APPLY = 'application/apply-patch+yaml';
const WRITES: [string, string, string | undefined][] = [
  ['POST', '', undefined],
  ['PUT', '', undefined],
  ['PATCH', '', 'application/json-patch+json'],
  ['PATCH', '', 'application/merge-patch+json'],
  ['PATCH', '', 'application/strategic-merge-patch+json'],
  ['PATCH', '', `${APPLY}`],
  ['DELETE', '', undefined],
];

/** Every path of the scheme, with and without what a path may have. */
function paths(): { collection: string; one: string; subresources: string[] }[] {
  return createScheme()
    .kinds()
    .flatMap((kind) => {
      const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
      const bases = kind.namespaced ? [`${root}/namespaces/default`, root] : [root];
      const names = ['status', 'scale', 'finalizers', 'finalize', 'approval', 'proxy', 'log', 'exec', 'token', 'x'];
      const subresources = [...new Set([...names, ...(kind.subresources ?? []).map((each) => each.name)])];
      return bases.map((base) => ({
        collection: `${base}/${kind.resource}`,
        one: `${base}/${kind.resource}/some`,
        subresources,
      }));
    });
}

async function expectRefused(method: string, path: string, options: Parameters<TestServer['call']>[2]): Promise<void> {
  const answer = await server.call(method, path, options);
  expect(answer.code, `${method} ${path}: ${answer.text.slice(0, 200)}`).toBe(403);
  expect(answer.body, `${method} ${path}`).toMatchObject({ kind: 'Status', reason: 'Forbidden' });
}

describe('somebody without rights', () => {
  it('is refused every verb of every resource and subresource', async () => {
    let asked = 0;
    for (const { collection, one, subresources } of paths()) {
      const requests: [string, string, Parameters<TestServer['call']>[2]][] = [
        ['GET', collection, {}],
        ['GET', `${collection}?watch=1`, {}],
        ['GET', `${collection}?watch=true&fieldSelector=metadata.name%3Dsome`, {}],
        ['GET', collection.replace(/\/v\d\w*\//, (version) => `${version}watch/`), {}],
        ['HEAD', one, {}],
        ['GET', one, {}],
      ];
      for (const [method, , type] of WRITES) {
        const options = { body: '{', ...(type && { type }) };
        requests.push([method, collection, options], [method, one, options]);
      }
      for (const each of subresources) {
        requests.push(['GET', `${one}/${each}`, {}], ['POST', `${one}/${each}`, { body: '{' }]);
        requests.push(
          ['PUT', `${one}/${each}`, { body: '{' }],
          ['PATCH', `${one}/${each}`, { body: '{', type: APPLY }],
        );
        requests.push(['DELETE', `${one}/${each}`, {}]);
      }
      await Promise.all(
        requests.map(async ([method, path, options]) => {
          if (OPEN.test(`${method} ${path}`)) return;
          asked++;
          if (method === 'HEAD') expect((await server.call(method, path, { ...options, token })).code).toBe(403);
          else await expectRefused(method, path, { ...options, token });
        }),
      );
    }
    expect(asked).toBeGreaterThan(3000);
  }, 60_000);

  it('is refused what is no resource, and gets no further by writing a path differently', async () => {
    const secret = 'api/v1/namespaces/default/secrets';
    for (const path of [
      '/metrics',
      '/metrics/slis',
      '/logs',
      '/debug/pprof/',
      '/debug/flags/v',
      '/configz',
      '/flagz',
      '/statusz',
      '//metrics',
      '/METRICS',
      '/%6detrics',
      '/healthz/../metrics',
      '/healthz/%2e%2e/metrics',
      '/livez%2f..%2fmetrics',
      `//${secret}`,
      `/./${secret}`,
      `/healthz/../${secret}`,
      `/healthz/%2e%2e/${secret}`,
      `/%61pi/v1/namespaces/default/secrets`,
      `/api//v1/namespaces/default/secrets`,
      `/api/v1//namespaces/default/secrets`,
      `/api/v1/namespaces/default%2fsecrets`,
      `/api/v1/namespaces/default/secrets%2fx`,
      `/api/v1/namespaces/default/Secrets`,
      `/API/v1/namespaces/default/secrets`,
      `/${secret}/`,
      `/${secret}?watch=`,
      `/${secret};x`,
    ]) {
      const answer = await server.call('GET', path, { token });
      expect([400, 403, 404], `${path} ${answer.text.slice(0, 120)}`).toContain(answer.code);
      expect(answer.text, path).not.toMatch(/SecretList|process_start|apiserver_request/);
      const anonymous = await server.call('GET', path, { as: null });
      expect([400, 403, 404], path).toContain(anonymous.code);
      expect(anonymous.text, path).not.toMatch(/SecretList|apiserver_request/);
    }
    for (const path of ['/api/v1/pods', '/metrics', '/']) {
      expect((await server.call('GET', path, { as: null })).code).toBe(403);
      expect((await server.call('GET', path, { token: 'wrong' })).body).toEqual({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'Unauthorized',
        reason: 'Unauthorized',
        code: 401,
      });
    }
  });
});

describe('a right to one thing', () => {
  const grant = async (name: string, rules: object[]) => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    await server.call('POST', `${rbac}/roles`, { body: { metadata: { name }, rules } });
    await server.call('POST', `${rbac}/rolebindings`, {
      body: {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
        subjects: [{ kind: 'User', name }],
      },
    });
    return { headers: { 'impersonate-user': name } };
  };
  const rule = (verbs: string[], resources: string[], apiGroups = [''], resourceNames?: string[]) => ({
    verbs,
    apiGroups,
    resources,
    ...(resourceNames && { resourceNames }),
  });
  const NS = '/api/v1/namespaces/default';
  const settled = (call: () => Promise<{ code: number }>) => expect.poll(async () => (await call()).code).not.toBe(403);

  it('to patch or update is none to create', async () => {
    const as = await grant('patcher', [
      rule(['patch', 'update', 'get'], ['configmaps']),
      rule(['update'], ['leases'], ['coordination.k8s.io']),
    ]);
    await settled(() => server.call('GET', `${NS}/configmaps/x`, as));
    const apply = { ...as, type: APPLY, body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } } };
    const refused = await server.call('PATCH', `${NS}/configmaps/x?fieldManager=m`, apply);
    expect(refused.body.message).toMatch(/User "patcher" cannot create resource "configmaps"/);
    const lease = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l';
    expect((await server.call('PUT', lease, { ...as, body: { metadata: { name: 'l' } } })).code).toBe(403);
    expect((await server.call('GET', `${NS}/configmaps/x`)).code).toBe(404);
  });

  it('by name is none to the others, and a list only where it asks for the name', async () => {
    const as = await grant('named', [
      rule(['get', 'list', 'watch', 'deletecollection'], ['configmaps'], [''], ['one']),
    ]);
    await settled(() => server.call('GET', `${NS}/configmaps/one`, as));
    const list = (query: string) => server.call('GET', `${NS}/configmaps${query}`, as);
    expect((await list('')).code).toBe(403);
    expect((await list('?fieldSelector=metadata.name%3Done')).code).toBe(200);
    expect((await list('?fieldSelector=metadata.name%3Dtwo')).code).toBe(403);
    expect((await list('?fieldSelector=metadata.name%21%3Done')).code).toBe(403);
    expect((await server.call('DELETE', `${NS}/configmaps`, as)).code).toBe(403);
    expect((await server.call('DELETE', `${NS}/configmaps?fieldSelector=metadata.name%3Done`, as)).code).toBe(200);
  });

  it('to read a pod is none to look or come into it', async () => {
    const as = await grant('reader', [rule(['get'], ['pods', 'pods/exec'])]);
    await settled(() => server.call('GET', `${NS}/pods/x`, as));
    for (const each of ['log', 'attach', 'portforward', 'proxy']) {
      expect((await server.call('GET', `${NS}/pods/x/${each}`, as)).code, each).toBe(403);
    }
    expect((await server.call('POST', `${NS}/pods/x/exec?command=id`, as)).code).toBe(403);
  });

  it('to scale is none to change', async () => {
    const as = await grant('scaler', [rule(['update', 'patch', 'get'], ['*/scale'], ['*'])]);
    const at = '/apis/apps/v1/namespaces/default/deployments/x';
    await settled(() => server.call('GET', `${at}/scale`, as));
    const patch = { ...as, type: 'application/merge-patch+json', body: {} };
    expect((await server.call('PATCH', at, patch)).code).toBe(403);
    expect((await server.call('PATCH', `${at}/status`, patch)).code).toBe(403);
  });
});

describe('a Secret', () => {
  const VALUE = 'hunter2-very-secret';
  const ENCODED = Buffer.from(VALUE).toString('base64');
  const NS = '/api/v1/namespaces/default/secrets';

  it('is told in no error and no log', async () => {
    const answers: string[] = [];
    const send = async (method: string, path: string, body: unknown, type?: string) =>
      answers.push((await server.call(method, path, { body, ...(type && { type }) })).text);
    const secret = { metadata: { name: 's' }, data: { password: ENCODED } };
    expect((await server.call('POST', NS, { body: secret })).code).toBe(201);
    await send('POST', NS, secret);
    await send('POST', NS, { ...secret, metadata: { name: 'Bad_Name' } });
    await send('POST', NS, { ...secret, metadata: { name: 't' }, data: { 'bad key': ENCODED } });
    await send('POST', NS, { metadata: { name: 't' }, data: { password: VALUE } });
    await send('POST', NS, { metadata: { name: 't' }, stringData: { password: [VALUE] } });
    await send('POST', NS, `{"metadata":{"name":"t"},"stringData":{"password":"${VALUE}"`);
    await send('POST', NS, `{"metadata":{"name":"t"},"stringData":{"a":"${VALUE}","a":"x"}}`);
    await send('POST', `${NS}?fieldValidation=Strict`, { ...secret, metadata: { name: 't' }, password: VALUE });
    await send('POST', NS, {
      metadata: { name: 't' },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': ENCODED },
    });
    await send(
      'PATCH',
      `${NS}/s`,
      [{ op: 'test', path: '/data/password', value: VALUE }],
      'application/json-patch+json',
    );
    await send('PATCH', `${NS}/s`, `[{"op":"add","path":"/data/x","value":"${VALUE}"`, 'application/json-patch+json');
    await send('PATCH', `${NS}/s`, { type: 'other', stringData: { x: VALUE } }, 'application/merge-patch+json');
    await send('PATCH', `${NS}/s?fieldManager=m`, `stringData: {x: ${VALUE}\n`, APPLY);
    await send('PUT', `${NS}/s`, { ...secret, metadata: { name: 's', resourceVersion: '1' } });
    await server.call('PATCH', `${NS}/s`, { body: { immutable: true }, type: 'application/merge-patch+json' });
    await send(
      'PATCH',
      `${NS}/s`,
      { data: { password: Buffer.from(`${VALUE}2`).toString('base64') } },
      'application/merge-patch+json',
    );
    await send('DELETE', `${NS}/s`, { preconditions: { uid: 'x' } });
    answers.push((await server.call('GET', `${NS}/s`, { token })).text);
    const wrong = `${token.slice(0, -3)}AAA`;
    answers.push((await server.call('GET', `${NS}/s`, { token: wrong })).text);
    for (const text of answers) {
      expect(text).not.toContain(VALUE);
      expect(text).not.toContain(ENCODED.slice(0, 20));
    }
    expect(answers).toHaveLength(18);
    const logged = lines.join('\n');
    expect(logged).toContain('serving');
    for (const each of [VALUE, ENCODED.slice(0, 20), token, wrong, 'PRIVATE KEY']) expect(logged).not.toContain(each);
  });
});
