// Of storage and of endpoints: what is wrong in several places, in upstream's order and under its names; and what is not
// looked at again when it was there before.
import { describe, expect, it } from 'vitest';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { builtinKinds } from './index.ts';
import { beginnings, createErrors, created, updateErrors } from './testing.ts';
import { kindName } from './testing-defaults.ts';

const kindOf = (name: string) => builtinKinds.find((each) => kindName(each) === `${name} v1`) as Kind;
const named = (rest: object, metadata: object = {}): KubeObject => ({
  metadata: { name: 'x', namespace: 'default', ...metadata },
  ...rest,
});
const clusterWide = (rest: object): KubeObject => ({ metadata: { name: 'x' }, ...rest });

const volume = (spec: object) =>
  clusterWide({ spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...spec } });
const claim = (selector: object, metadata: object = {}) =>
  named({ spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, selector } }, metadata);
const BAD_VALUE = { matchExpressions: [{ key: 'a', operator: 'In', values: ['-'] }] };
const term = (...keys: [string, string[]][]) => ({
  matchLabelExpressions: keys.map(([key, values]) => ({ key, values })),
});
const slice = (rest: object, metadata: object = {}) =>
  named({ addressType: 'IPv4', endpoints: [], ports: [], ...rest }, metadata);
const hints = (forZones: string[], forNodes: string[] = []) => ({
  addresses: ['10.0.0.1'],
  hints: { forZones: forZones.map((name) => ({ name })), forNodes: forNodes.map((name) => ({ name })) },
});
const MANY = 'Forbidden: may not specify more than 1 volume type';
const SLICES = 'endpointslices.discovery.k8s.io';
const CLASSES = 'storageclasses.storage.k8s.io';

