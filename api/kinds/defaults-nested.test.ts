// What a server adds deep inside: to objects in which every optional part is there, with no more in it than it requires, so
// that the defaults of each part apply. Of the kinds that are not workloads; those are in workload-defaults.test.ts.
import { describe, expect, it } from 'vitest';
import type { Kind } from '../kind.ts';
import { definition, type Field, type TypeRef } from '../schema.ts';
import { builtinKinds } from './index.ts';
import { type Added, added, kindName } from './testing-defaults.ts';

/** The least that fills the place of a required scalar. */
const LEAST: Readonly<Record<string, unknown>> = {
  string: 'x',
  bool: true,
  int32: 1,
  int64: 1,
  double: 1,
  bytes: 'eA==',
  time: '2026-01-02T03:04:05Z',
  microtime: '2026-01-02T03:04:05.000006Z',
  quantity: '1',
  intstr: 1,
  raw: {},
  any: 'x',
  object: {},
  fields: {},
};

/** Every part; of scalars only what is required. A definition within itself ends there. */
function partsOf(name: string, path: readonly string[] = []): Record<string, unknown> {
  if (path.includes(name)) return {};
  const object: Record<string, unknown> = {};
  for (const field of definition(name).fields.values()) {
    const value = partOf(field, [...path, name]);
    if (value !== undefined) object[field.name] = value;
  }
  return object;
}

function partOf(field: Field, path: readonly string[]): unknown {
  const { type } = field;
  if (type.kind === 'scalar') return field.required ? (field.enum?.[0] ?? LEAST[type.scalar]) : undefined;
  return valueOf(type, path, field.required);
}

function valueOf(type: TypeRef, path: readonly string[], required: boolean): unknown {
  switch (type.kind) {
    case 'scalar':
      return LEAST[type.scalar];
    case 'list': {
      const each = type.of.kind === 'scalar' && !required ? undefined : valueOf(type.of, path, required);
      return each === undefined ? undefined : [each];
    }
    case 'map':
      return type.of.kind === 'scalar' && type.of.scalar !== 'quantity'
        ? undefined
        : { cpu: valueOf(type.of, path, true) };
    case 'ref': {
      const { scalar } = definition(type.name);
      return scalar ? (required ? LEAST[scalar] : undefined) : partsOf(type.name, path);
    }
  }
}

const WORKLOADS = /^(pods|podtemplates|replicationcontrollers|.*\.(apps|batch|autoscaling|policy)) /;

const BLOCK = {
  'hostPath.type': '',
  'rbd.pool': 'rbd',
  'rbd.user': 'admin',
  'rbd.keyring': '/etc/ceph/keyring',
  'iscsi.iscsiInterface': 'default',
  'azureDisk.cachingMode': 'ReadWrite',
  'azureDisk.kind': 'Shared',
  'azureDisk.fsType': 'ext4',
  'azureDisk.readOnly': false,
  'scaleIO.storageMode': 'ThinProvisioned',
  'scaleIO.fsType': 'xfs',
};
const below = (at: string, added: Added): Added =>
  Object.fromEntries(Object.entries(added).map(([path, value]) => [`${at}.${path}`, value]));
const MATCH = { 'resourceRules[0].scope': '*', 'excludeResourceRules[0].scope': '*', matchPolicy: 'Equivalent' };
const POLICY = { ...below('spec.matchConstraints', MATCH), 'spec.failurePolicy': 'Fail' };
const WEBHOOK = {
  'webhooks[0].clientConfig.service.port': 443,
  'webhooks[0].rules[0].scope': '*',
  'webhooks[0].failurePolicy': 'Fail',
  'webhooks[0].matchPolicy': 'Equivalent',
  'webhooks[0].timeoutSeconds': 10,
};
const REQUEST = { 'tolerations[0].operator': 'Equal', allocationMode: 'ExactCount', count: 1 };
const DEVICES = { ...below('requests[0].exactly', REQUEST), ...below('requests[0].firstAvailable[0]', REQUEST) };

