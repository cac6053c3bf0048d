// What drivers of storage tell and ask: defaults, and one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { csiDriver } from './csi-driver.ts';
import { csiNode } from './csi-node.ts';
import { csiStorageCapacity } from './csi-storage-capacity.ts';
import { CONTEXT, created, createErrors, messagesOf, updateErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';
import { volumeAttachment } from './volume-attachment.ts';
import { volumeAttributesClass } from './volume-attributes-class.ts';

const sampleOf = (resource: string) => SAMPLES[`${resource}.storage.k8s.io`] as object;

describe('CSIDrivers', () => {
  const sample = sampleOf('csidrivers');
  it('get defaults', () => {
    expect(created(csiDriver, variant<never>(sample, {}))).toMatchObject({
      spec: {
        attachRequired: true,
        podInfoOnMount: false,
        storageCapacity: false,
        fsGroupPolicy: 'ReadWriteOnceWithFSType',
        volumeLifecycleModes: ['Persistent'],
        requiresRepublish: false,
        seLinuxMount: false,
      },
    });
  });
  it.each<[object, string[]]>([
    [{}, []],
    [
      { fsGroupPolicy: 'Some' },
      ['spec.fsGroupPolicy: Unsupported value: "Some": supported values: "File", "None", "ReadWriteOnceWithFSType"'],
    ],
    [
      { volumeLifecycleModes: ['Brief'] },
      ['spec.volumeLifecycleModes: Unsupported value: "Brief": supported values: "Persistent", "Ephemeral"'],
    ],
    [
      { nodeAllocatableUpdatePeriodSeconds: 9 },
      ['spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds'],
    ],
    [
      {
        tokenRequests: [
          { audience: 'a', expirationSeconds: 599 },
          { audience: 'a' },
          { audience: 'b', expirationSeconds: 2 ** 33 },
        ],
      },
      [
        'spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes',
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        'spec.tokenRequests[2].expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than 2^32 seconds',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(csiDriver, variant(sample, { spec }))).toEqual(messages);
  });
  it('keep how they attach, and count what changes', () => {
    const old = created(csiDriver, variant<never>(sample, {})) as any;
    const other = variant<never>(sample, { spec: { attachRequired: false, volumeLifecycleModes: ['Ephemeral'] } });
    expect(updateErrors(csiDriver, variant<never>(sample, {}), other)).toEqual([
      'spec.attachedRequired: Invalid value: false: field is immutable',
      'spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: field is immutable',
    ]);
    const changed = created(csiDriver, variant<never>(sample, { spec: { requiresRepublish: true } })) as any;
    csiDriver.prepareForUpdate?.(changed, old, CONTEXT);
    expect(changed.metadata.generation).toBe(1);
  });
});

describe('CSINodes', () => {
  const sample = sampleOf('csinodes');
  const driver = { name: 'disk.example.com', nodeID: 'n1', topologyKeys: ['zone'] };
  it.each<[object[], string[]]>([
    [[driver], []],
    [[{ name: '', nodeID: '' }], ['spec.drivers[0].name: Required value', 'spec.drivers[0].nodeID: Required value']],
    [[driver, driver], ['spec.drivers[1].name: Duplicate value: "disk.example.com"']],
    [
      [{ ...driver, nodeID: 'n'.repeat(193) }],
      [`spec.drivers[0].nodeID: Invalid value: "${'n'.repeat(193)}": must be 192 characters or less`],
    ],
    [
      [{ ...driver, allocatable: { count: -1 } }],
      ['spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0'],
    ],
    [[{ ...driver, topologyKeys: ['a', 'a'] }], ['spec.drivers[0]: Duplicate value: "a"']],
  ])('%j', (drivers, messages) => {
    expect(createErrors(csiNode, variant(sample, { spec: { drivers } }))).toEqual(messages);
  });
  it('keep their drivers but for how many volumes they take', () => {
    const of = (patch: object) => variant<never>(sample, { spec: { drivers: [{ ...driver, ...patch }] } });
    expect(updateErrors(csiNode, of({}), of({ allocatable: { count: 7 } }))).toEqual([]);
    expect(updateErrors(csiNode, of({}), of({ nodeID: 'n2' }))[0]).toMatch(
      /^spec\.drivers: Invalid value: .*: field is immutable$/,
    );
  });
});

it('CSIStorageCapacities', () => {
  const sample = sampleOf('csistoragecapacities');
  expect(createErrors(csiStorageCapacity, variant(sample, { capacity: '-1', storageClassName: 'Fast' }))).toEqual([
    expect.stringMatching(/^storageClassName: Invalid value: "Fast": a lowercase RFC 1123 subdomain/),
    'capacity: Invalid value: "-1": must be greater than or equal to 0',
  ]);
  expect(
    updateErrors(
      csiStorageCapacity,
      variant<never>(sample, {}),
      variant<never>(sample, { storageClassName: 'slow', nodeTopology: { matchLabels: { a: 'b' } } }),
    ),
  ).toEqual([
    'nodeTopology: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable',
    'storageClassName: Invalid value: "slow": field is immutable',
  ]);
});

describe('VolumeAttachments', () => {
  const sample = sampleOf('volumeattachments');
  const csi = { driver: 'disk.example.com', volumeHandle: 'v' };
  it.each<[object, string[]]>([
    [{}, []],
    [{ attacher: '' }, ['spec.attacher: Required value', 'spec.attacher: Required value']],
    [
      { source: { persistentVolumeName: null } },
      ['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
    ],
    [
      { source: { inlineVolumeSpec: { csi, accessModes: ['ReadWriteOnce'] } } },
      ['spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
    ],
    [
      {
        source: {
          persistentVolumeName: null,
          inlineVolumeSpec: {
            csi,
            accessModes: ['ReadWriteOnce'],
            capacity: { storage: '1Gi' },
            storageClassName: 'a',
          },
        },
      },
      [
        'spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes',
        'spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes',
      ],
    ],
    [
      {
        source: {
          persistentVolumeName: null,
          inlineVolumeSpec: { hostPath: { path: '/a' }, accessModes: ['ReadWriteOnce'] },
        },
      },
      ['spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(volumeAttachment, variant(sample, { spec }))).toEqual(messages);
  });
  it('keep their specification; their status is bounded', () => {
    expect(
      updateErrors(
        volumeAttachment,
        variant<never>(sample, {}),
        variant<never>(sample, { spec: { nodeName: 'b' } }),
      )[0],
    ).toMatch(/^spec: Invalid value: .*: field is immutable$/);
    const object = {
      ...variant<any>(sample, {}),
      status: { attached: true, attachError: { message: 'x'.repeat(1025), errorCode: -1 } },
    };
    expect(messagesOf(volumeAttachment.validateStatusUpdate?.(object, object) ?? [])).toEqual([
      'status.attachError.message: Too long: may not be more than 262144 bytes',
      'status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    ]);
  });
});

it('VolumeAttributesClasses', () => {
  const sample = sampleOf('volumeattributesclasses');
  expect(createErrors(volumeAttributesClass, variant(sample, { driverName: '', parameters: null }))).toEqual([
    'driverName: Required value',
    'parameters: Required value: must contain at least one key/value pair',
  ]);
  expect(
    updateErrors(
      volumeAttributesClass,
      variant<never>(sample, {}),
      variant<never>(sample, { driverName: 'b', parameters: { iops: '1' } }),
    ),
  ).toEqual([
    'driverName: Forbidden: updates to driverName are forbidden.',
    'parameters: Forbidden: updates to parameters are forbidden.',
  ]);
});
