// What upstream's conformance suite asks of an API server alone, request by request, as far as no other test here does.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallOptions, startTestServer, type TestServer } from './testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const CORE = '/api/v1/namespaces/default';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const call = (method: string, path: string, body?: unknown, options: CallOptions = {}) =>
  server.call(method, path, { ...(body !== undefined && { body }), ...options });
const patch = (path: string, body: unknown, type = 'strategic-merge-patch+json') =>
  call('PATCH', path, body, { type: `application/${type}` });
const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };

describe('api-machinery', () => {
  it('chunks show one revision and say how much is left', async () => {
    for (let i = 0; i < 7; i++)
      await call('POST', `${CORE}/podtemplates`, { metadata: { name: `template-${i}` }, template });
    const first = (await call('GET', `${CORE}/podtemplates?limit=3`)).body.metadata;
    await call('DELETE', `${CORE}/podtemplates/template-6`);
    const rest = await call('GET', `${CORE}/podtemplates?limit=9&continue=${encodeURIComponent(first.continue)}`);
    expect(first.remainingItemCount).toBe(4);
    expect(rest.body.metadata).toEqual({ resourceVersion: first.resourceVersion });
    expect(rest.body.items).toHaveLength(4);
  });

  it.each(['authorization.k8s.io/v1/selfsubjectaccessreviews', 'authentication.k8s.io/v1/selfsubjectreviews'])(
    'a backend that has no tables answers 406: %s',
    async (resource) => {
      const body = resource.startsWith('authorization')
        ? { spec: { nonResourceAttributes: { path: '/', verb: 'get' } } }
        : {};
      const only = await call('POST', `/apis/${resource}`, body, { headers: { accept: TABLE } });
      expect([only.code, only.body.reason]).toEqual([406, 'NotAcceptable']);
      const either = await call('POST', `/apis/${resource}`, body, {
        headers: { accept: `${TABLE},application/json` },
      });
      expect([either.code, either.body.kind.startsWith('SelfSubject')]).toEqual([201, true]);
    },
  );

  it('an apply that means another object creates none', async () => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other', uid: 'gone' } };
    const answer = await patch(`${CORE}/configmaps/other?fieldManager=me`, body, 'apply-patch+yaml');
    expect([answer.code, answer.body.message]).toEqual([
      409,
      'Operation cannot be fulfilled on configmaps "other": uid mismatch: the provided object specified uid gone, and no existing object was found',
    ]);
    expect((await call('GET', `${CORE}/configmaps/other`)).code).toBe(404);
  });

  it('who deletes a Job without a word on its pods is told that they stay', async () => {
    const jobs = '/apis/batch/v1/namespaces/default/jobs';
    const spec = { template: { spec: { ...template.spec, restartPolicy: 'Never' } } };
    const remove = async (name: string, body?: object) => {
      await call('POST', jobs, { metadata: { name }, spec });
      const answer = await call('DELETE', `${jobs}/${name}`, body);
      return [String(answer.headers['warning'] ?? ''), (await call('GET', `${jobs}/${name}`)).body.metadata.finalizers];
    };
    expect(await remove('silent')).toEqual([
      expect.stringContaining('child pods are preserved by default when jobs are deleted'),
      ['orphan'],
    ]);
    expect(await remove('said', { propagationPolicy: 'Background' })).toEqual(['', undefined]);
  });

  it.each([
    ['GET', '/api/v1/pods/x', 404],
    ['DELETE', '/api/v1/pods/x', 404],
    ['POST', '/api/v1/pods', 405],
    ['PUT', '/api/v1/namespaces', 405],
  ])('%s %s answers %i', async (method, path, code) => {
    expect((await call(method, path, method === 'GET' ? undefined : {})).code).toBe(code);
  });

  it('a namespace with a finalizer of somebody else stays until finalize takes it away', async () => {
    const path = '/api/v1/namespaces/finalized';
    const created = (await call('POST', '/api/v1/namespaces', { metadata: { name: 'finalized' } })).body;
    created.spec.finalizers.push('example.com/mine');
    expect((await call('PUT', `${path}/finalize`, created)).body.spec.finalizers).toHaveLength(2);
    expect((await call('DELETE', path)).body.status.phase).toBe('Terminating');
    const live = (await call('GET', path)).body;
    await call('PUT', `${path}/finalize`, { ...live, spec: { finalizers: [] } });
    expect((await call('GET', path)).code).toBe(404);
    expect((await call('DELETE', '/api/v1/namespaces?labelSelector=a%3Db')).code).toBe(405);
  });
});

