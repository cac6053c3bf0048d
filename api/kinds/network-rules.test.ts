// Rules of what the network knows that the first tables leave out: names, addresses in other forms, warnings.
import { describe, expect, it } from 'vitest';
import type { Service, ServiceSpec } from '../types/core-v1.ts';
import type { Job } from '../types/batch-v1.ts';
import { csiDriver } from './csi-driver.ts';
import { deployment } from './deployment.ts';
import { endpointSlice } from './endpoint-slice.ts';
import { horizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import { ingress } from './ingress.ts';
import { job } from './job.ts';
import { networkPolicy } from './network-policy.ts';
import { node } from './node.ts';
import { pod } from './pod.ts';
import { serviceAccount } from './service-account.ts';
import { statefulSet } from './stateful-set.ts';
import { service } from './service.ts';
import { createErrors, created, podOf } from './testing.ts';

const serviceOf = (spec: ServiceSpec, annotations?: Record<string, string>): Service => ({
  metadata: { name: 's', ...(annotations && { annotations }) },
  spec: { ports: [{ port: 80 }], clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ...spec },
});

describe('Services', () => {
  it.each([
    ['web', []],
    ['1web', []],
    ['a.b', ['must not contain dots']],
  ])('name %s', (name, messages) => expect(service.validateName?.(name, false)).toEqual(messages));

  it.each<[string, Service, string[]]>([
    [
      'topology is said once',
      serviceOf(
        {},
        { 'service.kubernetes.io/topology-aware-hints': 'auto', 'service.kubernetes.io/topology-mode': 'x' },
      ),
      [
        'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "x": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified',
      ],
    ],
    [
      'addresses have one form',
      serviceOf({ externalIPs: ['010.0.0.2', '::ffff:10.0.0.3'] }),
      [
        'spec.externalIPs[0]: Invalid value: "010.0.0.2": must not have leading 0s',
        'spec.externalIPs[1]: Invalid value: "::ffff:10.0.0.3": must not be an IPv4-mapped IPv6 address',
      ],
    ],
    [
      'ranges have no host bits',
      serviceOf({ type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.1/8'] }),
      [
        'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
      ],
    ],
  ])('%s', (_, each, messages) => expect(createErrors(service, each)).toEqual(messages));

  it.each<[ServiceSpec, string[]]>([
    [{}, []],
    [
      { externalIPs: ['1.2.3.4'] },
      ['spec.externalIPs is deprecated and may no longer be implemented in some clusters'],
    ],
    [{ externalName: 'a.b' }, ['spec.externalName is ignored when spec.type is not "ExternalName"']],
    [
      { type: 'ExternalName', externalName: 'a.b', externalIPs: ['1.2.3.4'], clusterIP: '', clusterIPs: [] },
      ['spec.externalIPs is ignored when spec.type is "ExternalName"'],
    ],
    [
      {
        clusterIP: 'None',
        clusterIPs: ['None'],
        loadBalancerIP: '1.2.3.4',
        externalIPs: ['1.2.3.4'],
        sessionAffinity: 'ClientIP',
      },
      [
        'spec.loadBalancerIP is ignored for headless services',
        'spec.externalIPs is ignored for headless services',
        'spec.SessionAffinity is ignored for headless services',
      ],
    ],
    [
      { trafficDistribution: 'PreferClose' },
      ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
    ],
    [
      { type: 'LoadBalancer', loadBalancerIP: '010.1.1.1', loadBalancerSourceRanges: ['10.0.0.1/8', 'FD00::/8'] },
      [
        'spec.loadBalancerIP: non-standard IP address "010.1.1.1" will be considered invalid in a future Kubernetes release: use "10.1.1.1"',
        'spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
        'spec.loadBalancerSourceRanges[1]: IPv6 CIDR value "FD00::/8" should be in RFC 5952 canonical format ("fd00::/8")',
      ],
    ],
  ])('warn of %j', (spec, texts) => expect(service.warnings?.(created(service, serviceOf(spec)))).toEqual(texts));
});

it('ingresses name services that start with a digit', () => {
  const backend = (name: string) => ({
    metadata: { name: 'i' },
    spec: { defaultBackend: { service: { name, port: { number: 80 } } } },
  });
  expect(createErrors(ingress, backend('1web'))).toEqual([]);
  expect(createErrors(ingress, backend('a.b'))).toEqual([
    'spec.defaultBackend.service.name: Invalid value: "a.b": must not contain dots',
  ]);
});

it('policies, nodes and slices have addresses of one form', () => {
  const policy = {
    metadata: { name: 'p' },
    spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.1/8' } }] }] },
  };
  const field = 'spec.ingress[0].from[0].ipBlock.cidr';
  expect(createErrors(networkPolicy, policy)).toEqual([
    `${field}: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length`,
  ]);
  expect(networkPolicy.warnings?.(policy)).toEqual([
    `${field}: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)`,
  ]);
  expect(createErrors(node, { metadata: { name: 'n' }, spec: { podCIDRs: ['10.1.0.5/24'] } })).toEqual([
    'spec.podCIDRs[0]: Invalid value: "10.1.0.5/24": must not have bits set beyond the prefix length',
  ]);
  const slice = { metadata: { name: 's' }, addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.01'] }], ports: [] };
  expect(createErrors(endpointSlice, slice)).toEqual([
    'endpoints[0].addresses[0]: Invalid value: "10.0.0.01": must not have leading 0s',
  ]);
});

describe('suspended Jobs', () => {
  const jobOf = (cpu: string, isSuspended: boolean, node = 'a'): Job => ({
    metadata: { name: 'j', uid: 'u' },
    spec: {
      suspend: true,
      template: {
        spec: {
          ...podOf({ restartPolicy: 'Never', nodeSelector: { node } }, { resources: { requests: { cpu } } }).spec!,
        },
      },
    },
    ...(isSuspended && {
      status: { startTime: '2026-01-01T00:00:00Z', conditions: [{ type: 'Suspended', status: 'True' }] },
    }),
  });
  const change = (before: Job, after: Job): string[] => {
    const old = created(job, before);
    old.status = before.status;
    return job.validateUpdate(created(job, after), old).map((each) => each.field);
  };
  it.each<[string, Job, Job, string[]]>([
    ['change resources and nodes', jobOf('1', true), jobOf('2', true, 'b'), []],
    ['but not before they are suspended', jobOf('1', false), jobOf('2', false), ['spec.template']],
    ['nor the nodes', jobOf('1', false), jobOf('1', false, 'b'), ['spec.template']],
  ])('%s', (_, before, after, fields) => expect(change(before, after)).toEqual(fields));
});

it('drivers put tokens into secrets only where they ask for some', () => {
  const spec = { serviceAccountTokenInSecrets: false };
  expect(createErrors(csiDriver, { metadata: { name: 'd' }, spec })).toEqual([
    'spec.serviceAccountTokenInSecrets: Invalid value: false: serviceAccountTokenInSecrets is set but no tokenRequests are specified',
  ]);
  const asking = { ...spec, tokenRequests: [{ audience: 'a' }], preventPodSchedulingIfMissing: true };
  const driver = created(csiDriver, { metadata: { name: 'd' }, spec: asking });
  expect(csiDriver.validate(driver)).toEqual([]);
  // VolumeLimitScaling is off.
  expect(driver.spec.preventPodSchedulingIfMissing).toBeUndefined();
});

// HPAGeneration is a gate of 1.37.
it('autoscalers have no generations', () => expect(horizontalPodAutoscaler.hasGeneration).toBeFalsy());

describe('warnings', () => {
  it('of workloads on their names when they are made, on their templates when these change', () => {
    const spec = {
      selector: { matchLabels: { a: 'b' } },
      template: {
        metadata: { labels: { a: 'b' } },
        spec: podOf({ nodeSelector: { 'beta.kubernetes.io/os': 'linux' } }).spec,
      },
    };
    const object = created(deployment, { metadata: { name: 'a.b', generation: 2 }, spec });
    const label =
      'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead';
    expect(deployment.warnings?.(object)).toEqual([expect.stringContaining('metadata.name: this is used'), label]);
    expect(deployment.warnings?.(object, { ...object, metadata: { name: 'a.b', generation: 1 } })).toEqual([label]);
    expect(deployment.warnings?.(object, object)).toEqual([]);
  });

  it('of pods only when they are made', () => {
    const object = created(pod, podOf({ nodeSelector: { 'beta.kubernetes.io/os': 'linux' } }));
    expect(pod.warnings?.(object)).toHaveLength(1);
    expect(pod.warnings?.(object, object)).toEqual([]);
  });

  it('of sets that keep every revision, which is allowed', () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: podOf().spec };
    const set = created(statefulSet, {
      metadata: { name: 'x' },
      spec: { selector: { matchLabels: { a: 'b' } }, template, revisionHistoryLimit: -1 },
    });
    expect(statefulSet.validate(set)).toEqual([]);
    expect(statefulSet.warnings?.(set)).toEqual([
      'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended',
    ]);
  });

  it('of what is deprecated elsewhere', () => {
    const old = { metadata: { name: 'i', annotations: { 'kubernetes.io/ingress.class': 'x' } }, spec: {} };
    expect(ingress.warnings?.(old)).toEqual([
      'annotation "kubernetes.io/ingress.class" is deprecated, please use \'spec.ingressClassName\' instead',
    ]);
    expect(ingress.warnings?.({ ...old, spec: { ingressClassName: 'x' } })).toEqual([]);
    const annotations = { 'kubernetes.io/enforce-mountable-secrets': 'true' };
    expect(serviceAccount.warnings?.({ metadata: { name: 's', annotations } })).toEqual([
      'metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets',
    ]);
    expect(node.warnings?.({ metadata: { name: 'n' }, spec: { externalID: 'x', configSource: {} } })).toEqual([
      'spec.configSource: the feature is removed',
      'spec.externalID: this field is deprecated, and is unused by Kubernetes',
    ]);
    const indexed = { completionMode: 'Indexed', completions: 200_000, parallelism: 20_000, template: podOf() };
    expect(job.warnings?.(created(job, { metadata: { name: 'j' }, spec: indexed }))[0]).toContain(
      'spec: In Indexed Jobs',
    );
  });
});
