import { describe, expect, it } from 'vitest';
import type { Node, PersistentVolume, Pod } from '../../api/types/core-v1.ts';
import type { VolumeAttachment } from '../../api/types/storage-v1.ts';
import { MAX_UNMOUNT_MS, planAttachments } from './plan.ts';

const DRIVER = 'disk.example.com';
const volume = (modes = ['ReadWriteOnce']): PersistentVolume => ({
  metadata: { name: 'pv' },
  spec: {
    accessModes: modes,
    csi: { driver: DRIVER, volumeHandle: 'h' },
    claimRef: { namespace: 'default', name: 'data' },
  },
});
const pod = (name: string, nodeName: string, more: Partial<Pod> = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: {
    nodeName,
    containers: [{ name: 'c', image: 'i' }],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
  },
  ...more,
});
const attachment = (nodeName: string): VolumeAttachment => ({
  metadata: { name: `at-${nodeName}` },
  spec: { attacher: DRIVER, nodeName, source: { persistentVolumeName: 'pv' } },
});
const using: Node = { metadata: { name: 'a' }, status: { volumesInUse: [`kubernetes.io/csi/${DRIVER}^h`] } };

describe('the plan', () => {
  const plan = (pods: Pod[], attachments: VolumeAttachment[], more: object = {}, modes?: string[]) => {
    const facts = {
      volume: volume(modes),
      pods,
      attachments,
      node: (name: string) => ({ metadata: { name } }),
      unwantedSinceMs: () => undefined,
    };
    const { attach, detach, conflicts, waiting } = planAttachments({ ...facts, nowMs: 1000, ...more });
    return {
      attach,
      detach,
      waiting,
      conflicts: conflicts.map((each) => [each.pod.metadata.name, each.message].join(': ')),
    };
  };
  const nothing = { attach: [], detach: [], waiting: [], conflicts: [] };
  const ending = { metadata: { name: 'p', namespace: 'default', deletionTimestamp: 'x' } };
  it.each([
    ['attaches where a pod is', plan([pod('p', 'a')], []), { ...nothing, attach: ['a'] }],
    ['attaches once', plan([pod('p', 'a'), pod('q', 'a')], [attachment('a')]), nothing],
    ['leaves pods without a node', plan([pod('p', '')], []), nothing],
    [
      'attaches to one node only',
      plan([pod('p', 'a'), pod('q', 'b')], [attachment('a')]),
      { ...nothing, conflicts: ['q: Multi-Attach error for volume "pv" Volume is already used by pod(s) p'] },
    ],
    [
      'says when nobody is known to use it there',
      plan([pod('q', 'b')], [{ ...attachment('a'), metadata: { deletionTimestamp: 'x' } }]),
      {
        ...nothing,
        conflicts: [
          'q: Multi-Attach error for volume "pv" Volume is already exclusively attached to one node and can\'t be attached to another',
        ],
      },
    ],
    [
      'attaches to many nodes what is for many',
      plan([pod('p', 'a'), pod('q', 'b')], [attachment('a')], {}, ['ReadWriteMany']),
      { ...nothing, attach: ['b'] },
    ],
    ['detaches what nobody uses', plan([], [attachment('a')]), { ...nothing, detach: ['at-a'] }],
    [
      'waits while the kubelet uses it',
      plan([], [attachment('a')], { node: () => using, unwantedSinceMs: () => 0 }),
      { ...nothing, waiting: ['a'] },
    ],
    [
      'waits six minutes at most',
      plan([], [attachment('a')], { node: () => using, unwantedSinceMs: () => 0, nowMs: MAX_UNMOUNT_MS }),
      { ...nothing, detach: ['at-a'] },
    ],
    [
      'does not wait for a node that is out of service',
      plan([], [attachment('a')], {
        node: () => ({
          ...using,
          spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] },
        }),
      }),
      { ...nothing, detach: ['at-a'] },
    ],
    [
      'is over with a pod that has ended',
      plan([pod('p', 'a', { status: { phase: 'Succeeded' } })], [attachment('a')]),
      { ...nothing, detach: ['at-a'] },
    ],
    [
      'holds on to a pod that ends while its containers run',
      plan(
        [pod('p', 'a', { ...ending, status: { containerStatuses: [{ state: { running: {} } } as never] } })],
        [attachment('a')],
      ),
      nothing,
    ],
    [
      'lets go of a pod that ends without containers',
      plan(
        [
          pod('p', 'a', {
            ...ending,
            status: { containerStatuses: [{ state: { terminated: { exitCode: 0 } } } as never] },
          }),
        ],
        [attachment('a')],
      ),
      { ...nothing, detach: ['at-a'] },
    ],
  ])('%s', (_title, found, expected) => {
    expect(found).toEqual(expected);
  });
});
