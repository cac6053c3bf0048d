// What upstream's conformance suite asks of API server and controllers together, where no node is needed for it.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import { clusterSigning } from '../../apiserver/auth/signing.ts';
import { type CallOptions, startTestServer, type TestServer } from '../../apiserver/testing/server.ts';
import { runControllers } from '../../controllers/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { connect } from './connect.ts';

let server: TestServer;
const stop = new AbortController();
let running: Promise<unknown>;
let close: () => void;

beforeAll(async () => {
  server = await startTestServer();
  const credentials = { server: server.url, caPem: server.pki.caPem, ...server.pki.controllerManager };
  const context = connect(credentials, 'controller-manager', silentLogger);
  close = () => context.client.close();
  const signing = clusterSigning(join(server.dir, 'pki'), systemClock);
  running = Promise.all([
    context.informers.run(stop.signal),
    runControllers({ ...context, rootCaPem: server.pki.caPem, scheme: createScheme(), signing }, stop.signal),
  ]);
});
afterAll(async () => {
  stop.abort();
  await running.catch(() => {});
  close();
  await server.stop();
});

const call = (method: string, path: string, body?: unknown, options: CallOptions = {}) =>
  server.call(method, path, { ...(body !== undefined && { body }), ...options });
const patch = (path: string, body: unknown, type = 'strategic-merge-patch+json') =>
  call('PATCH', path, body, { type: `application/${type}` });
const get = async (path: string) => (await call('GET', path)).body;
const until = (check: () => Promise<unknown>) => expect.poll(check, { timeout: 15_000, interval: 50 });
const codeOf = async (path: string) => (await call('GET', path)).code;

let count = 0;
async function namespace(): Promise<string> {
  const name = `conformance-${++count}`;
  await call('POST', '/api/v1/namespaces', { metadata: { name } });
  await until(() => codeOf(`/api/v1/namespaces/${name}/serviceaccounts/default`)).toBe(200);
  return `/api/v1/namespaces/${name}`;
}
const template = (labels: object) => ({ metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } });
const controller = (name: string, replicas: number) => ({
  metadata: { name },
  spec: { replicas, selector: { rc: name }, template: template({ rc: name }) },
});
const podsOf = async (space: string, name: string) => (await get(`${space}/pods?labelSelector=rc%3D${name}`)).items;

describe('garbage collection', () => {
  it.each([
    ['Background', 0],
    ['Foreground', 0],
    ['Orphan', 2],
    [undefined, 2],
  ])('%s deletion of a ReplicationController', async (propagationPolicy, left) => {
    const space = await namespace();
    const path = `${space}/replicationcontrollers/rc`;
    await call('POST', `${space}/replicationcontrollers`, controller('rc', 2));
    await until(async () => (await get(path)).status.replicas).toBe(2);
    await call('DELETE', path, propagationPolicy && { propagationPolicy });
    await until(() => codeOf(path)).toBe(404);
    await until(async () => (await podsOf(space, 'rc')).length).toBe(left);
    expect((await podsOf(space, 'rc')).filter((pod: any) => pod.metadata.ownerReferences?.length)).toEqual([]);
  });

  it('keeps what has another owner; a circle of owners does not hold itself', async () => {
    const space = await namespace();
    for (const [name, replicas] of [
      ['going', 2],
      ['staying', 0],
    ] as const)
      await call('POST', `${space}/replicationcontrollers`, controller(name, replicas));
    await until(async () => (await podsOf(space, 'going')).length).toBe(2);
    const { uid } = (await get(`${space}/replicationcontrollers/staying`)).metadata;
    const kept = (await podsOf(space, 'going'))[0].metadata.name;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ReplicationController', name: 'staying', uid }];
    await patch(`${space}/pods/${kept}`, { metadata: { ownerReferences } });
    await call('DELETE', `${space}/replicationcontrollers/going`, { propagationPolicy: 'Foreground' });
    await until(() => codeOf(`${space}/replicationcontrollers/going`)).toBe(404);
    expect(await podsOf(space, 'going')).toMatchObject([{ metadata: { name: kept, ownerReferences } }]);

    const made = await Promise.all(
      ['one', 'two', 'three'].map(async (name) => {
        return (await call('POST', `${space}/pods`, { metadata: { name }, spec: template({}).spec })).body.metadata;
      }),
    );
    for (const [index, { name }] of made.entries()) {
      const owner = made[(index + 1) % 3];
      const reference = { apiVersion: 'v1', kind: 'Pod', name: owner.name, uid: owner.uid, blockOwnerDeletion: true };
      await patch(`${space}/pods/${name}`, { metadata: { ownerReferences: [{ ...reference, controller: true }] } });
    }
    await call('DELETE', `${space}/pods/one`, { propagationPolicy: 'Foreground' });
    await until(async () => Promise.all(made.map((each) => codeOf(`${space}/pods/${each.name}`)))).toEqual([
      404, 404, 404,
    ]);
  });
});

