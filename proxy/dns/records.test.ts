import { expect, test } from 'vitest';
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { answer, type ClusterView } from './records.ts';

const services: Record<string, Service['spec']> = {
  'default/web': { clusterIP: '10.96.0.5', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  'default/db': { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] },
  'default/empty': { clusterIP: 'None' },
  'default/far': { type: 'ExternalName', externalName: 'example.org' },
};
const slice: EndpointSlice = {
  metadata: { name: 'db-1' },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['10.244.0.7'], hostname: 'db-0' },
    { addresses: ['10.244.0.8'], conditions: { ready: true } },
    { addresses: ['10.244.0.9'], conditions: { ready: false } },
  ],
};
const view: ClusterView = {
  service: (namespace, name) => {
    const spec = services[`${namespace}/${name}`];
    return spec && { metadata: { namespace, name }, spec };
  },
  slices: (_namespace, service) => (service === 'db' ? [slice] : []),
  serviceByIp: (ip) => (ip === '10.96.0.5' ? { metadata: { namespace: 'default', name: 'web' } } : undefined),
  hasNamespace: (name) => name === 'default',
};

const summary = (name: string, type: string): unknown => {
  const found = answer({ name, type }, 'cluster.local', view);
  return found.kind === 'records' ? found.records.map((each) => each.data) : found.kind;
};

test.each<[string, string, unknown]>([
  ['web.default.svc.cluster.local', 'A', ['10.96.0.5']],
  ['WEB.Default.svc.CLUSTER.local', 'A', ['10.96.0.5']],
  ['web.default.svc.cluster.local', 'AAAA', []],
  ['nobody.default.svc.cluster.local', 'A', 'nxdomain'],
  ['web.default.svc.cluster.local.default.svc.cluster.local', 'A', 'nxdomain'],
  ['default.svc.cluster.local', 'A', []],
  ['nowhere.svc.cluster.local', 'A', 'nxdomain'],
  ['db.default.svc.cluster.local', 'A', ['10.244.0.7', '10.244.0.8']],
  ['db-0.db.default.svc.cluster.local', 'A', ['10.244.0.7']],
  ['10-244-0-8.db.default.svc.cluster.local', 'A', ['10.244.0.8']],
  ['db-9.db.default.svc.cluster.local', 'A', 'nxdomain'],
  ['empty.default.svc.cluster.local', 'A', 'nxdomain'],
  ['far.default.svc.cluster.local', 'A', ['example.org']],
  [
    '_http._tcp.web.default.svc.cluster.local',
    'SRV',
    [{ priority: 0, weight: 100, port: 80, target: 'web.default.svc.cluster.local' }],
  ],
  ['_http._udp.web.default.svc.cluster.local', 'SRV', 'nxdomain'],
  [
    '_sql._tcp.db.default.svc.cluster.local',
    'SRV',
    [
      { priority: 0, weight: 100, port: 5432, target: 'db-0.db.default.svc.cluster.local' },
      { priority: 0, weight: 100, port: 5432, target: '10-244-0-8.db.default.svc.cluster.local' },
    ],
  ],
  ['10-1-2-3.default.pod.cluster.local', 'A', ['10.1.2.3']],
  ['10-1-2-300.default.pod.cluster.local', 'A', 'nxdomain'],
  ['5.0.96.10.in-addr.arpa', 'PTR', ['web.default.svc.cluster.local']],
  ['4.4.8.8.in-addr.arpa', 'PTR', 'elsewhere'],
  ['example.org', 'A', 'elsewhere'],
  ['notcluster.local', 'A', 'elsewhere'],
  ['cluster.local', 'A', []],
  ['dns-version.cluster.local', 'TXT', ['1.1.0']],
])('%s %s', (name, type, expected) => {
  expect(summary(name, type)).toEqual(expected);
});
