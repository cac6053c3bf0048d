import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../object.ts';
import type { Pod, ResourceQuotaSpec } from '../types/core-v1.ts';
import { listOf } from './amounts.ts';
import { charge, type Quota } from './charge.ts';
import { evaluatorOf } from './evaluators.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

function quota(hard: Record<string, string>, used: Record<string, string>, spec: ResourceQuotaSpec = {}): Quota {
  return { metadata: { name: 'q' }, spec: { hard, ...spec }, status: { hard, used } };
}

function pod(resources: object | undefined, more: object = {}, status: object = {}): Pod & KubeObject {
  return {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', ...(resources && { resources }) }], ...more },
    status,
  } as unknown as Pod & KubeObject;
}

const asks = (cpu: string) => ({ requests: { cpu, memory: '1Gi' }, limits: { cpu: '2', memory: '2Gi' } });

function try_(quotas: Quota[], object: object, resource = 'pods', group = '', old?: object) {
  const outcome = charge(quotas, {
    evaluator: evaluatorOf(group, resource),
    object: object as KubeObject,
    old: old as KubeObject | undefined,
    nowMs: NOW,
  });
  return outcome.ok ? Object.fromEntries([...outcome.used].map(([name, used]) => [name, listOf(used)])) : outcome.why;
}

const priority = (operator: string, values?: string[]): ResourceQuotaSpec => ({
  scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator, ...(values && { values }) }] },
});
const free = { pods: '1' };
const none = { pods: '0' };

describe('a quota', () => {
  it.each<[string, Quota[], object, unknown]>([
    ['counts pods', [quota({ pods: '2' }, { pods: '1' })], pod(undefined), { q: { pods: '2' } }],
    [
      'refuses one too many',
      [quota({ pods: '2' }, { pods: '2' })],
      pod(undefined),
      'exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2',
    ],
    [
      'adds what is asked for, however it is written',
      [quota({ 'requests.cpu': '2', 'limits.memory': '4Gi' }, { 'requests.cpu': '1500m', 'limits.memory': '2Gi' })],
      pod(asks('0.5')),
      { q: { 'requests.cpu': '2', 'limits.memory': '4Gi' } },
    ],
    [
      'says all that is exceeded, in order',
      [
        quota(
          { 'requests.cpu': '1', 'limits.cpu': '1', pods: '9' },
          { 'requests.cpu': '800m', 'limits.cpu': '0', pods: '1' },
        ),
      ],
      pod(asks('300m')),
      'exceeded quota: q, requested: limits.cpu=2,requests.cpu=300m, used: limits.cpu=0,requests.cpu=800m, limited: limits.cpu=1,requests.cpu=1',
    ],
    [
      'wants every container to say what is limited',
      [quota({ cpu: '1', 'limits.memory': '1Gi' }, { cpu: '0', 'limits.memory': '0' })],
      pod(undefined),
      'failed quota: q: must specify cpu for: c; limits.memory for: c',
    ],
    [
      'refuses while nobody has counted yet',
      [quota({ pods: '2' }, {})],
      pod(undefined),
      'status unknown for quota: q, resources: pods',
    ],
    [
      'counts objects of any kind',
      [quota({ 'count/pods': '1' }, { 'count/pods': '0' })],
      pod(undefined),
      { q: { 'count/pods': '1' } },
    ],
    [
      'counts devices',
      [quota({ 'requests.example.com/gpu': '1' }, { 'requests.example.com/gpu': '0' })],
      pod({ requests: { 'example.com/gpu': '2' }, limits: { 'example.com/gpu': '2' } }),
      'exceeded quota: q, requested: requests.example.com/gpu=2, used: requests.example.com/gpu=0, limited: requests.example.com/gpu=1',
    ],
    ['in a scope leaves others alone', [quota(free, none, { scopes: ['BestEffort'] })], pod(asks('1')), {}],
    ['BestEffort', [quota(free, none, { scopes: ['BestEffort'] })], pod(undefined), { q: { pods: '1' } }],
    [
      'Terminating',
      [quota(free, none, { scopes: ['Terminating'] })],
      pod(undefined, { activeDeadlineSeconds: 5 }),
      { q: { pods: '1' } },
    ],
    [
      'NotTerminating',
      [quota(free, none, { scopes: ['NotTerminating'] })],
      pod(undefined, { activeDeadlineSeconds: 5 }),
      {},
    ],
    [
      'of a priority',
      [quota(free, none, priority('In', ['high']))],
      pod(undefined, { priorityClassName: 'high' }),
      { q: { pods: '1' } },
    ],
    [
      'of another priority',
      [quota(free, none, priority('In', ['high']))],
      pod(undefined, { priorityClassName: 'low' }),
      {},
    ],
    ['of no priority', [quota(free, none, priority('DoesNotExist'))], pod(undefined, { priorityClassName: 'low' }), {}],
    [
      'across namespaces',
      [quota(free, { pods: '1' }, { scopes: ['CrossNamespacePodAffinity'] })],
      pod(undefined, {
        affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ namespaceSelector: {} }] } },
      }),
      'exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    ],
  ])('%s', (_, quotas, object, expected) => {
    expect(try_(quotas, object)).toEqual(expected);
  });
});