describe('what is created', () => {
  it.each<[string, string, KubeObject, string[]]>([
    [
      'sources of volumes',
      'persistentvolumes',
      volume({
        csi: { driver: 'd', volumeHandle: 'h' },
        cephfs: { monitors: [] },
        nfs: { server: 'a', path: 'b' },
        awsElasticBlockStore: { volumeID: 'x' },
        gcePersistentDisk: { pdName: '' },
        hostPath: { path: '/a' },
      }),
      [
        `spec.gcePersistentDisk: ${MANY}`,
        `spec.awsElasticBlockStore: ${MANY}`,
        `spec.nfs: ${MANY}`,
        `spec.cephFS: ${MANY}`,
        `spec.csi: ${MANY}`,
      ],
    ],
    [
      'disks of Google',
      'persistentvolumes',
      volume({ gcePersistentDisk: { pdName: '', partition: 300 } }),
      [
        'spec.persistentDisk.pdName: Required value',
        'spec.persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive',
      ],
    ],
    [
      'a path that leads to the root',
      'persistentvolumes',
      volume({ hostPath: { path: '/a/..' }, persistentVolumeReclaimPolicy: 'Recycle' }),
      [
        'spec.hostPath.path: Invalid value: "/a/..": must not contain \'..\'',
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
      ],
    ],
    ['no source', 'persistentvolumes', volume({}), ['spec: Required value: must specify a volume type']],
    [
      'the parts of a class',
      CLASSES,
      clusterWide({ provisioner: '', reclaimPolicy: 'X', volumeBindingMode: 'Y', parameters: { '': 'a' } }),
      [
        'provisioner: Required value',
        'parameters: Invalid value: "": field can not be empty.',
        'reclaimPolicy: Unsupported value: "X": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "Y": supported values: "Immediate", "WaitForFirstConsumer"',
      ],
    ],
    [
      'topologies of a class',
      CLASSES,
      clusterWide({
        provisioner: 'p',
        allowedTopologies: [
          term(['a', ['x']]),
          term(['a', ['x']]),
          term(['a b', ['x', 'x']]),
          term(['b', ['x']], ['b', []]),
        ],
      }),
      [
        'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""',
        'allowedTopologies[2].matchLabelExpressions[0].values[1]: Duplicate value: "x"',
        'allowedTopologies[2].matchLabelExpressions[0].key: Invalid value: "a b": name part must consist of',
        'allowedTopologies[3].matchLabelExpressions[1].values: Required value',
        'allowedTopologies[3].matchLabelExpressions[1].key: Duplicate value: "b"',
      ],
    ],
    [
      'what a driver can do',
      'csidrivers.storage.k8s.io',
      clusterWide({
        spec: {
          volumeLifecycleModes: ['Y'],
          tokenRequests: [{ audience: 'a' }, { audience: 'a' }, { audience: 'b', expirationSeconds: 1 }],
          fsGroupPolicy: 'X',
        },
      }),
      [
        'spec.fsGroupPolicy: Unsupported value: "X": supported values: "File", "None", "ReadWriteOnceWithFSType"',
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        'spec.tokenRequests[2].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes',
        'spec.volumeLifecycleModes: Unsupported value: "Y": supported values: "Persistent", "Ephemeral"',
      ],
    ],
    [
      'drivers of a node',
      'csinodes.storage.k8s.io',
      clusterWide({
        spec: {
          drivers: [
            { name: 'd', nodeID: '' },
            { name: 'd', nodeID: 'x', topologyKeys: ['a', 'a'] },
            { name: 'e', nodeID: 'x', allocatable: { count: -1 } },
          ],
        },
      }),
      [
        'spec.drivers[0].nodeID: Required value',
        'spec.drivers[1].name: Duplicate value: "d"',
        'spec.drivers[1]: Duplicate value: "a"',
        'spec.drivers[2].allocatable.count: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'capacities',
      'csistoragecapacities.storage.k8s.io',
      named({ storageClassName: '', capacity: '-1', nodeTopology: BAD_VALUE }),
      [
        'nodeTopology.matchExpressions[0].values[0]: Invalid value: "-": a valid label must be',
        'storageClassName: Invalid value: "": a lowercase RFC 1123 subdomain must consist of',
        'capacity: Invalid value: "-1": must be greater than or equal to 0',
      ],
    ],
    [
      'ports come before endpoints',
      SLICES,
      slice({ endpoints: [{ addresses: [] }], ports: [{ port: 1 }, { port: 2, protocol: 'X' }] }),
      [
        'ports[1].name: Duplicate value: ""',
        'ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        'endpoints[0].addresses: Required value: must contain at least 1 address',
      ],
    ],
    [
      'zones are values of labels, nodes are names',
      SLICES,
      slice({ endpoints: [hints(['a b', 'A_b'], ['A'])] }),
      [
        'endpoints[0].hints.forZones[0].name: Invalid value: "a b": a valid label must be',
        'endpoints[0].hints.forNodes[0].name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of',
      ],
    ],
    [
      'more zones than there may be are only counted',
      SLICES,
      slice({ endpoints: [hints(Array(9).fill('a b'))] }),
      ['endpoints[0].hints.forZones: Too many: 9: must have at most 8 items'],
    ],
  ])('%s', (_, kind, object, messages) =>
    expect(beginnings(createErrors(kindOf(kind), object), messages)).toEqual(messages),
  );
});

describe('what was there before may stay', () => {
  it('values in selectors of claims', () => {
    const kind = kindOf('persistentvolumeclaims');
    const wrong = ['spec.selector.matchExpressions[0].values[0]: Invalid value: "-": a valid label must be'];
    expect(beginnings(createErrors(kind, claim(BAD_VALUE)), wrong)).toEqual(wrong);
    expect(updateErrors(kind, claim(BAD_VALUE), claim(BAD_VALUE, { labels: { a: 'b' } }))).toEqual([]);
  });

  it('endpoints of slices, while ports are looked at', () => {
    const kind = kindOf(SLICES);
    const endpoints = [{ addresses: ['10.0.0.01'] }];
    expect(createErrors(kind, slice({ endpoints }))).toEqual([
      'endpoints[0].addresses[0]: Invalid value: "10.0.0.01": must not have leading 0s',
    ]);
    const change = { endpoints, ports: [{ port: 1, protocol: 'X' }] };
    expect(updateErrors(kind, slice({ endpoints }), slice(change))).toEqual([
      'ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
    ]);
  });
});

describe('slices', () => {
  const kind = kindOf(SLICES);

  it('have a new generation also for other labels', () => {
    const old = { ...created(kind, slice({})), metadata: { name: 'x', generation: 3 } };
    const changed = { ...created(kind, slice({}, { labels: { a: 'b' } })) };
    changed.metadata.generation = 3;
    kind.prepareForUpdate?.(changed, old, { nowMs: 0, user: 'a' });
    expect(changed.metadata.generation).toBe(4);
  });

  it.each<[string, object, string]>([
    [
      'names',
      { addressType: 'FQDN', endpoints: [{ addresses: ['a.b'] }] },
      'spec.addressType: FQDN endpoints are deprecated',
    ],
    [
      'addresses with zeros',
      { endpoints: [{ addresses: ['10.0.0.01'] }] },
      'endpoints[0].addresses[0]: non-standard IP address "10.0.0.01" will be considered invalid in a future Kubernetes release: use "10.0.0.1"',
    ],
    [
      'addresses that are written at length',
      { addressType: 'IPv6', endpoints: [{ addresses: ['fd00:0::1'] }] },
      'endpoints[0].addresses[0]: IPv6 address "fd00:0::1" should be in RFC 5952 canonical format ("fd00::1")',
    ],
  ])('are warned about: %s', (_, rest, text) => expect(kind.warnings?.(slice(rest))).toEqual([text]));
});
