import { describe, expect, test } from 'vitest';
import type { NodeSpec, PodSpec } from '../api/types/core-v1.ts';
import { SchedulerCache } from './cache.ts';
import { feasibleNodesWanted, scheduleOne } from './cycle.ts';
import { unschedulableMessage } from './message.ts';
import { defaultProfile } from './plugins/index.ts';
import { aNode, aPodInfo } from './testing.ts';

const noChance = () => 0.999;

function cacheOf(...nodes: ReturnType<typeof aNode>[]): SchedulerCache {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  return cache;
}

function refusal(cache: SchedulerCache, pod: ReturnType<typeof aPodInfo>): string {
  const decision = scheduleOne(pod, cache, defaultProfile, 0, noChance);
  return decision.kind === 'none' ? unschedulableMessage(decision.diagnosis) : `bound to ${decision.node}`;
}

describe('why a pod is refused', () => {
  const cases: [
    string,
    { node?: Parameters<typeof aNode>[1]; pod?: Partial<PodSpec>; requests?: Record<string, string> },
    string,
  ][] = [
    ['too little cpu', { requests: { cpu: '2100m' } }, '1 Insufficient cpu'],
    [
      'too little memory and cpu',
      { requests: { cpu: '3', memory: '5Gi' } },
      '1 Insufficient cpu, 1 Insufficient memory',
    ],
    ['an extended resource nobody has', { requests: { 'example.com/gpu': '1' } }, '1 Insufficient example.com/gpu'],
    ['no room for one more pod', { node: { allocatable: { pods: '0' } } }, '1 Too many pods'],
    ['cordoned', { node: { spec: { unschedulable: true } } }, '1 node(s) were unschedulable'],
    ['another node by name', { pod: { nodeName: 'other' } }, "1 node(s) didn't match the requested node name"],
    [
      'an untolerated taint',
      { node: { spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } } },
      '1 node(s) had untolerated taint(s)',
    ],
    [
      'a node selector',
      { pod: { nodeSelector: { disk: 'ssd' } } },
      "1 node(s) didn't match Pod's node affinity/selector",
    ],
    [
      'a hard constraint that is not evaluated',
      { pod: { resourceClaims: [{ name: 'gpu' }] } },
      '1 node(s) could not be checked for resource claims, which this scheduler does not support',
    ],
  ];
  test.each(cases)('%s', (_name, { node, pod, requests }, reason) => {
    expect(refusal(cacheOf(aNode('n', node)), aPodInfo('p', pod, requests))).toBe(
      `0/1 nodes are available: ${reason}.`,
    );
  });

  test('every node is counted under the first filter that refused it', () => {
    const cache = cacheOf(
      aNode('a', { spec: { unschedulable: true } }),
      aNode('b', { allocatable: { cpu: '1' } }),
      aNode('c', { allocatable: { cpu: '1' } }),
    );
    expect(refusal(cache, aPodInfo('p', {}, { cpu: '1500m' }))).toBe(
      '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.',
    );
  });

  test('no nodes at all', () => {
    expect(refusal(cacheOf(), aPodInfo('p'))).toBe('no nodes available to schedule pods');
  });

  test('a host port that another pod holds, on the same address and protocol only', () => {
    const cache = cacheOf(aNode('n'));
    const withPort = (hostIP: string, protocol = 'TCP') =>
      aPodInfo('p', { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 80, hostIP, protocol }] }] });
    cache.assume(withPort('127.0.0.1'), 'n');
    expect(refusal(cache, withPort('127.0.0.2'))).toBe('bound to n');
    expect(refusal(cache, withPort('', 'UDP'))).toBe('bound to n');
    expect(refusal(cache, withPort(''))).toContain("didn't have free ports");
  });
});

describe('what lets a pod through', () => {
  const tainted: NodeSpec = { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] };
  const cases: [string, Parameters<typeof aNode>[1], Partial<PodSpec>][] = [
    [
      'an equal toleration',
      { spec: tainted },
      { tolerations: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] },
    ],
    ['a toleration of everything', { spec: tainted }, { tolerations: [{ operator: 'Exists' }] }],
    ['a taint that only prefers', { spec: { taints: [{ key: 'a', effect: 'PreferNoSchedule' }] } }, {}],
    [
      'cordoned, but tolerated',
      { spec: { unschedulable: true } },
      { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] },
    ],
    [
      'any one of several affinity terms',
      { labels: { zone: 'b', generation: '7' } },
      {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] },
                { matchExpressions: [{ key: 'generation', operator: 'Gt', values: ['6'] }] },
              ],
            },
          },
        },
      },
    ],
  ];
  test.each(cases)('%s', (_name, node, pod) => {
    expect(refusal(cacheOf(aNode('n', node)), aPodInfo('p', pod))).toBe('bound to n');
  });
});

describe('which node is chosen', () => {
  test('the emptier one', () => {
    const cache = cacheOf(aNode('full'), aNode('empty'));
    cache.assume(aPodInfo('other', {}, { cpu: '1', memory: '2Gi' }), 'full');
    expect(refusal(cache, aPodInfo('p', {}, { cpu: '100m' }))).toBe('bound to empty');
  });

  test('a preferred affinity outweighs an emptier node', () => {
    const cache = cacheOf(aNode('plain'), aNode('ssd', { labels: { disk: 'ssd' } }));
    cache.assume(aPodInfo('other', {}, { cpu: '200m', memory: '200Mi' }), 'ssd');
    const affinity = {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 10, preference: { matchExpressions: [{ key: 'disk', operator: 'Exists' }] } },
        ],
      },
    };
    expect(refusal(cache, aPodInfo('p', { affinity }))).toBe('bound to ssd');
  });

  test('a pod that is forgotten gives its resources back', () => {
    const cache = cacheOf(aNode('n'));
    const big = aPodInfo('big', {}, { cpu: '2' });
    cache.assume(big, 'n');
    expect(refusal(cache, aPodInfo('p', {}, { cpu: '1' }))).toContain('Insufficient cpu');
    cache.forget(big.uid);
    expect(refusal(cache, aPodInfo('p', {}, { cpu: '1' }))).toBe('bound to n');
  });

  test('pods seen before their node count on it', () => {
    const cache = new SchedulerCache();
    cache.setPod(aPodInfo('early', {}, { cpu: '2' }), 'late');
    cache.setNode(aNode('late'));
    expect(refusal(cache, aPodInfo('p', {}, { cpu: '1' }))).toContain('Insufficient cpu');
  });
});

test('large clusters are sampled, small ones are searched whole', () => {
  expect([50, 99, 100, 1000, 5000, 50_000].map(feasibleNodesWanted)).toEqual([50, 99, 100, 420, 500, 2500]);
});