describe('apps', () => {
  it('a ReplicationController: status is repaired, scale works, quota is told, pods are adopted and released', async () => {
    const space = await namespace();
    const path = `${space}/replicationcontrollers/rc`;
    await call('POST', `${space}/pods`, {
      metadata: { name: 'orphan', labels: { rc: 'rc' } },
      spec: template({}).spec,
    });
    await call('POST', `${space}/replicationcontrollers`, controller('rc', 1));
    await until(async () => (await get(`${space}/pods/orphan`)).metadata.ownerReferences?.[0]?.name).toBe('rc');
    await patch(`${path}/status`, { status: { replicas: 7 } }, 'merge-patch+json');
    await until(async () => (await get(path)).status.replicas).toBe(1);
    expect(await get(`${path}/scale`)).toMatchObject({ kind: 'Scale', status: { replicas: 1, selector: 'rc=rc' } });
    await patch(`${space}/pods/orphan`, { metadata: { labels: { rc: 'free' } } });
    await until(async () => (await get(`${space}/pods/orphan`)).metadata.ownerReferences ?? []).toEqual([]);

    await call('POST', `${space}/resourcequotas`, { metadata: { name: 'two' }, spec: { hard: { pods: '2' } } });
    await until(async () => (await get(`${space}/resourcequotas/two`)).status?.used?.pods).toBe('2');
    await patch(`${path}/scale`, { spec: { replicas: 3 } });
    const failure = async () => (await get(path)).status.conditions?.[0];
    await until(failure).toMatchObject({ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' });
    await patch(`${path}/scale`, { spec: { replicas: 1 } });
    await until(failure).toBe(undefined);
  });

  it('a Job with limits for each index runs all of them, and fails for the failed ones', async () => {
    const space = await namespace();
    const batch = space.replace('/api/v1', '/apis/batch/v1');
    const job = {
      metadata: { name: 'job' },
      spec: {
        completions: 2,
        parallelism: 2,
        completionMode: 'Indexed',
        backoffLimitPerIndex: 0,
        template: { spec: { ...template({}).spec, restartPolicy: 'Never' } },
      },
    };
    await call('POST', `${batch}/jobs`, job);
    const pods = async () => (await get(`${space}/pods?labelSelector=job-name%3Djob`)).items;
    await until(async () => (await pods()).length).toBe(2);
    for (const { metadata } of await pods()) {
      const isFirst = metadata.annotations['batch.kubernetes.io/job-completion-index'] === '0';
      expect(metadata.annotations['batch.kubernetes.io/job-index-failure-count']).toBe('0');
      const status = { phase: isFirst ? 'Failed' : 'Succeeded' };
      await patch(`${space}/pods/${metadata.name}/status`, { status });
    }
    await until(async () => (await get(`${batch}/jobs/job`)).status).toMatchObject({
      conditions: [
        { type: 'FailureTarget', reason: 'FailedIndexes' },
        { type: 'Failed', message: 'Job has failed indexes' },
      ],
      completedIndexes: '1',
      failedIndexes: '0',
      succeeded: 1,
      failed: 1,
    });
  });

  it('an autoscaler keeps its target within its bounds, and says that nothing can be measured', async () => {
    const space = await namespace();
    const [apps, autoscaling] = ['apps/v1', 'autoscaling/v2'].map((each) => space.replace('/api/v1', `/apis/${each}`));
    const spec = { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: template({ a: 'b' }) };
    await call('POST', `${apps}/deployments`, { metadata: { name: 'web' }, spec });
    const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
    const path = `${autoscaling}/horizontalpodautoscalers`;
    await call('POST', path, { metadata: { name: 'low' }, spec: { scaleTargetRef, minReplicas: 2, maxReplicas: 3 } });
    await until(async () => (await get(`${apps}/deployments/web`)).spec.replicas).toBe(2);
    await until(async () => (await get(`${path}/low`)).status.conditions[0]?.reason).toBe('SucceededRescale');
    await patch(`${path}/low`, { spec: { minReplicas: 1 } }, 'merge-patch+json');
    await until(async () => (await get(`${path}/low`)).status.conditions[1]).toMatchObject({
      type: 'ScalingActive',
      status: 'False',
      reason: 'FailedGetResourceMetric',
    });
  });
});

it('Endpoints of a Service without selector are mirrored, and their slices go with them', async () => {
  const space = await namespace();
  const slices = space.replace('/api/v1', '/apis/discovery.k8s.io/v1');
  const ports = [{ name: 'example', port: 80, protocol: 'TCP' }];
  await call('POST', `${space}/services`, { metadata: { name: 'custom' }, spec: { ports } });
  const subsets = [{ ports, addresses: [{ ip: '10.1.2.3' }] }];
  await call('POST', `${space}/endpoints`, { metadata: { name: 'custom' }, subsets });
  const found = async () =>
    (await get(`${slices}/endpointslices?labelSelector=kubernetes.io/service-name%3Dcustom`)).items.map(
      (slice: any) => [slice.endpoints[0].addresses, slice.ports],
    );
  await until(found).toEqual([[['10.1.2.3'], ports]]);
  subsets[0]?.addresses.splice(0, 1, { ip: '10.2.3.4' });
  await patch(`${space}/endpoints/custom`, { subsets }, 'merge-patch+json');
  await until(found).toEqual([[['10.2.3.4'], ports]]);
  await call('DELETE', `${space}/endpoints/custom`);
  await until(found).toEqual([]);
});

it('a namespace goes pods first: what holds a pod holds the rest', async () => {
  const space = await namespace();
  const metadata = { name: 'held', finalizers: ['example.com/held'] };
  await call('POST', `${space}/pods`, { metadata, spec: template({}).spec });
  await call('POST', `${space}/configmaps`, { metadata: { name: 'later' } });
  await call('DELETE', space);
  await until(async () => (await get(space)).status.conditions?.map((each: any) => each.reason)).toContain(
    'SomeFinalizersRemain',
  );
  expect(await codeOf(`${space}/configmaps/later`)).toBe(200);
  await patch(`${space}/pods/held`, [{ op: 'remove', path: '/metadata/finalizers' }], 'json-patch+json');
  await until(() => codeOf(space)).toBe(404);
});
