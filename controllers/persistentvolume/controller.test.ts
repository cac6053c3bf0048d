// Claims and volumes against an API server in memory: bound, provisioned, protected, reclaimed.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { storageClass as classKind } from '../../api/kinds/storage-class.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { runPersistentVolumeController } from './controller.ts';
import { runDefaultStorageClass } from './default-class.ts';
import { runEphemeralVolumeController } from './ephemeral.ts';
import { LOCAL_PROVISIONER } from './plan.ts';
import { runPvcProtection, runPvProtection } from '../pvcprotection/controller.ts';

let harness: Harness;
beforeEach(() => {
  harness = startHarness([
    runPersistentVolumeController,
    runPvcProtection,
    runPvProtection,
    runEphemeralVolumeController,
  ]);
});
afterEach(() => harness.stop());

const claimOf = (name: string, storage: string, more: object = {}): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default' },
  spec: {
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'manual',
    resources: { requests: { storage } },
    ...more,
  },
});
const volumeOf = (name: string, storage: string, more: object = {}): PersistentVolume => ({
  metadata: { name },
  spec: {
    capacity: { storage },
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'manual',
    persistentVolumeReclaimPolicy: 'Retain',
    hostPath: { path: '/data' },
    ...more,
  },
});
const standard: StorageClass = {
  metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: LOCAL_PROVISIONER,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
  allowVolumeExpansion: true,
};
const claim = (name: string) => harness.client.object<PersistentVolumeClaim>(claimKind, `default/${name}`);
const volume = (name: string) => harness.client.object<PersistentVolume>(volumeKind, name);
const createClaim = (object: PersistentVolumeClaim) => harness.create(claimKind, object);
const select = (name: string, node: string) =>
  harness.client.change<PersistentVolumeClaim>(claimKind, `default/${name}`, (each) => ({
    ...each,
    metadata: { ...each.metadata, annotations: { 'volume.kubernetes.io/selected-node': node } },
  }));

describe('binding', () => {
  it('takes the smallest volume that suits, and both say so', async () => {
    await harness.create(volumeKind, volumeOf('big', '10Gi'));
    await harness.create(volumeKind, volumeOf('fitting', '2Gi'));
    await harness.create(volumeKind, volumeOf('small', '500Mi'));
    await harness.create(volumeKind, volumeOf('other-class', '1Gi', { storageClassName: 'x' }));
    await harness.run();
    expect(volume('big')?.status?.phase).toBe('Available');
    await createClaim(claimOf('a', '1Gi'));
    await harness.run();
    expect(claim('a')).toMatchObject({
      metadata: {
        annotations: { 'pv.kubernetes.io/bind-completed': 'yes', 'pv.kubernetes.io/bound-by-controller': 'yes' },
        finalizers: ['kubernetes.io/pvc-protection'],
      },
      spec: { volumeName: 'fitting' },
      status: { phase: 'Bound', accessModes: ['ReadWriteOnce'], capacity: { storage: '2Gi' } },
    });
    expect(volume('fitting')).toMatchObject({
      metadata: { finalizers: ['kubernetes.io/pv-protection'] },
      spec: { claimRef: { name: 'a', namespace: 'default', uid: claim('a')?.metadata.uid } },
      status: { phase: 'Bound' },
    });
    harness.takeWrites();
    harness.client.dropWatches();
    await harness.run(10_000);
    expect(harness.takeWrites()).toEqual([]);
  });

  it('says why a claim waits, and binds it when a volume comes', async () => {
    await createClaim(claimOf('a', '1Gi', { storageClassName: '' }));
    await harness.run();
    expect(claim('a')?.status?.phase).toBe('Pending');
    expect(harness.messages()).toContain(
      'FailedBinding: no persistent volumes available for this claim and no storage class is set',
    );
    await harness.create(volumeKind, volumeOf('late', '1Gi', { storageClassName: '' }));
    await harness.run();
    expect(claim('a')?.status?.phase).toBe('Bound');
  });

  it('heeds the volume that the user names, and refuses one that does not suit', async () => {
    await harness.create(volumeKind, volumeOf('mine', '5Gi'));
    await harness.create(volumeKind, volumeOf('tiny', '1Mi'));
    await createClaim(claimOf('a', '1Gi', { volumeName: 'mine' }));
    await createClaim(claimOf('b', '1Gi', { volumeName: 'tiny' }));
    await harness.run();
    expect(volume('mine')?.spec?.claimRef?.name).toBe('a');
    expect(claim('a')?.metadata.annotations).toEqual({ 'pv.kubernetes.io/bind-completed': 'yes' });
    expect(claim('b')?.status?.phase).toBe('Pending');
    expect(harness.messages()).toContain(
      'VolumeMismatch: Cannot bind to requested volume "tiny": requested PV is too small',
    );
  });

  it('tells external provisioners what to do, and that a volume was lost', async () => {
    await harness.create(classKind, { metadata: { name: 'fast' }, provisioner: 'csi.example.com' } as StorageClass);
    await createClaim(claimOf('a', '1Gi', { storageClassName: 'fast' }));
    await harness.run();
    expect(claim('a')?.metadata.annotations?.['volume.kubernetes.io/storage-provisioner']).toBe('csi.example.com');
    const ref = { name: 'a', namespace: 'default', uid: claim('a')?.metadata.uid };
    await harness.create(volumeKind, volumeOf('made', '1Gi', { storageClassName: 'fast', claimRef: ref }));
    await harness.run();
    expect(claim('a')?.status?.phase).toBe('Bound');
    harness.client.change(volumeKind, 'made', () => undefined);
    await harness.run();
    expect(claim('a')?.status?.phase).toBe('Lost');
  });
});