describe('network', () => {
  it('a Service takes every type, and lets go of what it no longer has', async () => {
    const path = `${CORE}/services/typed`;
    const external = { metadata: { name: 'typed' }, spec: { type: 'ExternalName', externalName: 'foo.example.com' } };
    let live = (await call('POST', `${CORE}/services`, external)).body;
    const become = async (spec: object) => {
      const answer = await call('PUT', path, { ...live, spec });
      expect(answer.code, answer.text).toBe(200);
      live = answer.body;
      return live.spec;
    };
    const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];
    expect((await become({ type: 'ClusterIP', ports })).clusterIP).toMatch(/^10\./);
    expect((await become({ ...live.spec, type: 'NodePort' })).ports[0].nodePort).toBeGreaterThan(0);
    const last = await become({ ...live.spec, type: 'ExternalName', externalName: 'foo.example.com', clusterIP: '' });
    expect([last.clusterIP, last.clusterIPs, last.ports[0].nodePort]).toEqual([undefined, undefined, undefined]);
  });

  it.each([
    ['services', { spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } }],
    [
      'ingresses',
      { spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } } },
      '/apis/networking.k8s.io/v1/namespaces/default',
    ],
  ])('the status of %s is written by patch and by update', async (resource, object, base = CORE) => {
    const collection = `${base}/${resource}`;
    await call('POST', collection, { metadata: { name: 'told', labels: { its: 'status' } }, ...object });
    const status = { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } };
    const metadata = { annotations: { patched: 'true' } };
    const first = (await patch(`${collection}/told/status`, { metadata, status })).body;
    expect([first.status.loadBalancer.ingress[0].ip, first.metadata.annotations]).toEqual([
      '203.0.113.1',
      { patched: 'true' },
    ]);
    first.status.loadBalancer.ingress[0].ip = '203.0.113.2';
    const second = (await call('PUT', `${collection}/told/status`, first)).body;
    expect(second.status.loadBalancer.ingress[0].ip).toBe('203.0.113.2');
    await call('DELETE', `${collection}?labelSelector=its%3Dstatus`);
    expect((await call('GET', `${collection}/told`)).code).toBe(404);
  });
});

describe('instrumentation', () => {
  it('events of both groups are one, with series', async () => {
    const path = '/apis/events.k8s.io/v1/namespaces/default/events';
    const event = {
      metadata: { name: 'seen', labels: { its: 'event' } },
      eventTime: '2017-09-19T13:49:16.000000Z',
      reportingController: 'test',
      reportingInstance: 'test-1',
      action: 'Do',
      reason: 'Test',
      type: 'Normal',
      regarding: { namespace: 'default' },
      note: 'seen once',
    };
    expect((await call('POST', path, event)).code).toBe(201);
    const series = { count: 2, lastObservedTime: '2017-09-19T13:49:17.000000Z' };
    expect((await patch(`${path}/seen`, { series })).body.series).toEqual(series);
    const core = await call('GET', `${CORE}/events?fieldSelector=reason%3DTest`);
    expect(core.body.items).toMatchObject([{ message: 'seen once', series, involvedObject: { namespace: 'default' } }]);
    await call('DELETE', `${path}?labelSelector=its%3Devent`);
    expect((await call('GET', `${CORE}/events?labelSelector=its%3Devent`)).body.items).toEqual([]);
  });
});
