import { expect, it } from 'vitest';
import type { Pod, PodSpec } from '../../api/types/core-v1.ts';
import { admitPod } from './admission.ts';
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
  const result = admitPod({ pod: candidate, others, allocatable, node });
  expect(result.admitted ? undefined : result.reason).toBe(reason);
});

it('names what it does not support', () => {
  expect(obstacles(pod({ resourceClaims: [{ name: 'x' }] }))).toEqual([
    'spec.resourceClaims is not supported by this kubelet',
  ]);
  expect(obstacles(pod())).toEqual([]);
});
