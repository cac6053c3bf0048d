// Pods from files: they run without the API server, the API shows a picture of them, and the files are obeyed.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import '../../api/kinds/pod.ts';
import './static-source.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { createHarness, type Harness } from '../testing/harness.ts';
import { planMirror, staticPodOf } from './static-pods.ts';

const manifest = (image: string, more = '') => `apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system, labels: {tier: control-plane}}
spec: {containers: [{name: etcd, image: '${image}', imagePullPolicy: IfNotPresent}]${more}}
`;

describe('static pods', () => {
  let test: Harness;
  let dir: string;
  beforeEach(() => {
    test = createHarness();
    dir = join(test.stateDir, 'manifests');
    mkdirSync(dir);
  });
  afterEach(() => test.stop());
  const mirror = () => test.api.object<Pod>(refs.pods, 'kube-system/etcd-node-1');

  it('run, are shown with their status, come back when their picture is deleted, and end with their file', async () => {
    writeFileSync(join(dir, 'etcd.yaml'), manifest('app:1'));
    await test.start({ staticPodPath: dir });
    await test.advance(3000);
    expect(test.cri.running('etcd')).toHaveLength(1);
    const id = test.cri.container('etcd')?.status.id;
    expect(mirror()).toMatchObject({
      metadata: {
        labels: { tier: 'control-plane' },
        annotations: { 'kubernetes.io/config.source': 'file' },
        ownerReferences: [{ kind: 'Node', name: 'node-1', controller: true }],
      },
      spec: { nodeName: 'node-1', terminationGracePeriodSeconds: 30 },
      status: { phase: 'Running', containerStatuses: [{ ready: true }] },
    });
    expect(mirror()?.metadata.annotations?.['kubernetes.io/config.mirror']).toBe(
      mirror()?.metadata.annotations?.['kubernetes.io/config.hash'],
    );
    const first = mirror()?.metadata.uid;
    await test.api.resource<Pod>(refs.pods, 'kube-system').delete('etcd-node-1', { gracePeriodSeconds: 0 });
    await test.advance(3000);
    expect(mirror()?.metadata.uid).not.toBe(first);
    expect(mirror()?.status?.phase).toBe('Running');
    expect(test.cri.container('etcd')?.status.id).toBe(id);

    writeFileSync(join(dir, 'etcd.yaml'), manifest('app:1', ', terminationGracePeriodSeconds: 5'));
    await test.advance(30_000);
    expect(test.cri.running('etcd')).toHaveLength(1);
    expect(test.cri.container('etcd')?.status.id).not.toBe(id);
    expect(mirror()?.spec?.terminationGracePeriodSeconds).toBe(5);

    rmSync(join(dir, 'etcd.yaml'));
    await test.advance(30_000);
    expect(test.cri.running('etcd')).toEqual([]);
    expect(mirror()).toBeUndefined();
  });

  it('start while the API server is away', async () => {
    test.faults.before = () => {
      throw new NetworkError('connection refused');
    };
    writeFileSync(join(dir, 'etcd.yaml'), manifest('app:1'));
    await test.start({ staticPodPath: dir });
    expect(test.cri.running('etcd')).toHaveLength(1);
    test.faults.before = () => {};
    await test.advance(60_000);
    expect(mirror()?.status?.phase).toBe('Running');
  });

  it('survive the kubelet, and a wrong file harms no other', async () => {
    writeFileSync(join(dir, 'a.yaml'), manifest('app:1'));
    writeFileSync(join(dir, 'b.yaml'), 'kind: Deployment');
    await test.start({ staticPodPath: dir });
    await test.advance(3000);
    const id = test.cri.container('etcd')?.status.id;
    await test.kill();
    await test.start({ staticPodPath: dir });
    await test.advance(3000);
    expect(test.cri.running('etcd').map((each) => each.status.id)).toEqual([id]);
  });
});

it('a mirror without a file goes, one of another version too', () => {
  const pod = staticPodOf(
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } },
    'text',
    '/f',
    'n',
    0,
  );
  const shown = (hash: string): Pod => ({ metadata: { annotations: { 'kubernetes.io/config.mirror': hash } } });
  const hash = pod.metadata.uid as string;
  expect(planMirror(pod, undefined)).toBe('create');
  expect(planMirror(pod, shown(hash))).toBe('none');
  expect(planMirror(pod, shown('old'))).toBe('delete');
  expect(planMirror(undefined, shown(hash))).toBe('delete');
  expect(planMirror(undefined, undefined)).toBe('none');
});

it.each([
  [{ kind: 'Pod', apiVersion: 'v1', metadata: {} }, 'needs a name and containers'],
  [{ kind: 'Job', apiVersion: 'batch/v1' }, 'does not hold a v1 Pod'],
  [
    {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c' }], volumes: [{ name: 'v', secret: { secretName: 's' } }] },
    },
    'may not reference secrets',
  ],
])('refuses %j', (object, message) => {
  expect(() => staticPodOf(object, '', '/f', 'n', 0)).toThrow(message);
});
