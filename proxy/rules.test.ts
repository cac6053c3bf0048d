import { describe, expect, test } from 'vitest';
import type { Service } from '../api/types/core-v1.ts';
import type { EndpointConditions, EndpointSlice } from '../api/types/discovery-v1.ts';
import { rulesOfService } from './rules.ts';

const service = (spec: Service['spec']): Service => ({
  metadata: { namespace: 'default', name: 'web' },
  spec: { clusterIP: '10.96.0.5', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
});

type Conditions = EndpointConditions;
const slice = (...endpoints: [ip: string, node: string, conditions?: Conditions][]): EndpointSlice => ({
  metadata: { namespace: 'default', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: endpoints.map(([ip, nodeName, conditions]) => ({ addresses: [ip], nodeName, conditions })),
});

const addresses = (...args: Parameters<typeof rulesOfService>) =>
  rulesOfService(...args)[0]?.endpoints.map((each) => each.ip);

describe('which endpoints take traffic', () => {
  const cases: [string, EndpointSlice[], string[]][] = [
    ['the ready ones', [slice(['10.0.0.1', 'a', { ready: true }], ['10.0.0.2', 'a', { ready: false }])], ['10.0.0.1']],
    ['unknown counts as ready', [slice(['10.0.0.1', 'a'])], ['10.0.0.1']],
    [
      'serving ones that terminate, only where none is ready',
      [slice(['10.0.0.1', 'a', { ready: false, serving: true, terminating: true }])],
      ['10.0.0.1'],
    ],
    [
      'one ready keeps the terminating out',
      [
        slice(
          ['10.0.0.1', 'a', { ready: false, serving: true, terminating: true }],
          ['10.0.0.2', 'a', { ready: true }],
        ),
      ],
      ['10.0.0.2'],
    ],
    [
      'each once, over several slices',
      [slice(['10.0.0.2', 'a'], ['10.0.0.1', 'a']), slice(['10.0.0.1', 'a'])],
      ['10.0.0.1', '10.0.0.2'],
    ],
    ['none of another address family', [{ ...slice(['10.0.0.1', 'a']), addressType: 'IPv6' }], []],
  ];
  test.each(cases)('%s', (_name, slices, expected) => {
    expect(addresses(service({}), slices, 'a')).toEqual(expected);
  });
});

test('headless Services and external names have no data path', () => {
  expect(rulesOfService(service({ clusterIP: 'None' }), [], 'a')).toEqual([]);
  expect(rulesOfService(service({ type: 'ExternalName', clusterIP: '', externalName: 'x.y' }), [], 'a')).toEqual([]);
});

test('traffic policies keep to the endpoints of this node', () => {
  const slices = [slice(['10.0.0.1', 'here'], ['10.0.0.2', 'there'])];
  const [rule] = rulesOfService(
    service({
      type: 'NodePort',
      ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Cluster',
      externalIPs: ['192.0.2.1'],
      sessionAffinity: 'ClientIP',
    }),
    slices,
    'here',
  );
  expect(rule).toEqual({
    id: 'default/web:http',
    protocol: 'tcp',
    port: 80,
    addresses: ['10.96.0.5', '192.0.2.1'],
    nodePort: 30_080,
    endpoints: [
      { ip: '10.0.0.1', port: 8080 },
      { ip: '10.0.0.2', port: 8080 },
    ],
    externalEndpoints: [{ ip: '10.0.0.1', port: 8080 }],
    affinitySeconds: 10_800,
    keepsClientAddress: true,
  });
  expect(addresses(service({ internalTrafficPolicy: 'Local' }), slices, 'there')).toEqual(['10.0.0.2']);
});