describe('services and claims', () => {
  const ports = (type: string) => ({ metadata: { name: 's' }, spec: { type, ports: [{ port: 1 }, { port: 2 }] } });
  const hard = { services: '5', 'services.nodeports': '2', 'services.loadbalancers': '1' };
  const used = { services: '0', 'services.nodeports': '0', 'services.loadbalancers': '0' };
  it.each<[string, object, object | undefined, unknown]>([
    ['a cluster IP', ports('ClusterIP'), undefined, { q: { ...used, services: '1' } }],
    ['node ports', ports('NodePort'), undefined, { q: { ...used, services: '1', 'services.nodeports': '2' } }],
    [
      'a change of type costs the difference',
      ports('LoadBalancer'),
      ports('NodePort'),
      { q: { ...used, 'services.loadbalancers': '1' } },
    ],
    ['no change costs nothing', ports('NodePort'), ports('NodePort'), {}],
  ])('%s', (_, object, old, expected) => {
    expect(try_([quota(hard, used)], object, 'services', '', old)).toEqual(expected);
  });

  it('storage is counted in all and by class', () => {
    const claim = {
      metadata: { name: 'c' },
      spec: { storageClassName: 'fast', resources: { requests: { storage: '5Gi' } } },
    };
    const names = ['requests.storage', 'fast.storageclass.storage.k8s.io/requests.storage'];
    const list = (value: string) => Object.fromEntries(names.map((name) => [name, value]));
    expect(try_([quota(list('8Gi'), list('2Gi'))], claim, 'persistentvolumeclaims')).toEqual({ q: list('7Gi') });
    expect(try_([quota(list('8Gi'), list('4Gi'))], claim, 'persistentvolumeclaims')).toBe(
      'exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=5Gi,requests.storage=5Gi, used: fast.storageclass.storage.k8s.io/requests.storage=4Gi,requests.storage=4Gi, limited: fast.storageclass.storage.k8s.io/requests.storage=8Gi,requests.storage=8Gi',
    );
  });

  it('any kind is counted by its name', () => {
    const deployment = { metadata: { name: 'd' } };
    const count = { 'count/deployments.apps': '1' };
    expect(try_([quota(count, count)], deployment, 'deployments', 'apps')).toBe(
      'exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1',
    );
    expect(try_([quota({ secrets: '1' }, { secrets: '0' })], deployment, 'secrets')).toEqual({ q: { secrets: '1' } });
  });
});

it('an ended pod costs no more than its place', () => {
  const { usage } = evaluatorOf('', 'pods');
  expect(listOf(usage(pod(asks('1'), {}, { phase: 'Succeeded' }), NOW))).toEqual({ 'count/pods': '1' });
});
