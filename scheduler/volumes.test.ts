// Pods with claims through the whole loop: where their volumes are, where they can be made, and what is said when neither.
import { afterEach, describe, expect, it } from 'vitest';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../api/types/core-v1.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
} from '../api/types/storage-v1.ts';
import { FakeClock, settle } from '../lib/clock.ts';
import { runScheduler } from './index.ts';
import * as refs from './refs.ts';
import { aNode, aPod, fakeApi } from './testing.ts';

let stop: (() => Promise<void>) | undefined;
afterEach(async () => {
  await stop?.();
  stop = undefined;
});

const BETA_ZONE = 'failure-domain.beta.kubernetes.io/zone';

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
    expect(message('p')).toContain('3 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)');
    await create.volume({ metadata: { name: 'somewhere' }, spec: { capacity: { storage: '1Gi' } } });
    await run(20_000);
    expect(nodeOf('p')).toBeDefined();
  });
});

const bound = (name: string, volumeName: string, accessModes = ['ReadWriteOnce']) =>
  claimOf(name, 'static', {
    metadata: { name, namespace: 'default', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
    spec: { volumeName, accessModes },
    status: { phase: 'Bound' },
  });
const ofDriver = (name: string): PersistentVolume => ({
  metadata: { name },
  spec: { capacity: { storage: '1Gi' }, csi: { driver: 'd.example.com', volumeHandle: `h-${name}` } },
});

describe('volumes of CSI drivers', () => {
  it('are no more on a node than its driver allows, pods of the node and what is attached together', async () => {
    const { create, createPod, run, nodeOf, message, fake } = await start();
    for (const name of ['a', 'b', 'c']) {
      const drivers = [{ name: 'd.example.com', nodeID: name, allocatable: { count: 2 } }];
      await fake.resource<CSINode>(refs.csiNodes).create({ metadata: { name }, spec: { drivers } });
    }
    for (const name of ['one', 'two', 'three']) {
      await create.volume(ofDriver(name));
      await create.claim(bound(name, name));
    }
    await fake.resource<VolumeAttachment>(refs.volumeAttachments).create({
      metadata: { name: 'left' },
      spec: { attacher: 'd.example.com', nodeName: 'a', source: { persistentVolumeName: 'two' } },
    });
    await run();
    await createPod(aPod('p', { ...mounting('one'), nodeSelector: { name: 'a' } }));
    // The same volume once more is no other volume; the third is.
    await createPod(aPod('q', { ...mounting('one', 'two'), nodeSelector: { name: 'a' } }));
    await createPod(aPod('r', { ...mounting('three'), nodeSelector: { name: 'a' } }));
    await run();
    expect([nodeOf('p'), nodeOf('q'), nodeOf('r')]).toEqual(['a', 'a', undefined]);
    expect(message('r')).toContain(
      "1 node(s) exceed max volume count, 2 node(s) didn't match Pod's node affinity/selector.",
    );
    await fake.resource(refs.volumeAttachments).delete('left');
    await fake.resource(refs.pods, 'default').delete('q', { gracePeriodSeconds: 0 });
    await run(20_000);
    expect(nodeOf('r')).toBe('a');
  });

  it('are made only where the driver says that there is room', async () => {
    const { create, createPod, run, message, claim, fake } = await start();
    await fake.resource<CSIDriver>(refs.csiDrivers).create({
      metadata: { name: 'example.com/local' },
      spec: { storageCapacity: true },
    });
    const room = (name: string, capacity: string) =>
      fake.resource<CSIStorageCapacity>(refs.csiCapacities, 'default').create({
        metadata: { name, namespace: 'default' },
        storageClassName: 'local',
        capacity,
        nodeTopology: { matchLabels: { name } },
      });
    await room('a', '500Mi');
    await create.claim(claimOf('data', 'local'));
    await createPod(aPod('p', mounting('data')));
    await run();
    expect(message('p')).toContain('3 node(s) did not have enough free storage.');
    await room('c', '1Gi');
    await run(20_000);
    expect(claim('data')?.metadata.annotations).toEqual({ 'volume.kubernetes.io/selected-node': 'c' });
  });
});

describe('volumes for one pod alone', () => {
  it('keep a second pod from every node, and give way to a more important one', async () => {
    const { create, createPod, run, nodeOf, message, pods, fake } = await start();
    await create.volume({ ...ofDriver('one'), spec: { ...ofDriver('one').spec, accessModes: ['ReadWriteOncePod'] } });
    await create.claim(bound('one', 'one', ['ReadWriteOncePod']));
    await run();
    await createPod(aPod('p', { ...mounting('one'), nodeSelector: { name: 'a' } }));
    await run();
    expect(nodeOf('p')).toBe('a');
    await createPod(aPod('q', { ...mounting('one'), nodeSelector: { name: 'b' } }));
    await run();
    expect(message('q')).toContain(
      '1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode',
    );
    await fake.resource(refs.pods, 'default').delete('q', { gracePeriodSeconds: 0 });
    await createPod(aPod('r', { ...mounting('one'), nodeSelector: { name: 'a' }, priority: 10 }));
    await run(20_000);
    expect(nodeOf('r')).toBe('a');
    expect(pods().map((each) => each.metadata.name)).not.toContain('p');
  });

  it('are told apart by disk, and by who only reads', async () => {
    const { createPod, run, nodeOf, message } = await start();
    const disk = (name: string, pdName: string, readOnly: boolean) =>
      createPod(
        aPod(name, {
          nodeSelector: { name: 'a' },
          volumes: [{ name: 'v', gcePersistentDisk: { pdName, readOnly } }],
        }),
      );
    await disk('reader', 'x', true);
    await disk('too', 'x', true);
    await disk('other', 'y', false);
    await run();
    await disk('writer', 'x', false);
    await run();
    expect(['reader', 'too', 'other', 'writer'].map(nodeOf)).toEqual(['a', 'a', 'a', undefined]);
    expect(message('writer')).toContain('1 node(s) had no available disk');
  });
});

it('follows the zone that a volume is labelled with, by old names and new ones', async () => {
  const { create, createPod, run, nodeOf, message, fake } = await start();
  for (const [name, zone] of [
    ['a', 'x'],
    ['b', 'y'],
  ] as const)
    fake.change<Node>(refs.nodes, name, (each) => ({
      ...each,
      metadata: { ...each.metadata, labels: { name, 'topology.kubernetes.io/zone': zone } },
    }));
  await create.volume({ ...ofDriver('one'), metadata: { name: 'one', labels: { [BETA_ZONE]: 'y__z' } } });
  await create.claim(bound('one', 'one'));
  await run();
  await createPod(aPod('p', { ...mounting('one'), nodeSelector: { name: 'b' } }));
  await createPod(aPod('q', { ...mounting('one'), nodeSelector: { name: 'a' } }));
  // A node without zones takes any.
  await createPod(aPod('r', { ...mounting('one'), nodeSelector: { name: 'c' } }));
  await run();
  expect(['p', 'q', 'r'].map(nodeOf)).toEqual(['b', undefined, 'c']);
  expect(message('q')).toContain('1 node(s) had no available volume zone');
});
