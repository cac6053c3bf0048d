// Pods with claims through the whole loop: where their volumes are, where they can be made, and what is said when neither.
import { afterEach, describe, expect, it } from 'vitest';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../api/types/core-v1.ts';
import type { StorageClass } from '../api/types/storage-v1.ts';
import { FakeClock, settle } from '../lib/clock.ts';
import { runScheduler } from './index.ts';
import * as refs from './refs.ts';
import { aNode, aPod, fakeApi } from './testing.ts';

let stop: (() => Promise<void>) | undefined;
afterEach(async () => {
  await stop?.();
  stop = undefined;
});

const classOf = (name: string, provisioner: string): StorageClass => ({
  metadata: { name },
  provisioner,
  volumeBindingMode: 'WaitForFirstConsumer',
});
const claimOf = (
  name: string,
  className: string,
  more: Partial<PersistentVolumeClaim> = {},
): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default', ...more.metadata },
  spec: {
    accessModes: ['ReadWriteOnce'],
    storageClassName: className,
    resources: { requests: { storage: '1Gi' } },
    ...more.spec,
  },
  status: { phase: 'Pending', ...more.status },
});
const volumeOn = (name: string, node: string): PersistentVolume => ({
  metadata: { name },
  spec: {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'static',
    nodeAffinity: {
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'name', operator: 'In', values: [node] }] }] },
    },
  },
  status: { phase: 'Available' },
});
const mounting = (...claims: string[]) => ({
  volumes: claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } })),
});

async function start() {
  const clock = new FakeClock();
  const api = fakeApi(clock, { random: () => 0 });
  for (const name of ['a', 'b', 'c'])
    await api.fake.resource<Node>(refs.nodes).create(aNode(name, { labels: { name } }));
  const create = {
    claim: (claim: PersistentVolumeClaim) =>
      api.fake.resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, 'default').create(claim),
    volume: (volume: PersistentVolume) => api.fake.resource<PersistentVolume>(refs.persistentVolumes).create(volume),
    storageClass: (each: StorageClass) => api.fake.resource<StorageClass>(refs.storageClasses).create(each),
  };
  await create.storageClass(classOf('local', 'example.com/local'));
  await create.storageClass(classOf('static', 'kubernetes.io/no-provisioner'));
  const controller = new AbortController();
  const work = [api.context.informers.run(controller.signal), runScheduler(api.context, controller.signal)];
  stop = async () => {
    controller.abort();
    await Promise.all(work);
  };
  const run = async (ms = 2000) => {
    for (let i = 0; i < 20; i++) await settle();
    await clock.advance(ms);
    for (let i = 0; i < 20; i++) await settle();
  };
  await run();
  const nodeOf = (name: string) => api.pods().find((each) => each.metadata.name === name)?.spec?.nodeName;
  const message = (name: string) =>
    api
      .pods()
      .find((each) => each.metadata.name === name)
      ?.status?.conditions?.find((each) => each.type === 'PodScheduled')?.message;
  const claim = (name: string) =>
    api.fake.object<PersistentVolumeClaim>(refs.persistentVolumeClaims, `default/${name}`);
  /** As the controllers would. */
  const bind = (name: string, volumeName: string) =>
    api.fake.change<PersistentVolumeClaim>(refs.persistentVolumeClaims, `default/${name}`, (each) => ({
      ...each,
      metadata: {
        ...each.metadata,
        annotations: { ...each.metadata.annotations, 'pv.kubernetes.io/bind-completed': 'yes' },
      },
      spec: { ...each.spec, volumeName },
      status: { phase: 'Bound' },
    }));
  return { ...api, create, run, nodeOf, message, claim, bind };
}

describe('claims', () => {
  it('are told where their volume is to be made, and the pod follows when it is', async () => {
    const { create, createPod, run, nodeOf, claim, bind } = await start();
    await create.claim(claimOf('data', 'local'));
    await createPod(aPod('p', { ...mounting('data'), nodeSelector: { name: 'b' } }));
    await run();
    expect(claim('data')?.metadata.annotations).toEqual({ 'volume.kubernetes.io/selected-node': 'b' });
    expect(nodeOf('p')).toBeUndefined();
    bind('data', 'made');
    await run();
    expect(nodeOf('p')).toBe('b');
  });

  it('bring the pod to the node of a free volume, and no two to the same one', async () => {
    const { create, createPod, run, nodeOf, message, bind, fake } = await start();
    await create.volume(volumeOn('disk', 'c'));
    await create.claim(claimOf('one', 'static'));
    await create.claim(claimOf('two', 'static'));
    await run();
    await createPod(aPod('p', mounting('one')));
    await createPod(aPod('q', mounting('two')));
    await run();
    const ref = fake.object<PersistentVolume>(refs.persistentVolumes, 'disk')?.spec?.claimRef;
    expect(ref?.name).toBe('one');
    bind('one', 'disk');
    await run();
    expect(nodeOf('p')).toBe('c');
    expect(message('q')).toBe(
      "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    );
  });

  it('that are bound keep the pod to where the volume can be used', async () => {
    const { create, createPod, run, nodeOf } = await start();
    await create.volume({ ...volumeOn('disk', 'b'), status: { phase: 'Bound' } });
    const metadata = { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } };
    await create.claim(
      claimOf('data', 'static', {
        metadata: { name: 'data', namespace: 'default', ...metadata },
        spec: { volumeName: 'disk' },
        status: { phase: 'Bound' },
      }),
    );
    await run();
    await createPod(aPod('p', mounting('data')));
    await run();
    expect(nodeOf('p')).toBe('b');
  });

  it('that are missing or wait are said, and wake the pod when they come', async () => {
    const { create, createPod, run, nodeOf, message, bind } = await start();
    await createPod(aPod('p', mounting('none')));
    await run();
    expect(message('p')).toContain('0/3 nodes are available: persistentvolumeclaim "none" not found.');
    await create.claim(claimOf('none', ''));
    await run(20_000);
    expect(message('p')).toContain('0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.');
    bind('none', 'somewhere');
    await run(20_000);
    expect(nodeOf('p')).toBeDefined();
  });
});
