import { expect, it } from 'vitest';
import { aggregateContainerRequests, podLimits, podQosClass, podRequests } from './pod-resources.ts';
import { formatQuantity } from './quantity.ts';
import type { Container, PodSpec, ResourceRequirements } from './types/core-v1.ts';

const container = (resources: ResourceRequirements, restartPolicy?: string): Container => ({
  name: 'c',
  resources,
  restartPolicy,
});
const asks = (cpu: string, restartPolicy?: string) => container({ requests: { cpu } }, restartPolicy);
const text = (resources: ReturnType<typeof podRequests>) =>
  Object.fromEntries([...resources].map(([name, quantity]) => [name, formatQuantity(quantity)]));

it.each<[string, PodSpec, Record<string, string>]>([
  ['containers add up', { containers: [asks('100m'), asks('1')] }, { cpu: '1100m' }],
  [
    'an init container runs alone',
    { containers: [asks('100m')], initContainers: [asks('2'), asks('1')] },
    { cpu: '2' },
  ],
  ['a sidecar runs on', { containers: [asks('1')], initContainers: [asks('500m', 'Always')] }, { cpu: '1500m' }],
  [
    'an init container beside earlier sidecars',
    { containers: [asks('1')], initContainers: [asks('500m', 'Always'), asks('2')] },
    { cpu: '2500m' },
  ],
  [
    'an init container before a sidecar',
    { containers: [asks('1')], initContainers: [asks('2'), asks('500m', 'Always')] },
    { cpu: '2' },
  ],
  [
    'pod level wins, overhead comes on top',
    { containers: [asks('1')], resources: { requests: { cpu: '3' } }, overhead: { cpu: '250m', memory: '1Mi' } },
    { cpu: '3250m', memory: '1Mi' },
  ],
])('requests: %s', (_, spec, expected) => {
  expect(text(podRequests({ spec }))).toEqual(expected);
});

it('adds overhead only to what is limited', () => {
  const spec: PodSpec = {
    containers: [container({ limits: { memory: '1Gi' } })],
    overhead: { cpu: '1', memory: '1Gi' },
  };
  expect(text(podLimits({ spec }))).toEqual({ memory: '2Gi' });
  expect(aggregateContainerRequests({ containers: [asks('1'), asks('500m')] })).toEqual({ cpu: '1500m' });
});

const both = { cpu: '1', memory: '1Gi' };
it.each<[string, PodSpec, string]>([
  ['nothing', { containers: [container({})] }, 'BestEffort'],
  ['zero', { containers: [container({ requests: { cpu: '0' } })] }, 'BestEffort'],
  ['other resources', { containers: [container({ requests: { 'ephemeral-storage': '1Gi' } })] }, 'BestEffort'],
  ['requests', { containers: [container({ requests: { cpu: '1' } })] }, 'Burstable'],
  ['equal', { containers: [container({ requests: both, limits: both })] }, 'Guaranteed'],
  [
    'equal in other units',
    { containers: [container({ requests: { cpu: '1000m', memory: '1024Mi' }, limits: both })] },
    'Guaranteed',
  ],
  ['one container without', { containers: [container({ requests: both, limits: both }), container({})] }, 'Burstable'],
  [
    'an init container without',
    { containers: [container({ requests: both, limits: both })], initContainers: [container({})] },
    'Burstable',
  ],
  ['less requested', { containers: [container({ requests: { ...both, cpu: '500m' }, limits: both })] }, 'Burstable'],
  ['pod level', { containers: [container({})], resources: { requests: both, limits: both } }, 'Guaranteed'],
])('quality of service: %s', (_, spec, expected) => {
  expect(podQosClass({ metadata: {}, spec })).toBe(expected);
});
