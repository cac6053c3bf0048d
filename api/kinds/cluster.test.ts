import { describe, expect, it } from 'vitest';
import type { Namespace, Node, NodeSpec } from '../types/core-v1.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';
import { lease } from './lease.ts';
import { namespace } from './namespace.ts';
import { node } from './node.ts';
import { priorityClass } from './priority-class.ts';
import { serviceAccount } from './service-account.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

describe('Namespace', () => {
  it('is active, labelled with its name and held by its finalizer', () => {
    const object = created(namespace, { metadata: { name: 'n', labels: { 'kubernetes.io/metadata.name': 'other' } } });
    expect(object).toEqual({
      metadata: { name: 'n', labels: { 'kubernetes.io/metadata.name': 'n' } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
    expect(namespace.cells(object, CONTEXT)).toEqual(['n', 'Active', '<unknown>']);
    expect(namespace.validateName?.('a.b', false)).toEqual(['must not contain dots']);
  });

  it('keeps its finalizers on update; a plain one is refused on create', () => {
    const old = created<Namespace>(namespace, { metadata: { name: 'n' } });
    const object = structuredClone(old);
    object.spec = { finalizers: [] };
    namespace.prepareForUpdate?.(object, old, CONTEXT);
    expect(object.spec).toEqual({ finalizers: ['kubernetes'] });
    expect(createErrors(namespace, { metadata: { name: 'n' }, spec: { finalizers: ['foo'] } })).toEqual([
      'spec.finalizers: Invalid value: "foo": name is neither a standard finalizer name nor is it fully qualified',
    ]);
  });

  it('has the phase that its deletion says', () => {
    const old = created<Namespace>(namespace, { metadata: { name: 'n' } });
    const object = { ...old, status: { phase: 'Terminating' } };
    expect(messagesOf(namespace.validateStatusUpdate?.(object, old) ?? [])).toEqual([
      'status.Phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty',
    ]);
  });
});

describe('Node', () => {
  const nodeOf = (spec: NodeSpec = {}, status: Node['status'] = {}): Node => ({
    metadata: { name: 'n' },
    spec,
    status,
  });

  it.each<[Node, unknown[]]>([
    [nodeOf(), ['n', 'Unknown', '<none>', '<unknown>', '', '<none>', '<none>', '<unknown>', '<unknown>', '<unknown>']],
    [
      {
        metadata: {
          name: 'n',
          creationTimestamp: '2025-12-29T00:00:00Z',
          labels: {
            'node-role.kubernetes.io/worker': '',
            'node-role.kubernetes.io/control-plane': '',
            'kubernetes.io/role': 'x',
          },
        },
        spec: { unschedulable: true },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
          nodeInfo: {
            kubeletVersion: 'v1.36.2',
            osImage: 'Debian',
            kernelVersion: '6.1',
            containerRuntimeVersion: 'sampan://0.1',
            machineID: '',
            systemUUID: '',
            bootID: '',
            kubeProxyVersion: '',
            operatingSystem: 'linux',
            architecture: 'amd64',
          },
        },
      },
      [
        'n',
        'Ready,SchedulingDisabled',
        'control-plane,worker,x',
        '3d',
        'v1.36.2',
        '10.0.0.1',
        '<none>',
        'Debian',
        '6.1',
        'sampan://0.1',
      ],
    ],
    [
      nodeOf({}, { conditions: [{ type: 'Ready', status: 'Unknown' }] }),
      ['n', 'NotReady', '<none>', '<unknown>', '', '<none>', '<none>', '<unknown>', '<unknown>', '<unknown>'],
    ],
  ])('table %#', (object, cells) => {
    expect(node.cells(object, CONTEXT)).toEqual(cells);
  });

  it('pairs podCIDR with podCIDRs and capacity with allocatable', () => {
    const object = created(node, nodeOf({ podCIDR: '10.244.0.0/24' }, { capacity: { cpu: '2' } }));
    expect(object.spec?.podCIDRs).toEqual(['10.244.0.0/24']);
    expect(object.status?.allocatable).toEqual({ cpu: '2' });
    expect(node.selectableFields?.['spec.unschedulable']?.(object)).toBe('false');
  });

  it.each<[NodeSpec, Node['status'], string]>([
    [
      { taints: [{ key: 'a', effect: 'x' }] },
      {},
      'metadata.taints[0].effect: Unsupported value: "x": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ],
    [
      {
        taints: [
          { key: 'a', effect: 'NoExecute' },
          { key: 'a', effect: 'NoExecute', value: 'b' },
        ],
      },
      {},
      'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"b","Effect":"NoExecute","TimeAdded":null}: taints must be unique by key and effect pair',
    ],
    [
      { podCIDRs: ['10.0.0.0/40'] },
      {},
      'spec.podCIDRs[0]: Invalid value: "10.0.0.0/40": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
    [{}, { capacity: { pods: '1500m' } }, 'status.capacity.pods: Invalid value: "1500m": must be an integer'],
  ])('create %j %j', (spec, status, message) => {
    expect(createErrors(node, nodeOf(spec, status))).toContain(message);
  });

  it('keeps its pod CIDR and provider', () => {
    const old = nodeOf({ podCIDRs: ['10.0.0.0/24'], providerID: 'a' });
    expect(updateErrors(node, old, nodeOf({ podCIDRs: ['10.0.1.0/24'], providerID: 'b' }))).toEqual([
      'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
      'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
    ]);
    expect(updateErrors(node, nodeOf(), old)).toEqual([]);
  });
});

describe('Lease', () => {
  it.each([
    [{ holderIdentity: 'me', leaseDurationSeconds: 15 }, []],
    [{ leaseDurationSeconds: 0 }, ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0']],
    [{ leaseTransitions: -1 }, ['spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0']],
    [{ preferredHolder: 'x' }, ['spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined']],
  ])('%j', (spec, messages) => {
    const object = { metadata: { name: 'l', namespace: 'default' }, spec };
    expect(createErrors(lease, object)).toEqual(messages);
    expect(lease.cells(object, CONTEXT)).toEqual([
      'l',
      (spec as { holderIdentity?: string }).holderIdentity ?? '',
      '<unknown>',
    ]);
  });
});

describe('PriorityClass', () => {
  const classOf = (name: string, more: Partial<PriorityClass> = {}): PriorityClass => ({ metadata: { name }, ...more });
  it.each<[PriorityClass, string[]]>([
    [classOf('high', { value: 1000 }), []],
    [
      classOf('high', { value: 1_000_000_001 }),
      ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000'],
    ],
    [classOf('system-node-critical', { value: 2_000_001_000 }), []],
    [
      classOf('system-mine'),
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
      ],
    ],
    [
      classOf('x', { preemptionPolicy: 'y' }),
      ['preemptionPolicy: Unsupported value: "y": supported values: "PreemptLowerPriority", "Never"'],
    ],
  ])('%j', (object, messages) => {
    expect(createErrors(priorityClass, object)).toEqual(messages);
  });

  it('does not change, and prints its table', () => {
    expect(
      updateErrors(priorityClass, classOf('a', { value: 1 }), classOf('a', { value: 2, preemptionPolicy: 'Never' })),
    ).toEqual([
      'value: Forbidden: may not be changed in an update.',
      'preemptionPolicy: Invalid value: "Never": field is immutable',
    ]);
    expect(priorityClass.cells(created(priorityClass, classOf('a', { value: 1 })), CONTEXT)).toEqual([
      'a',
      1,
      false,
      '<unknown>',
      'PreemptLowerPriority',
    ]);
  });
});

it('prints service accounts', () => {
  expect(serviceAccount.cells({ metadata: { name: 'sa' } }, CONTEXT)).toEqual(['sa', '<unknown>']);
});
