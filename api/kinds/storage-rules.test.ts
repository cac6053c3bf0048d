// Rules of volumes and claims that the first tables leave out: sources, what may change, status, warnings.
import { describe, expect, it } from 'vitest';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';
import { persistentVolume } from './persistent-volume.ts';
import { persistentVolumeClaim } from './persistent-volume-claim.ts';
import { storageClass } from './storage-class.ts';
import { statefulSet } from './stateful-set.ts';
import { createErrors, created, messagesOf, podOf, updateErrors, variant } from './testing.ts';

const volume = (spec: object, annotations?: Record<string, string>): PersistentVolume => ({
  metadata: { name: 'v', ...(annotations && { annotations }) },
  spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...spec },
});
const csi = { driver: 'd.example.com', volumeHandle: 'h' };
const affinity = (key: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'Exists' }] }] },
});

const CLAIM = {
  metadata: { name: 'c' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
};
const claim = (patch: object): PersistentVolumeClaim => variant(CLAIM, patch);

describe('volumes', () => {
  it.each<[string, PersistentVolume, string[]]>([
    [
      'a driver has a name, and secrets are named whole',
      volume({ csi: { driver: 'no_driver', volumeHandle: 'h', nodePublishSecretRef: { name: 'x' } } }),
      [
        expect.stringMatching(/^spec\.csi\.driver: Invalid value: "no_driver": a lowercase RFC 1123 subdomain/),
        'spec.csi.nodePublishSecretRef.namespace: Required value',
      ],
    ],
    [
      'a path on the host has a type that is known',
      volume({ hostPath: { path: '/x', type: 'Pipe' } }),
      [expect.stringMatching(/^spec\.hostPath\.type: Unsupported value: "Pipe"/)],
    ],
    [
      'the root is never recycled, however it is written',
      volume({ hostPath: { path: '//.' }, persistentVolumeReclaimPolicy: 'Recycle' }),
      ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
    ],
    [
      'no capacity is negative',
      volume({ csi, capacity: { storage: '-1Gi' } }),
      [
        'spec.capacity[storage]: Invalid value: -1073741824: must be a valid resource quantity',
        'spec.capacity[storage]: Invalid value: "-1Gi": must be greater than zero',
      ],
    ],
    [
      'secrets and endpoints elsewhere are named with their namespace',
      volume({ cinder: { volumeID: 'x', secretRef: { name: '', namespace: '' } } }),
      ['spec.cinder.secretRef.name: Required value', 'spec.cinder.secretRef.namespace: Required value'],
    ],
    [
      'a volume of StorageOS has a name that is a label',
      volume({ storageos: { volumeName: 'A' } }),
      [expect.stringMatching(/^spec\.storageos\.volumeName: Invalid value: "A": a lowercase RFC 1123 label/)],
    ],
    [
      'registries are hosts with ports',
      volume({ quobyte: { registry: 'a:1,b', volume: 'v' } }),
      ['spec.quobyte.registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas'],
    ],
  ])('%s', (_, each, messages) => expect(createErrors(persistentVolume, each)).toEqual(messages));

  it.each<[string, object, object, string[]]>([
    [
      'a secret for growing may come later',
      { csi },
      { csi: { ...csi, controllerExpandSecretRef: { name: 'a', namespace: 'b' } } },
      [],
    ],
    [
      'labels may get their new names',
      { csi, nodeAffinity: affinity('failure-domain.beta.kubernetes.io/zone') },
      { csi, nodeAffinity: affinity('topology.kubernetes.io/zone') },
      [],
    ],
    [
      'nodes do not change',
      { csi, nodeAffinity: affinity('a') },
      { csi, nodeAffinity: affinity('b') },
      [
        expect.stringMatching(
          /^nodeAffinity: Invalid value: .*: field is immutable, except for updating from beta label/,
        ),
      ],
    ],
    [
      'nor does the mode',
      { csi },
      { csi, volumeMode: 'Block' },
      ['volumeMode: Invalid value: "Block": field is immutable'],
    ],
    [
      'a class of attributes stays one',
      { csi, volumeAttributesClassName: 'a' },
      { csi },
      ['spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden'],
    ],
  ])('%s', (_, before, after, messages) =>
    expect(updateErrors(persistentVolume, volume(before), volume(after))).toEqual(messages),
  );

  it('warn of what is deprecated', () => {
    const each = volume(
      { capacity: { storage: '1500m' }, storageos: {}, persistentVolumeReclaimPolicy: 'Recycle' },
      { 'volume.beta.kubernetes.io/storage-class': 'x', 'volume.beta.kubernetes.io/mount-options': 'ro' },
    );
    expect(persistentVolume.warnings?.(each)).toEqual([
      'metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead',
      'metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "mountOptions" attribute instead',
      'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.',
      'spec.storageOS: deprecated in v1.22, non-functional in v1.25+',
      'spec.capacity[storage]: fractional byte value "1500m" is invalid, must be an integer',
    ]);
  });
});

describe('claims', () => {
  const snapshot = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 's' };
  it.each<[string, object, object]>([
    ['a snapshot fills both', { dataSource: snapshot }, { dataSource: snapshot, dataSourceRef: snapshot }],
    ['what is no source is dropped', { dataSource: { kind: 'Pod', name: 'p' } }, {}],
    [
      'of the newer field nothing is',
      { dataSourceRef: { apiGroup: 'a.b', kind: 'X', name: 'x' } },
      {
        dataSource: { apiGroup: 'a.b', kind: 'X', name: 'x' },
        dataSourceRef: { apiGroup: 'a.b', kind: 'X', name: 'x' },
      },
    ],
    ['but a source in another namespace', { dataSourceRef: { ...snapshot, namespace: 'other' } }, {}],
  ])('%s', (_, spec, expected) => {
    const { dataSource, dataSourceRef } = created(persistentVolumeClaim, claim({ spec })).spec ?? {};
    expect({ dataSource, dataSourceRef }).toEqual(expected);
  });

  it.each<[string, object, string[]]>([
    [
      'two sources are one',
      { spec: { dataSource: snapshot, dataSourceRef: { ...snapshot, name: 'other' } } },
      ['spec: Invalid value: {}: must match dataSourceRef'],
    ],
  ])('%s', (_, patch, messages) => expect(createErrors(persistentVolumeClaim, claim(patch))).toEqual(messages));

  const annotation = 'volume.beta.kubernetes.io/storage-class';
  const named = { metadata: { annotations: { [annotation]: 'slow' } } };
  it.each<[string, object, object, string[]]>([
    ['a class may be named once', {}, { spec: { storageClassName: 'slow' } }, []],
    ['also where the annotation named it', named, { spec: { storageClassName: 'slow' } }, []],
    [
      'the annotation stays',
      named,
      { metadata: { annotations: { [annotation]: 'fast' } } },
      [`metadata.annotations.${annotation}: Invalid value: "fast": field is immutable`],
    ],
    [
      'a class of attributes is not emptied',
      { spec: { volumeAttributesClassName: 'a' } },
      { spec: { volumeAttributesClassName: '' } },
      [
        expect.stringMatching(/^spec: Forbidden: spec is immutable after creation/),
        'spec.volumeAttributesClassName: Forbidden: update from non-nil value to an empty string is forbidden',
      ],
    ],
  ])('%s', (_, before, after, messages) =>
    expect(updateErrors(persistentVolumeClaim, claim(before), claim(after))).toEqual(messages),
  );

  it('check what is reported of them', () => {
    const each = claim({
      status: {
        capacity: { storage: '-1' },
        allocatedResourceStatuses: { storage: 'Growing', cpu: 'NodeResizePending' },
        allocatedResources: { 'example.com/x': '-1' },
      },
    });
    expect(messagesOf(persistentVolumeClaim.validateStatusUpdate?.(each, each) ?? [])).toEqual([
      'status.capacity[storage]: Invalid value: -1: must be a valid resource quantity',
      'status.allocatedResourceStatus: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"',
      'status.allocatedResourceStatus: Unsupported value: "cpu": supported values: "storage"',
      'status.allocatedResources[example.com/x]: Invalid value: -1: must be a valid resource quantity',
    ]);
  });

  it('warn of what is deprecated', () => {
    expect(
      persistentVolumeClaim.warnings?.(claim({ ...named, spec: { resources: { requests: { storage: '1500m' } } } })),
    ).toEqual([
      `metadata.annotations[${annotation}]: deprecated since v1.8; use "storageClassName" attribute instead`,
      'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
    ]);
  });
});

it('storage classes warn of old labels', () => {
  const allowedTopologies = [
    { matchLabelExpressions: [{ key: 'failure-domain.beta.kubernetes.io/zone', values: ['a'] }] },
  ];
  expect(storageClass.warnings?.({ metadata: { name: 'x' }, provisioner: 'p', allowedTopologies })).toEqual([
    'allowedTopologies[0].matchLabelExpressions[0]: deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  ]);
});

it('sets have no maxUnavailable: its gate is off', () => {
  const set = created(statefulSet, {
    metadata: { name: 'x' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: podOf().spec },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } },
    },
  });
  expect(set.spec?.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { partition: 0 } });
});
