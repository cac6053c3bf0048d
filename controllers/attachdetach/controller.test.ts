import { beforeEach, describe, expect, it } from 'vitest';
import { attachmentName } from '../../api/csi-attachment.ts';
import { csiDriver as driverKind } from '../../api/kinds/csi-driver.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { volumeAttachment as attachmentKind } from '../../api/kinds/volume-attachment.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '../../api/types/storage-v1.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { runAttachDetach } from './controller.ts';

const DRIVER = 'disk.example.com';
let harness: Harness;

async function start(driver: Partial<CSIDriver['spec']> = {}): Promise<void> {
  harness = startHarness([runAttachDetach]);
  await harness.create<CSIDriver>(driverKind, { metadata: { name: DRIVER }, spec: driver });
  for (const name of ['n1', 'n2']) await harness.create<Node>(nodeKind, { metadata: { name } });
  await harness.create<PersistentVolume>(volumeKind, {
    metadata: { name: 'pv' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      csi: { driver: DRIVER, volumeHandle: 'h' },
      claimRef: { namespace: 'default', name: 'data' },
    },
  });
  await harness.create<PersistentVolumeClaim>(claimKind, {
    metadata: { name: 'data', namespace: 'default' },
    spec: { volumeName: 'pv' },
    status: { phase: 'Bound' },
  });
}
const run = async (name: string, nodeName: string) => {
  await harness.create<Pod>(podKind, {
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName,
      containers: [{ name: 'c', image: 'i' }],
      volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
    },
  });
  await harness.run();
};
const attachments = () =>
  harness.client.objects<VolumeAttachment>(attachmentKind).map(({ metadata, spec }) => [metadata.name, spec]);
const nameOn = (node: string) => attachmentName('h', DRIVER, node);
const specOn = (nodeName: string) => ({ attacher: DRIVER, nodeName, source: { persistentVolumeName: 'pv' } });
/** What the driver's attacher does. */
const answer = async (node: string, status: VolumeAttachment['status']) => {
  harness.client.change<VolumeAttachment>(attachmentKind, nameOn(node), (each) => ({
    ...each,
    ...(status && { status }),
  }));
  await harness.run();
};
const attachedTo = (node: string) => harness.client.object<Node>(nodeKind, node)?.status?.volumesAttached;

describe('a volume of a CSI driver', () => {
  beforeEach(() => start());

  it('is asked to be attached where a pod uses it, and detached when the pod is gone', async () => {
    await run('a', 'n1');
    // The name that upstream gives it.
    expect(attachments()).toEqual([[nameOn('n1'), specOn('n1')]]);
    expect(nameOn('n1')).toMatch(/^csi-[0-9a-f]{64}$/);
    expect(attachedTo('n1')).toBeUndefined();
    await answer('n1', { attached: false, attachError: { message: 'no room', time: '2026-01-01T00:00:00Z' } });
    await answer('n1', { attached: true });
    expect(attachedTo('n1')).toEqual([{ name: `kubernetes.io/csi/${DRIVER}^h`, devicePath: '' }]);
    expect(harness.messages()).toEqual([
      'FailedAttachVolume: AttachVolume.Attach failed for volume "pv" : no room',
      'SuccessfulAttachVolume: AttachVolume.Attach succeeded for volume "pv" ',
    ]);
    harness.takeWrites();
    await harness.run();
    expect(harness.takeWrites()).toEqual([]);
    await harness.client.resource(podKind, 'default').delete('a');
    await harness.run();
    expect([attachments(), attachedTo('n1') ?? []]).toEqual([[], []]);
    await harness.stop();
  });

  it('of which there is one comes to another node when the first has let go', async () => {
    await run('a', 'n1');
    await answer('n1', { attached: true });
    await run('b', 'n2');
    expect(attachments()).toEqual([[nameOn('n1'), specOn('n1')]]);
    expect(harness.messages()).toContain(
      'FailedAttachVolume: Multi-Attach error for volume "pv" Volume is already used by pod(s) a',
    );
    await harness.client.resource(podKind, 'default').delete('a');
    await harness.run();
    expect(attachments()).toEqual([[nameOn('n2'), specOn('n2')]]);
    await harness.stop();
  });

  it('is detached from a node that is gone', async () => {
    await run('a', 'n1');
    await harness.client.resource(nodeKind).delete('n1');
    await harness.run();
    expect(attachments()).toEqual([]);
    await harness.stop();
  });
});

it('a driver that needs no attaching is left alone', async () => {
  await start({ attachRequired: false });
  await run('a', 'n1');
  expect(attachments()).toEqual([]);
  await harness.stop();
});