describe('local volumes', () => {
  beforeEach(async () => {
    await harness.create(classKind, standard);
    await harness.create(nodeKind, {
      metadata: {
        name: 'n1',
        labels: { 'kubernetes.io/hostname': 'host-1' },
        annotations: { 'sampan.dev/local-volumes': '/data/volumes' },
      },
    });
  });

  it('are made on the node that was chosen, for claims without a class too, and go with their claim', async () => {
    await createClaim(claimOf('a', '1Gi', { storageClassName: undefined }));
    await harness.run();
    expect(claim('a')?.spec?.storageClassName).toBe('standard');
    expect(harness.messages()).toContain(
      'WaitForFirstConsumer: waiting for first consumer to be created before binding',
    );
    select('a', 'n1');
    await harness.run();
    const name = `pvc-${claim('a')?.metadata.uid}`;
    expect(volume(name)?.spec).toMatchObject({
      local: { path: `/data/volumes/${name}` },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ values: ['host-1'] }] }] } },
    });
    expect(claim('a')?.status).toMatchObject({ phase: 'Bound', capacity: { storage: '1Gi' } });
    await harness.client.resource(claimKind, 'default').delete('a');
    await harness.run(5000);
    expect(claim('a')).toBeUndefined();
    expect(volume(name)).toBeUndefined();
  });

  it('stay while a pod uses them, and grow when asked to', async () => {
    await createClaim(claimOf('a', '1Gi', { storageClassName: 'standard' }));
    select('a', 'n1');
    const pod: Pod = {
      metadata: { name: 'p', namespace: 'default' },
      spec: {
        nodeName: 'n1',
        containers: [{ name: 'c' }],
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'a' } }],
      },
    };
    await harness.create(podKind, pod);
    await harness.run();
    harness.client.change<PersistentVolumeClaim>(claimKind, 'default/a', (each) => ({
      ...each,
      spec: { ...each.spec, resources: { requests: { storage: '3Gi' } } },
    }));
    await harness.run();
    expect(claim('a')?.status?.capacity).toEqual({ storage: '3Gi' });
    await harness.client.resource(claimKind, 'default').delete('a');
    await harness.run(5000);
    expect(claim('a')?.metadata.deletionTimestamp).toBeDefined();
    harness.client.change(podKind, 'default/p', () => undefined);
    await harness.run(5000);
    expect(claim('a')).toBeUndefined();
  });

  it('retain: the volume is Released and stays', async () => {
    await harness.create(classKind, { ...standard, metadata: { name: 'keep' }, reclaimPolicy: 'Retain' });
    await createClaim(claimOf('a', '1Gi', { storageClassName: 'keep' }));
    select('a', 'n1');
    await harness.run();
    const name = `pvc-${claim('a')?.metadata.uid}`;
    await harness.client.resource(claimKind, 'default').delete('a');
    await harness.run(5000);
    expect(volume(name)?.status?.phase).toBe('Released');
  });

  it('belong to a pod that asks for one of its own', async () => {
    const spec = claimOf('x', '1Gi', { storageClassName: 'standard' }).spec;
    const pod = await harness.create<Pod>(podKind, {
      metadata: { name: 'p', namespace: 'default' },
      spec: {
        containers: [{ name: 'c' }],
        volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: spec ?? {} } } }],
      },
    });
    await harness.run();
    expect(claim('p-scratch')?.metadata.ownerReferences).toMatchObject([{ uid: pod.metadata.uid, controller: true }]);
  });
});

it('a cluster without a storage class gets a default one, once', async () => {
  const own = startHarness([runDefaultStorageClass]);
  await own.run();
  expect(own.client.object<StorageClass>(classKind, 'standard')).toMatchObject(standard);
  await own.stop();
});
