// Subresources that are views of an object, two versions of one object, and statuses that are asked: over HTTPS.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signingRequest } from '../api/kinds/testing-samples.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    components: {
      scheduler: async () => 'ok',
      'controller-manager': () => Promise.reject(new Error('not today')),
    },
  });
  await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

const merge = (body: unknown) => ({ type: 'application/merge-patch+json', body });
const ns = '/api/v1/namespaces/default';

it('a pod gets a container for debugging and another size, each through its own door', async () => {
  const spec = { containers: [{ name: 'app', image: 'nginx:1', resources: { requests: { cpu: '100m' } } }] };
  const made = await server.call('POST', `${ns}/pods`, { body: { metadata: { name: 'web' }, spec } });
  expect([made.code, made.body.metadata.generation]).toEqual([201, 1]);

  const debug = { spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox' }] } };
  const refused = await server.call('PATCH', `${ns}/pods/web`, merge(debug));
  expect([refused.code, refused.body.reason]).toEqual([422, 'Invalid']);
  const debugged = await server.call('PATCH', `${ns}/pods/web/ephemeralcontainers`, merge(debug));
  expect(debugged.body.spec.ephemeralContainers).toMatchObject([{ name: 'debug', terminationMessagePolicy: 'File' }]);
  expect(debugged.body.metadata.generation).toBe(2);
  expect((await server.call('GET', `${ns}/pods/web/ephemeralcontainers`)).body).toEqual(debugged.body);

  const size = { spec: { containers: [{ name: 'app', resources: { requests: { cpu: '200m' } } }] } };
  const strategic = { type: 'application/strategic-merge-patch+json', body: size };
  const resized = await server.call('PATCH', `${ns}/pods/web/resize`, strategic);
  expect([resized.code, resized.body.spec?.containers[0].resources]).toEqual([200, { requests: { cpu: '200m' } }]);
  expect(resized.body.metadata.generation).toBe(3);
  expect((await server.call('POST', `${ns}/pods/web/resize`, { body: {} })).code).toBe(405);
});

it('a certificate request is approved by one, signed by another, and neither does the other’s work', async () => {
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  const spec = { request: signingRequest(), signerName: 'example.com/s', usages: ['client auth'], username: 'forged' };
  const made = await server.call('POST', path, { body: { metadata: { name: 'r' }, spec } });
  expect([made.code, made.body.spec.username, made.body.spec.groups, made.body.status]).toEqual([
    201,
    'kubernetes-admin',
    ['system:masters', 'system:authenticated'],
    {},
  ]);
  const conditions = [{ type: 'Approved', status: 'True', reason: 'Tested', message: 'yes' }];
  const wrongDoor = await server.call('PATCH', `${path}/r/status`, merge({ status: { conditions } }));
  expect(wrongDoor.body.message).toContain('updates may not add a condition of type "Approved"');
  const approved = await server.call('PATCH', `${path}/r/approval`, merge({ status: { conditions } }));
  expect([approved.code, approved.body.status]).toEqual([
    200,
    { conditions: [{ ...conditions[0], lastUpdateTime: expect.any(String), lastTransitionTime: expect.any(String) }] },
  ]);
  const denied = { status: { conditions: [...approved.body.status.conditions, { type: 'Denied', status: 'True' }] } };
  expect((await server.call('PATCH', `${path}/r/approval`, merge(denied))).body.message).toContain(
    'Approved and Denied conditions are mutually exclusive',
  );
  const certificate = Buffer.from(server.pki.caPem).toString('base64');
  const early = await server.call('PATCH', `${path}/r/approval`, merge({ status: { certificate } }));
  expect(early.body.status.certificate).toBeUndefined();
  const issued = await server.call('PATCH', `${path}/r/status`, merge({ status: { certificate } }));
  expect([issued.code, issued.body.status?.certificate]).toEqual([200, certificate]);
});

it('an autoscaler of v1 is one of v2, and keeps there and back what v1 has no field for', async () => {
  const path = (version: string) => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers`;
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
  const pods = { type: 'Pods', pods: { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '5' } } };
  const body = {
    metadata: { name: 'web' },
    spec: { scaleTargetRef, maxReplicas: 5, metrics: [pods], behavior: { scaleDown: { selectPolicy: 'Disabled' } } },
  };
  const made = await server.call('POST', path('v2'), { body });
  expect(made.code).toBe(201);
  const old = (await server.call('GET', `${path('v1')}/web`)).body;
  expect(old.metadata.annotations).toEqual({
    'autoscaling.alpha.kubernetes.io/metrics': JSON.stringify([
      { type: 'Pods', pods: { metricName: 'rps', targetAverageValue: '5' } },
    ]),
    'autoscaling.alpha.kubernetes.io/behavior': expect.stringContaining('"SelectPolicy":"Disabled"'),
  });
  expect(old.spec).toEqual({ scaleTargetRef, minReplicas: 1, maxReplicas: 5 });
  old.spec.targetCPUUtilizationPercentage = 60;
  expect((await server.call('PUT', `${path('v1')}/web`, { body: old })).code).toBe(200);
  const now = (await server.call('GET', `${path('v2')}/web`)).body;
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } } };
  expect(now.spec).toEqual({ ...made.body.spec, metrics: [pods, cpu] });
  expect(now.metadata.annotations).toBeUndefined();
});

it('an event is the same under both groups', async () => {
  const event = {
    metadata: { name: 'e' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    regarding: { kind: 'Pod', name: 'web', namespace: 'default' },
    reportingController: 'example.com/t',
    reportingInstance: 'one',
    action: 'Test',
    reason: 'Tested',
    type: 'Normal',
    note: 'told',
  };
  const path = '/apis/events.k8s.io/v1/namespaces/default/events';
  const made = await server.call('POST', path, { body: event });
  expect([made.code, made.body.note]).toEqual([201, 'told']);
  const core = (await server.call('GET', `${ns}/events?fieldSelector=involvedObject.name%3Dweb`)).body.items;
  expect(core).toMatchObject([
    { message: 'told', involvedObject: { name: 'web' }, reportingComponent: 'example.com/t' },
  ]);
  const listed = await server.call('GET', `${path}?fieldSelector=regarding.name%3Dweb`);
  expect(listed.body.items).toHaveLength(1);
  const changed = await server.call('PATCH', `${path}/e`, merge({ note: 'told otherwise' }));
  expect(changed.body.message).toContain('message: Invalid value: "told otherwise": field is immutable');
});

it('component statuses are asked when somebody asks', async () => {
  const list = await server.call('GET', '/api/v1/componentstatuses');
  expect(list.headers.warning).toContain('v1 ComponentStatus is deprecated in v1.19+');
  expect(
    list.body.items.map((each: any) => [each.metadata.name, each.conditions[0].status, each.conditions[0].message]),
  ).toEqual([
    ['scheduler', 'True', 'ok'],
    ['controller-manager', 'False', 'not today'],
    ['etcd-0', 'True', 'ok'],
  ]);
  expect((await server.call('GET', '/api/v1/componentstatuses/scheduler')).body.metadata.name).toBe('scheduler');
  expect((await server.call('GET', '/api/v1/componentstatuses/nobody')).code).toBe(404);
  expect((await server.call('DELETE', '/api/v1/componentstatuses/scheduler')).code).toBe(405);
});
