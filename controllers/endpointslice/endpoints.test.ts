import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endpointSlice as sliceKind } from '../../api/kinds/endpoint-slice.ts';
import { endpoints as endpointsKind } from '../../api/kinds/endpoints.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { service as serviceKind } from '../../api/kinds/service.ts';
import { keyOf } from '../../api/object.ts';
import type { Endpoints, Pod, Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { type Harness, readyStatus, seededRandom, startHarness } from '../testing/harness.ts';
import { runEndpointSliceController } from './controller.ts';
import { runEndpointsController } from './endpoints-controller.ts';
import { maxEndpointsPerSlice } from './plan.ts';

const service = (more: Partial<NonNullable<Service['spec']>> = {}): Service => ({
  metadata: { name: 'web', namespace: 'default', labels: { team: 'a' } },
  spec: {
    selector: { app: 'web' },
    clusterIP: '10.96.0.7',
    ipFamilies: ['IPv4'],
    ports: [{ name: 'http', port: 80, targetPort: 'web', protocol: 'TCP' }],
    ...more,
  },
});

const pod = (name: string, index: number, port = 8080): Pod =>
  readyStatus(
    {
      metadata: { name, namespace: 'default', labels: { app: 'web' } },
      spec: { containers: [{ name: 'c', image: 'i', ports: [{ name: 'web', containerPort: port, protocol: 'TCP' }] }] },
    },
    0,
    index,
  );

const start = (options = {}) => startHarness([runEndpointSliceController, runEndpointsController], options);
const slices = (harness: Harness) => harness.client.objects<EndpointSlice>(sliceKind);
const endpoints = (harness: Harness) => harness.client.object<Endpoints>(endpointsKind, 'default/web');
const change = (harness: Harness, name: string, edit: (pod: Pod) => void) =>
  harness.client.change<Pod>(podKind, `default/${name}`, (each) => {
    edit(each);
    return each;
  });

describe('endpoints of a Service', () => {
  it('follow its pods: ready, serving, terminating, named ports', async () => {
    const harness = start();
    await harness.create(serviceKind, service());
    await harness.run();
    expect(slices(harness)).toMatchObject([{ addressType: 'IPv4', endpoints: [], ports: [] }]);
    expect(endpoints(harness)?.subsets).toBeUndefined();
    await harness.create(podKind, pod('a', 1));
    await harness.create(podKind, pod('b', 2));
    await harness.run();
    const [slice] = slices(harness) as [EndpointSlice];
    const uid = (name: string) => harness.client.object(podKind, `default/${name}`)?.metadata.uid;
    expect(slice.metadata.labels).toEqual({
      team: 'a',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    });
    expect(slice.metadata.ownerReferences).toMatchObject([
      { kind: 'Service', name: 'web', controller: true, blockOwnerDeletion: true },
    ]);
    expect(slice.ports).toEqual([{ name: 'http', protocol: 'TCP', port: 8080 }]);
    expect(slice.endpoints).toContainEqual({
      addresses: ['10.244.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: uid('a') },
      nodeName: 'node-a',
    });
    change(harness, 'a', (each) => {
      each.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    });
    change(harness, 'b', (each) => {
      each.status = { ...each.status, conditions: [{ type: 'Ready', status: 'False' }] };
    });
    await harness.run();
    const conditions = Object.fromEntries(
      (slices(harness)[0]?.endpoints ?? []).map((each) => [each.targetRef?.name, each.conditions]),
    );
    expect(conditions).toEqual({
      a: { ready: false, serving: true, terminating: true },
      b: { ready: false, serving: false, terminating: false },
    });
    expect(endpoints(harness)?.subsets).toMatchObject([
      {
        notReadyAddresses: [{ ip: '10.244.0.2', nodeName: 'node-a', targetRef: { name: 'b' } }],
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      },
    ]);
    await harness.stop();
  });

  it('publish addresses that are not ready when asked to, and mark headless Services', async () => {
    const harness = start();
    await harness.create(serviceKind, service({ publishNotReadyAddresses: true, clusterIP: 'None' }));
    const unready = pod('a', 1);
    unready.status = { ...unready.status, conditions: [{ type: 'Ready', status: 'False' }] };
    Object.assign(unready.spec as object, { hostname: 'a-0', subdomain: 'web' });
    await harness.create(podKind, unready);
    await harness.run();
    expect(slices(harness)[0]?.endpoints).toMatchObject([
      { hostname: 'a-0', conditions: { ready: true, serving: false, terminating: false } },
    ]);
    expect(slices(harness)[0]?.metadata.labels).toHaveProperty(['service.kubernetes.io/headless'], '');
    expect(endpoints(harness)?.subsets).toMatchObject([{ addresses: [{ ip: '10.244.0.1', hostname: 'a-0' }] }]);
    await harness.stop();
  });

  it('are none of ours without a selector or for an ExternalName', async () => {
    const harness = start();
    await harness.create(serviceKind, service({ selector: undefined }));
    await harness.create(serviceKind, {
      ...service({ type: 'ExternalName' }),
      metadata: { name: 'ext', namespace: 'default' },
    });
    await harness.create(endpointsKind, {
      metadata: { name: 'web', namespace: 'default' },
      subsets: [{ addresses: [{ ip: '192.0.2.1' }] }],
    } as Endpoints);
    await harness.run();
    expect(slices(harness)).toEqual([]);
    expect(endpoints(harness)?.subsets).toEqual([{ addresses: [{ ip: '192.0.2.1' }] }]);
    await harness.stop();
  });

  it('make one slice per set of ports, 100 endpoints at most, and touch few slices on a change', async () => {
    const harness = start();
    await harness.create(serviceKind, service());
    for (let i = 0; i < 150; i++) await harness.create(podKind, pod(`p${i}`, i));
    await harness.create(podKind, pod('odd', 200, 9090));
    await harness.run();
    const sizes = () =>
      slices(harness)
        .map((slice) => `${slice.ports?.[0]?.port}:${slice.endpoints?.length}`)
        .sort();
    expect(sizes()).toEqual(['8080:100', '8080:50', '9090:1']);
    harness.takeWrites();
    harness.client.change(podKind, 'default/p3', () => undefined);
    await harness.run();
    await harness.create(podKind, pod('late', 201));
    await harness.run();
    expect(harness.takeWrites().filter((write) => write.startsWith('update endpointslices'))).toHaveLength(2);
    harness.client.change(podKind, 'default/odd', () => undefined);
    await harness.run();
    expect(sizes().map((each) => each.split(':')[0])).toEqual(['8080', '8080']);
    await harness.stop();
  });

  it('are written once, however far the watch lags behind', async () => {
    const harness = start({ watchDelayMs: 400 });
    await harness.run();
    await harness.create(serviceKind, service());
    for (let i = 0; i < 10; i++) {
      harness.client.change<Service>(serviceKind, 'default/web', (each) => each);
      await harness.run(100);
    }
    await harness.run(5_000);
    expect(harness.takeWrites().filter((write) => write.startsWith('create endpointslices'))).toHaveLength(1);
    expect(slices(harness)).toHaveLength(1);
    await harness.stop();
  });

  it('go with the Service', async () => {
    const harness = start();
    await harness.create(serviceKind, service());
    await harness.run();
    expect(endpoints(harness)).toBeDefined();
    harness.client.change(serviceKind, 'default/web', () => undefined);
    await harness.run();
    expect(endpoints(harness)).toBeUndefined();
    await harness.stop();
  });

  it('equal the ready pods after any faults, each address once, and then nothing is written', async () => {
    const step = fc.tuple(
      fc.constantFrom(
        'add' as const,
        'remove' as const,
        'unready' as const,
        'drop' as const,
        'duplicate' as const,
        'compact' as const,
      ),
      fc.nat(250),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(1000), async (steps, seed) => {
        const faults = seededRandom(seed);
        let faulty = false;
        const lose = ({ ref, verb }: { ref: { resource: string }; verb: string }) => {
          if (faulty && verb !== 'watch' && ref.resource.startsWith('endpoint') && faults() < 0.3)
            throw new NetworkError('lost');
        };
        const harness = start({ seed, before: lose, after: lose });
        await harness.create(serviceKind, service());
        for (let i = 0; i < 101; i++) await harness.create(podKind, pod(`p${i}`, i));
        await harness.run(10);
        faulty = true;
        for (const [what, n] of steps) {
          const key = `default/p${n}`;
          const present = harness.client.object<Pod>(podKind, key);
          if (what === 'add' && !present)
            await harness.client.resource<Pod>(podKind, 'default').create(pod(`p${n}`, n));
          else if (what === 'remove' && present) harness.client.change(podKind, key, () => undefined);
          else if (what === 'unready' && present)
            change(harness, `p${n}`, (each) => void (each.status = { ...each.status, conditions: [] }));
          else if (what === 'drop') harness.client.dropWatches();
          else if (what === 'duplicate') harness.client.duplicateEvents(n);
          else if (what === 'compact') {
            harness.client.compact();
            harness.client.dropWatches();
          }
          if (n % 2) await harness.run(20);
        }
        faulty = false;
        await harness.run(150_000);
        await harness.run(150_000);
        const pods = harness.client.objects<Pod>(podKind);
        const ready = (each: Pod) => each.status?.conditions?.some((found) => found.type === 'Ready') ?? false;
        const wanted = pods.map((each) => `${keyOf(each)} ${ready(each)}`).sort();
        const all = slices(harness).flatMap((slice) => slice.endpoints ?? []);
        expect(
          all.map((each) => `${each.targetRef?.namespace}/${each.targetRef?.name} ${each.conditions?.ready}`).sort(),
        ).toEqual(wanted);
        for (const slice of slices(harness)) expect(slice.endpoints?.length).toBeLessThanOrEqual(maxEndpointsPerSlice);
        const legacy = (endpoints(harness)?.subsets ?? []).flatMap((each) => each.addresses ?? []);
        expect(legacy.map((each) => `default/${each.targetRef?.name}`).sort()).toEqual(
          pods.filter(ready).map(keyOf).sort(),
        );
        harness.takeWrites();
        harness.client.change<Service>(serviceKind, 'default/web', (each) => each);
        await harness.run(10_000);
        expect(harness.takeWrites()).toEqual([]);
        await harness.stop();
      }),
      { numRuns: 15 },
    );
  });
});
