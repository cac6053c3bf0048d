// What a cluster of one address family answers to Services, and the port on which nodes tell whether they have endpoints.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ nodePorts: { first: 30000, last: 30003 } });
});
afterAll(() => server.stop());

const path = '/api/v1/namespaces/default/services';
const create = (name: string, spec: object) =>
  server.call('POST', path, { body: { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } } });
const selector = { app: 'web' };

it.each<[string, object, object]>([
  ['nothing asked', { selector }, { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' }],
  [
    'two preferred',
    { selector, ipFamilyPolicy: 'PreferDualStack' },
    { ipFamilies: ['IPv4'], ipFamilyPolicy: 'PreferDualStack' },
  ],
  [
    'headless',
    { selector, clusterIP: 'None' },
    { clusterIPs: ['None'], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' },
  ],
  [
    'headless, endpoints by somebody else',
    { clusterIP: 'None' },
    { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
  ],
])('%s', async (name, spec, expected) => {
  const made = await create(name.replace(/\W+/g, '-'), spec);
  expect([made.code, made.body.spec]).toEqual([201, expect.objectContaining(expected)]);
});

it.each<[string, object, string]>([
  [
    'two required',
    { selector, ipFamilyPolicy: 'RequireDualStack' },
    'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
  ],
  [
    'the other one',
    { selector, ipFamilies: ['IPv6'] },
    'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
  ],
  [
    'two without a policy',
    { selector, ipFamilies: ['IPv4', 'IPv6'] },
    'spec.ipFamilyPolicy: Invalid value: null: must be RequireDualStack or PreferDualStack when multiple ipFamilies are specified',
  ],
])('refuses %s', async (_, spec, message) => {
  const answer = await create('refused', spec);
  expect([answer.code, answer.body.message]).toEqual([422, `Service "refused" is invalid: ${message}`]);
});

it('gives a port for health checks with Local traffic, keeps it, and takes it back', async () => {
  const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector };
  const made = await create('local', local);
  const port = made.body.spec.healthCheckNodePort;
  expect([made.code, port >= 30000 && port <= 30003]).toEqual([201, true]);
  expect(port).not.toBe(made.body.spec.ports[0].nodePort);
  const kept = await server.call('PUT', `${path}/local`, {
    body: { metadata: { name: 'local' }, spec: { ...local, ports: [{ port: 80 }] } },
  });
  expect(kept.body.spec.healthCheckNodePort).toBe(port);
  const merge = (spec: object) => ({ type: 'application/merge-patch+json', body: { spec } });
  const moved = await server.call(
    'PATCH',
    `${path}/local`,
    merge({ healthCheckNodePort: port === 30000 ? 30001 : 30000 }),
  );
  expect(moved.body.message).toContain('spec.healthCheckNodePort: Forbidden: field is immutable');
  const cluster = await server.call('PATCH', `${path}/local`, merge({ externalTrafficPolicy: 'Cluster' }));
  expect([cluster.code, cluster.body.spec.healthCheckNodePort]).toEqual([200, undefined]);
  // The range of four has room for two such Services again.
  expect((await create('second', { ...local, healthCheckNodePort: port })).body.spec.healthCheckNodePort).toBe(port);
});

it('says which addresses Services have', async () => {
  const { body } = await server.call('GET', '/apis/networking.k8s.io/v1/servicecidrs/kubernetes');
  expect([body.spec, body.status.conditions]).toMatchObject([
    { cidrs: ['10.96.0.0/12'] },
    [{ type: 'Ready', status: 'True', message: 'Kubernetes default Service CIDR is ready' }],
  ]);
  expect((await server.call('GET', '/apis/networking.k8s.io/v1/ipaddresses/10.96.0.1')).body.spec.parentRef).toEqual({
    resource: 'services',
    namespace: 'default',
    name: 'kubernetes',
  });
});

it('gives addresses of further ranges once they are ready', async () => {
  const cidrs = '/apis/networking.k8s.io/v1/servicecidrs';
  expect(
    (await server.call('POST', cidrs, { body: { metadata: { name: 'more' }, spec: { cidrs: ['10.200.0.0/24'] } } }))
      .code,
  ).toBe(201);
  const early = await create('there', { clusterIP: '10.200.0.9' });
  expect(early.body.message).toContain(
    'spec.clusterIPs: Invalid value: ["10.200.0.9"]: failed to allocate IP 10.200.0.9: the provided network does not match the current range',
  );
  const ready = { type: 'Ready', status: 'True', reason: '', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
  const status = { type: 'application/merge-patch+json', body: { status: { conditions: [ready] } } };
  expect((await server.call('PATCH', `${cidrs}/more/status`, status)).code).toBe(200);
  expect((await create('there', { clusterIP: '10.200.0.9' })).body.spec.clusterIPs).toEqual(['10.200.0.9']);
});
