import { describe, expect, it } from 'vitest';
import type { Pod, PodSpec } from '../../api/types/core-v1.ts';
import { admitPod, refuseEarly } from './admission.ts';
import { obstacles } from './unsupported.ts';

const allocatable = { cpu: '2', memory: '1Gi', pods: '2' };
const pod = (spec: Partial<PodSpec> = {}): Pod => ({ metadata: {}, spec: { containers: [{ name: 'a' }], ...spec } });
const cpu = (amount: string) => pod({ containers: [{ name: 'a', resources: { requests: { cpu: amount } } }] });
const port = (hostPort: number) => pod({ containers: [{ name: 'a', ports: [{ containerPort: 80, hostPort }] }] });
const sysctl = (name: string, more: Partial<PodSpec> = {}) =>
  pod({ securityContext: { sysctls: [{ name, value: '1' }] }, ...more });
const node = { metadata: { labels: { disk: 'ssd' } } };

it.each([
  [pod(), [], undefined],
  [pod({ os: { name: 'windows' } }), [], 'PodOSNotSupported'],
  [{ ...pod(), metadata: { labels: { 'kubernetes.io/os': 'windows' } } }, [], 'PodOSSelectorNodeLabelDoesNotMatch'],
  [pod({ securityContext: { supplementalGroupsPolicy: 'Strict' } }), [], 'SupplementalGroupsPolicyNotSupported'],
  // Of several reasons the shortage comes first, and of those the number of pods.
  [pod({ nodeSelector: { disk: 'hdd' } }), [pod(), pod()], 'OutOfpods'],
  [cpu('3'), [pod(), pod()], 'OutOfpods'],
  [pod({ nodeSelector: { disk: 'hdd' } }), [], 'NodeAffinity'],
  [pod({ nodeSelector: { disk: 'ssd' } }), [], undefined],
  [port(80), [port(80)], 'NodePorts'],
  [port(80), [port(81)], undefined],
  [pod(), [pod(), pod()], 'OutOfpods'],
  [cpu('1500m'), [cpu('500m')], undefined],
  [cpu('1600m'), [cpu('500m')], 'OutOfcpu'],
  [sysctl('net.ipv4.tcp_syncookies'), [], undefined],
  [sysctl('net.ipv4.tcp_syncookies', { hostNetwork: true }), [], 'SysctlForbidden'],
  [sysctl('vm.swappiness'), [], 'SysctlForbidden'],
  [sysctl('kernel/msgmax'), [], 'SysctlForbidden'],
] as [Pod, Pod[], string | undefined][])('admits or refuses: %#', (candidate, others, reason) => {
  const facts = { pod: candidate, others, allocatable, node, hasStrictGroups: false };
  const result = refuseEarly(facts) ?? admitPod(facts);
  expect('reason' in result ? result.reason : undefined).toBe(reason);
});

describe('a critical pod', () => {
  const critical = (requests: Record<string, string>, more: Partial<PodSpec> = {}) =>
    pod({ priority: 2_000_001_000, containers: [{ name: 'a', resources: { requests } }], ...more });
  const named = (name: string, requests: Record<string, string>, limits?: Record<string, string>): Pod => ({
    metadata: { name },
    spec: { priority: 0, containers: [{ name: 'a', resources: { requests, ...(limits && { limits }) } }] },
  });
  const admit = (candidate: Pod, others: Pod[], pods = '10') => {
    const result = admitPod({ pod: candidate, others, allocatable: { cpu: '2', memory: '1Gi', pods }, node });
    return result.admitted ? result.preempt.map((each) => each.metadata.name) : result;
  };
  const guaranteed = named('guaranteed', { cpu: '1', memory: '100Mi' }, { cpu: '1', memory: '100Mi' });

  it('takes the room of the fewest pods, burstable ones before guaranteed ones, the smallest that will do', () => {
    const small = named('small', { cpu: '200m' });
    const fits = named('fits', { cpu: '300m' });
    const large = named('large', { cpu: '500m' });
    expect(admit(critical({ cpu: '300m' }), [guaranteed, small, fits, large])).toEqual(['fits']);
    expect(admit(critical({ cpu: '1500m' }), [guaranteed, small, fits, large])).toEqual(['large', 'guaranteed']);
    expect(admit(critical({ cpu: '2' }), [guaranteed, small, fits, large])).toEqual([
      'large',
      'fits',
      'small',
      'guaranteed',
    ]);
  });

  it('takes a place from a pod that asks for nothing', () => {
    expect(admit(critical({}), [guaranteed, named('none', {})], '2')).toEqual(['none']);
  });

  it('does not come in where even that does not help, or where room is not the reason', () => {
    const other = { ...critical({ cpu: '2' }), metadata: { name: 'critical' } };
    expect(admit(critical({ cpu: '500m' }), [other])).toEqual({
      admitted: false,
      reason: 'UnexpectedAdmissionError',
      message:
        'Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 500), ]',
    });
    expect(admit(critical({ cpu: '3' }, { nodeSelector: { disk: 'hdd' } }), [guaranteed])).toMatchObject({
      reason: 'NodeAffinity',
      message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    });
  });
});

it('names what it does not support', () => {
  expect(obstacles(pod({ resourceClaims: [{ name: 'x' }] }))).toEqual([
    'spec.resourceClaims is not supported by this kubelet',
  ]);
  expect(obstacles(pod())).toEqual([]);
});