/** To a kind that is not in the table nothing is added. */
const ADDED: Record<string, Added> = {
  'endpoints v1': { 'subsets[0].ports[0].protocol': 'TCP' },
  // In Go these are written also when they are empty.
  'events v1': { reportingComponent: '', reportingInstance: '' },
  'namespaces v1': { 'metadata.labels.kubernetes.io/metadata.name': 'x' },
  'persistentvolumeclaims v1': { 'spec.volumeMode': 'Filesystem', 'status.phase': 'Pending' },
  'persistentvolumes v1': {
    ...below('spec', BLOCK),
    'spec.persistentVolumeReclaimPolicy': 'Retain',
    'spec.volumeMode': 'Filesystem',
    'status.phase': 'Pending',
  },
  'secrets v1': { type: 'Opaque' },
  'services v1': {
    'spec.ports[0].protocol': 'TCP',
    'spec.ports[0].targetPort': 1,
    'spec.sessionAffinity': 'None',
    'spec.type': 'ClusterIP',
    'spec.internalTrafficPolicy': 'Cluster',
  },
  'endpointslices.discovery.k8s.io v1': { 'ports[0].name': '', 'ports[0].protocol': 'TCP' },
  'ingressclasses.networking.k8s.io v1': { 'spec.parameters.scope': 'Cluster' },
  'networkpolicies.networking.k8s.io v1': {
    'spec.ingress[0].ports[0].protocol': 'TCP',
    'spec.egress[0].ports[0].protocol': 'TCP',
    'spec.policyTypes[0]': 'Ingress',
    'spec.policyTypes[1]': 'Egress',
  },
  'rolebindings.rbac.authorization.k8s.io v1': { 'roleRef.apiGroup': 'rbac.authorization.k8s.io' },
  'clusterrolebindings.rbac.authorization.k8s.io v1': { 'roleRef.apiGroup': 'rbac.authorization.k8s.io' },
  // The value is written also when it is 0.
  'priorityclasses.scheduling.k8s.io v1': { preemptionPolicy: 'PreemptLowerPriority', value: 0 },
  'storageclasses.storage.k8s.io v1': { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' },
  'customresourcedefinitions.apiextensions.k8s.io v1': {
    'spec.names.singular': 'x',
    'spec.names.listKind': 'xList',
    'spec.conversion.webhook.clientConfig.service.port': 443,
  },
  'apiservices.apiregistration.k8s.io v1': { 'spec.service.port': 443 },
  'csidrivers.storage.k8s.io v1': {
    'spec.attachRequired': true,
    'spec.podInfoOnMount': false,
    'spec.storageCapacity': false,
    'spec.fsGroupPolicy': 'ReadWriteOnceWithFSType',
    'spec.volumeLifecycleModes[0]': 'Persistent',
    'spec.requiresRepublish': false,
    'spec.seLinuxMount': false,
  },
  'flowschemas.flowcontrol.apiserver.k8s.io v1': { 'spec.matchingPrecedence': 1000 },
  'mutatingadmissionpolicies.admissionregistration.k8s.io v1': { ...POLICY, 'spec.reinvocationPolicy': 'Never' },
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io v1': below('spec.matchResources', MATCH),
  'validatingadmissionpolicies.admissionregistration.k8s.io v1': POLICY,
  'validatingadmissionpolicybindings.admissionregistration.k8s.io v1': below('spec.matchResources', MATCH),
  'mutatingwebhookconfigurations.admissionregistration.k8s.io v1': {
    ...WEBHOOK,
    'webhooks[0].reinvocationPolicy': 'Never',
  },
  'validatingwebhookconfigurations.admissionregistration.k8s.io v1': WEBHOOK,
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io v1': {
    'spec.limited.limitResponse.queuing.handSize': 8,
    'spec.limited.limitResponse.queuing.queues': 64,
    'spec.limited.limitResponse.queuing.queueLengthLimit': 50,
    'spec.limited.nominalConcurrencyShares': 30,
    'spec.limited.lendablePercent': 0,
    'spec.exempt.nominalConcurrencyShares': 0,
    'spec.exempt.lendablePercent': 0,
  },
  'resourceclaims.resource.k8s.io v1': {
    ...below('spec.devices', DEVICES),
    'status.allocation.devices.results[0].tolerations[0].operator': 'Equal',
  },
  'resourceclaimtemplates.resource.k8s.io v1': below('spec.spec.devices', DEVICES),
  'volumeattachments.storage.k8s.io v1': below('spec.source.inlineVolumeSpec', BLOCK),
};

const kinds = builtinKinds.filter((kind) => !WORKLOADS.test(kindName(kind)));

it.each(kinds.map((kind) => [kindName(kind), kind] as const))('%s', (name, kind) => {
  const { metadata: _m, apiVersion: _a, kind: _k, ...parts } = partsOf(kind.schema);
  expect(added(kind, parts)).toEqual(ADDED[name] ?? {});
});

it('no kind is named that there is not', () => {
  const names = new Set(kinds.map(kindName));
  expect(Object.keys(ADDED).filter((name) => !names.has(name))).toEqual([]);
});

describe('by what a part says it is', () => {
  const kindOf = (name: string) => builtinKinds.find((each) => kindName(each) === name) as Kind;
  it.each<[string, object, Added]>([
    [
      'limitranges v1',
      { spec: { limits: [{ type: 'Container', max: { cpu: '2', memory: '1Gi' }, min: { cpu: '1' } }] } },
      {
        'spec.limits[0].default.cpu': '2',
        'spec.limits[0].default.memory': '1Gi',
        'spec.limits[0].defaultRequest.cpu': '2',
        'spec.limits[0].defaultRequest.memory': '1Gi',
      },
    ],
    ['limitranges v1', { spec: { limits: [{ type: 'Pod', max: { cpu: '2' } }] } }, {}],
    [
      'rolebindings.rbac.authorization.k8s.io v1',
      {
        roleRef: { kind: 'Role', name: 'r' },
        subjects: ['User', 'Group', 'ServiceAccount'].map((kind) => ({ kind, name: 'a' })),
      },
      {
        'roleRef.apiGroup': 'rbac.authorization.k8s.io',
        'subjects[0].apiGroup': 'rbac.authorization.k8s.io',
        'subjects[1].apiGroup': 'rbac.authorization.k8s.io',
      },
    ],
    ['nodes v1', { status: { capacity: { cpu: '2' } } }, { 'status.allocatable.cpu': '2' }],
    ['nodes v1', { spec: { podCIDRs: ['10.0.0.0/24'] } }, { 'spec.podCIDR': '10.0.0.0/24' }],
    [
      'services v1',
      {
        spec: { type: 'LoadBalancer', sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: {} } },
        status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }, { hostname: 'a' }] } },
      },
      {
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds': 10800,
        'spec.externalTrafficPolicy': 'Cluster',
        'spec.allocateLoadBalancerNodePorts': true,
        'spec.internalTrafficPolicy': 'Cluster',
        'status.loadBalancer.ingress[0].ipMode': 'VIP',
      },
    ],
    [
      'customresourcedefinitions.apiextensions.k8s.io v1',
      { spec: { group: 'g', scope: 'Cluster', names: { plural: 'boats', kind: 'Boat' }, versions: [] } },
      { 'spec.names.singular': 'boat', 'spec.names.listKind': 'BoatList', 'spec.conversion.strategy': 'None' },
    ],
  ])('%s %j', (name, sent, expected) => expect(added(kindOf(name), sent)).toEqual(expected));
});
