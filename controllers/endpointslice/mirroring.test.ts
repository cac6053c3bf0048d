import { expect, it } from 'vitest';
import { endpointSlice as sliceKind } from '../../api/kinds/endpoint-slice.ts';
import { endpoints as endpointsKind } from '../../api/kinds/endpoints.ts';
import { service as serviceKind } from '../../api/kinds/service.ts';
import type { Endpoints, Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { startHarness } from '../testing/harness.ts';
import { runEndpointSliceController } from './controller.ts';
import { runEndpointsController } from './endpoints-controller.ts';
import { runEndpointSliceMirroring } from './mirroring-controller.ts';

const meta = (name: string, more: object = {}) => ({ name, namespace: 'default', ...more });
const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];

it('mirrors what somebody wrote, follows it, and lets go', async () => {
  const harness = startHarness([runEndpointSliceMirroring, runEndpointSliceController, runEndpointsController]);
  const { client } = harness;
  await harness.create<Service>(serviceKind, { metadata: meta('own'), spec: { ports } } as Service);
  await harness.create<Endpoints>(endpointsKind, {
    metadata: meta('own', {
      labels: { app: 'db' },
      annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    }),
    subsets: [
      {
        addresses: [{ ip: '10.1.2.3', hostname: 'db-0' }, { ip: 'fd00::1' }],
        notReadyAddresses: [{ ip: '10.1.2.4', nodeName: 'node-a' }],
        ports,
      },
    ],
  });
  await harness.run();
  const slices = () =>
    client.objects<EndpointSlice>(sliceKind).map(({ addressType, endpoints, ports: its, metadata }) => ({
      addressType,
      endpoints,
      ports: its,
      labels: metadata.labels,
      annotations: metadata.annotations,
      owner: metadata.ownerReferences?.[0]?.kind,
    }));
  const labels = {
    app: 'db',
    'kubernetes.io/service-name': 'own',
    'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
  };
  const common = { ports, labels, annotations: { note: 'x' }, owner: 'Endpoints' };
  const byType = () => slices().sort((a, b) => (a.addressType < b.addressType ? -1 : 1));
  expect(byType()).toEqual([
    {
      ...common,
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.1.2.3'], conditions: { ready: true }, hostname: 'db-0' },
        { addresses: ['10.1.2.4'], conditions: { ready: false }, nodeName: 'node-a' },
      ],
    },
    { ...common, addressType: 'IPv6', endpoints: [{ addresses: ['fd00::1'], conditions: { ready: true } }] },
  ]);
  client.change<Endpoints>(endpointsKind, 'default/own', (each) => {
    each.subsets = [{ addresses: [{ ip: '10.2.3.4' }], ports }];
    return each;
  });
  await harness.run();
  expect(slices().map((each) => each.endpoints)).toEqual([[{ addresses: ['10.2.3.4'], conditions: { ready: true } }]]);
  client.change<Endpoints>(endpointsKind, 'default/own', (each) => {
    each.subsets = [];
    return each;
  });
  await harness.run();
  expect(slices()).toMatchObject([{ addressType: 'IPv4', endpoints: [], ports: [] }]);
  harness.takeWrites();
  await harness.run();
  expect(harness.takeWrites()).toEqual([]);
  await client.resource(endpointsKind, 'default').delete('own');
  await harness.run();
  expect(slices()).toEqual([]);
  await harness.stop();
});

it('leaves out Endpoints of selectors, of no Service, of leaders, and those that say so', async () => {
  const harness = startHarness([runEndpointSliceMirroring]);
  const write = (name: string, more: object = {}) =>
    harness.create<Endpoints>(endpointsKind, {
      metadata: meta(name, more),
      subsets: [{ addresses: [{ ip: '10.1.2.3' }], ports }],
    });
  for (const name of ['selected', 'leader', 'skipped']) {
    const spec = { ports, ...(name === 'selected' && { selector: { a: 'b' } }) };
    await harness.create<Service>(serviceKind, { metadata: meta(name), spec } as Service);
  }
  await write('selected');
  await write('lonely');
  await write('leader', { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } });
  await write('skipped', { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } });
  await harness.run();
  expect(harness.client.objects(sliceKind)).toEqual([]);
  await harness.stop();
});
