// The decisions of RBAC and of the node authorizer, as tables.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../api/object.ts';
import type { PersistentVolume, Pod } from '../../api/types/core-v1.ts';
import type { ClusterRole, ClusterRoleBinding, PolicyRule } from '../../api/types/rbac-v1.ts';
import { loadBootstrapRbac } from './bootstrap-rbac.ts';
import { escalationText, missingRules } from './escalation.ts';
import type { Attributes, Identity } from './identity.ts';
import { NodeAuthorizer } from './node-authorizer.ts';
import { NodeGraph } from './node-graph.ts';
import { RbacAuthorizer } from './rbac.ts';
import { reconcileBinding, reconcileRole } from './reconcile.ts';
import { ruleAllows } from './rules.ts';

const user = (name: string, ...groups: string[]): Identity => ({ name, groups });

const ask = (verb: string, resource: string, more: Partial<Attributes> = {}): Attributes => {
  const [name = '', subresource = ''] = resource.split('/');
  return {
    user: user('u'),
    verb,
    isResource: true,
    group: '',
    version: 'v1',
    resource: name,
    subresource,
    namespace: '',
    name: '',
    path: '',
    ...more,
  };
};
const path = (text: string, verb = 'get') => ask(verb, '', { isResource: false, path: text });

describe('rules', () => {
  const core = (resources: string[], more: Partial<PolicyRule> = {}): PolicyRule => ({
    verbs: ['get'],
    apiGroups: [''],
    resources,
    ...more,
  });
  it.each<[string, PolicyRule, Attributes, boolean]>([
    ['a resource is not its subresources', core(['pods']), ask('get', 'pods/log'), false],
    ['a subresource is not its resource', core(['pods/log']), ask('get', 'pods'), false],
    ['a star is both', core(['*']), ask('get', 'pods/log'), true],
    ['one subresource of everything', core(['*/scale']), ask('get', 'deployments/scale'), true],
    ['but of no other', core(['*/scale']), ask('get', 'deployments/status'), false],
    ['another group', core(['pods']), ask('get', 'pods', { group: 'metrics.k8s.io' }), false],
    ['a name', core(['pods'], { resourceNames: ['a'] }), ask('get', 'pods', { name: 'a' }), true],
    ['another name', core(['pods'], { resourceNames: ['a'] }), ask('get', 'pods', { name: 'b' }), false],
    ['no name, as a list has none', core(['pods'], { resourceNames: ['a'] }), ask('get', 'pods'), false],
    ['another verb', core(['pods']), ask('list', 'pods'), false],
    ['a path', { verbs: ['get'], nonResourceURLs: ['/logs'] }, path('/logs'), true],
    ['not below it', { verbs: ['get'], nonResourceURLs: ['/logs'] }, path('/logs/x'), false],
    ['below a star', { verbs: ['get'], nonResourceURLs: ['/logs/*'] }, path('/logs/x'), true],
    ['not beside a star', { verbs: ['get'], nonResourceURLs: ['/logs/*'] }, path('/logsx'), false],
    ['a resource rule opens no path', core(['*']), path('/logs'), false],
  ])('%s', (_, rule, attributes, allowed) => expect(ruleAllows(rule, attributes)).toBe(allowed));
});

describe('what a grant gives beyond what somebody has', () => {
  const rule = (verbs: string, groups: string, resources: string, names?: string): PolicyRule => ({
    verbs: verbs.split(','),
    apiGroups: groups.split(',').map((each) => (each === '-' ? '' : each)),
    resources: resources.split(','),
    ...(names && { resourceNames: names.split(',') }),
  });
  const url = (verbs: string, urls: string): PolicyRule => ({ verbs: [verbs], nonResourceURLs: [urls] });
  it.each<[PolicyRule[], PolicyRule[], number]>([
    [[rule('get,list', '-', 'pods')], [rule('get', '-', 'pods')], 0],
    [[rule('get', '-', 'pods'), rule('list', '-', 'pods')], [rule('get,list', '-', 'pods')], 0],
    [[rule('get', '-', 'pods')], [rule('get,list', '-', 'pods,secrets')], 3],
    [[rule('get', '-', 'pods', 'a')], [rule('get', '-', 'pods')], 1],
    [[rule('get', '-', 'pods')], [rule('get', '-', 'pods', 'a')], 0],
    [[rule('get', '-', 'pods', 'a')], [rule('get', '-', 'pods', 'a,b')], 1],
    [[rule('*', '*', '*')], [rule('*', '*', '*')], 0],
    [[rule('get', '*', '*')], [rule('*', '*', '*')], 1],
    [[rule('get', '-', '*/scale')], [rule('get', '-', 'deployments/scale')], 0],
    [[rule('get', '-', '*/scale')], [rule('get', '-', '*')], 1],
    [[url('get', '/a/*')], [url('get', '/a/b')], 0],
    [[url('get', '/a/*')], [url('get', '/a')], 1],
    [[rule('*', '*', '*')], [url('get', '/a')], 1],
  ])('%j %j', (held, wanted, missing) => expect(missingRules(held, wanted)).toHaveLength(missing));

  it('is told in upstream words', () => {
    const missing = missingRules([], [rule('list,get', '-', 'secrets,pods'), url('get', '/x')]);
    expect(escalationText(user('eve', 'a', 'b'), missing, [])).toBe(
      [
        'user "eve" (groups=["a" "b"]) is attempting to grant RBAC permissions not currently held:',
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "get"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["list" "get"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
      ].join('\n'),
    );
  });
});

describe('the roles of a fresh cluster', () => {
  it('are those of Kubernetes 1.36', () => {
    // The digest of the four lists as a kube-apiserver 1.36.2 has them after its first start.
    const { clusterRoles, clusterRoleBindings, roles, roleBindings } = loadBootstrapRbac();
    const all = [...clusterRoles, ...clusterRoleBindings, ...roles, ...roleBindings]
      .filter((each) => !each.metadata.name?.startsWith('sampan:'))
      .map(({ apiVersion: _a, kind: _k, ...rest }: ClusterRole) => {
        if (rest.aggregationRule) delete rest.rules;
        return JSON.stringify(canonical(rest));
      });
    expect(all).toHaveLength(71 + 52 + 7 + 7);
    expect(createHash('sha256').update(all.sort().join('\n')).digest('hex')).toBe(
      'c452735e097b3d17250f1a2225a22bcdd373350d39541dcf616e4a721e058e16',
    );
  });

  const role = (rules: PolicyRule[], annotations?: Record<string, string>): ClusterRole & KubeObject => ({
    metadata: { name: 'r', ...(annotations && { annotations }) },
    rules,
  });
  const get: PolicyRule = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
  const list: PolicyRule = { verbs: ['list'], apiGroups: [''], resources: ['pods'] };
  it('get back what they lost, and keep what they were given', () => {
    expect(reconcileRole(role([list]), role([get]))).toEqual({ kind: 'update', object: role([list, get]) });
    expect(reconcileRole(role([list, get]), role([get]))).toEqual({ kind: 'keep' });
    const off = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' };
    expect(reconcileRole(role([], off), role([get]))).toEqual({ kind: 'keep' });
  });
  it('get back their subjects', () => {
    const binding = (name: string, ...users: string[]): ClusterRoleBinding & KubeObject => ({
      metadata: { name: 'b' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: users.map((each) => ({ kind: 'User', name: each })),
    });
    expect(reconcileBinding(binding('r', 'x'), binding('r', 'y'))).toEqual({
      kind: 'update',
      object: binding('r', 'x', 'y'),
    });
    expect(reconcileBinding(binding('other', 'x'), binding('r', 'x')).kind).toBe('replace');
  });
});

describe('an authorizer with many bindings', () => {
  const rbac = new RbacAuthorizer();
  const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['own'] }];
  for (let i = 0; i < 1000; i++) {
    rbac.apply('Role', `ns-${i % 50}`, `r${i}`, { metadata: {}, rules } as KubeObject);
    rbac.apply('RoleBinding', `ns-${i % 50}`, `b${i}`, {
      metadata: { name: `b${i}` },
      roleRef: { kind: 'Role', name: `r${i}` },
      subjects: [{ kind: 'ServiceAccount', name: `account-${i}` }],
    } as unknown as KubeObject);
  }
  const account = (i: number) => user(`system:serviceaccount:ns-${i % 50}:account-${i}`, 'system:authenticated');
  it('decides by the subject', () => {
    const of = (i: number, name: string) =>
      rbac.authorize(ask('get', 'configmaps', { user: account(i), namespace: `ns-${i % 50}`, name }));
    expect(of(7, 'own')).toEqual({
      allowed: true,
      reason: 'RBAC: allowed by RoleBinding "b7/ns-7" of Role "r7" to ServiceAccount "account-7/ns-7"',
    });
    expect(of(7, 'other')).toEqual({ allowed: false, reason: '' });
    rbac.apply('RoleBinding', 'ns-7', 'b7', undefined);
    expect(of(7, 'own').allowed).toBe(false);
    rbac.apply('Role', 'ns-8', 'r8', undefined);
    expect(of(8, 'own').reason).toBe('RBAC: role.rbac.authorization.k8s.io "r8" not found');
  });
  it('takes microseconds', () => {
    const started = performance.now();
    for (let i = 0; i < 20_000; i++) {
      const at = 10 + (i % 900);
      rbac.authorize(ask('get', 'configmaps', { user: account(at), namespace: `ns-${at % 50}`, name: 'own' }));
    }
    expect((performance.now() - started) / 20_000).toBeLessThan(0.05);
  });
});

describe('aggregation', () => {
  it('goes through roles that aggregate others, and ends where they do so in a circle', () => {
    const rbac = new RbacAuthorizer();
    const verbs = (...names: string[]) => names.map((each) => ({ verbs: [each], apiGroups: [''], resources: ['x'] }));
    const put = (name: string, label: string, from?: string, rules: PolicyRule[] = []) =>
      rbac.apply('ClusterRole', '', name, {
        metadata: { name, labels: { [label]: 'y' } },
        rules,
        ...(from && { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [from]: 'y' } }] } }),
      } as unknown as KubeObject);
    put('top', 't', 'm');
    put('middle', 'm', 'l');
    put('leaf', 'l', undefined, verbs('get'));
    const of = (name: string) => rbac.rulesOf({ kind: 'ClusterRole', name }, '');
    expect(of('top')).toEqual(verbs('get'));
    put('leaf', 'l', undefined, verbs('get', 'list'));
    expect(of('top')).toEqual(verbs('get', 'list'));
    put('leaf', 'l', 't', verbs('get'));
    expect(of('top')).toEqual([]);
  });
});

describe('nodes', () => {
  const graph = new NodeGraph();
  graph.applyPod('ns', 'p', {
    metadata: { name: 'p', namespace: 'ns' },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'sa',
      imagePullSecrets: [{ name: 'pull' }],
      containers: [{ name: 'c', env: [{ name: 'E', valueFrom: { configMapKeyRef: { name: 'cm', key: 'k' } } }] }],
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'claim' } },
        { name: 'scratch', ephemeral: {} },
        { name: 'driver', csi: { driver: 'd', nodePublishSecretRef: { name: 'publish' } } },
      ],
      resourceClaims: [{ name: 'gpu', resourceClaimName: 'gpu-claim' }],
    },
  } as Pod);
  graph.applyPod('ns', 'mirror', {
    metadata: { name: 'mirror', namespace: 'ns', annotations: { 'kubernetes.io/config.mirror': 'x' } },
    spec: { nodeName: 'n1', containers: [], volumes: [{ name: 's', secret: { secretName: 'stolen' } }] },
  } as Pod);
  graph.applyVolume('pv', {
    metadata: { name: 'pv' },
    spec: {
      claimRef: { namespace: 'ns', name: 'claim' },
      csi: { nodeStageSecretRef: { name: 'stage', namespace: 'x' } },
    },
  } as unknown as PersistentVolume);
  graph.applyOwned('volumeattachments', 'va', 'n1');
  const authorizer = new NodeAuthorizer(graph, [{ verbs: ['list'], apiGroups: [''], resources: ['services'] }]);
  const kubelet = user('system:node:n1', 'system:nodes');
  const selector = (value: string) => ({ fieldSelector: [{ key: 'spec.nodeName', operator: 'In', values: [value] }] });
  const ns = { namespace: 'ns' };
  const none = "no relationship found between node 'n1' and this object";

  it.each<[string, string, Partial<Attributes>, true | string]>([
    ['get', 'secrets', { ...ns, name: 'pull' }, true],
    ['watch', 'configmaps', { ...ns, name: 'cm' }, true],
    ['get', 'secrets', { ...ns, name: 'publish' }, true],
    ['get', 'secrets', { namespace: 'x', name: 'stage' }, true],
    ['get', 'secrets', { ...ns, name: 'stage' }, none],
    ['get', 'secrets', { ...ns, name: 'stolen' }, none],
    ['list', 'secrets', ns, 'No Object name found'],
    ['delete', 'secrets', { ...ns, name: 'pull' }, 'can only read resources of this type'],
    ['get', 'persistentvolumeclaims', { ...ns, name: 'claim' }, true],
    ['get', 'persistentvolumeclaims', { ...ns, name: 'p-scratch' }, true],
    ['update', 'persistentvolumeclaims/status', { ...ns, name: 'claim' }, true],
    ['list', 'persistentvolumeclaims', ns, 'can only get individual resources of this type'],
    ['get', 'persistentvolumes', { name: 'pv' }, true],
    ['get', 'persistentvolumes', { name: 'other' }, none],
    ['get', 'resourceclaims', { ...ns, name: 'gpu-claim', group: 'resource.k8s.io' }, true],
    ['get', 'volumeattachments', { name: 'va', group: 'storage.k8s.io' }, true],
    ['create', 'serviceaccounts/token', { ...ns, name: 'sa' }, true],
    ['create', 'serviceaccounts/token', { ...ns, name: 'other' }, none],
    ['create', 'serviceaccounts', ns, 'can only create tokens for individual service accounts'],
    ['get', 'nodes', { name: 'n1' }, true],
    ['get', 'nodes', { name: 'n2' }, "node 'n1' cannot read 'n2', only its own Node object"],
    ['list', 'nodes', {}, "node 'n1' cannot read all nodes, only its own Node object"],
    ['delete', 'nodes', { name: 'n1' }, ''],
    ['patch', 'nodes/status', { name: 'n1' }, true],
    ['get', 'pods', { ...ns, name: 'p' }, true],
    ['get', 'pods', { ...ns, name: 'q' }, none],
    ['list', 'pods', selector('n1'), true],
    ['watch', 'pods', selector('n2'), 'can only list/watch pods with spec.nodeName field selector'],
    ['list', 'pods', {}, 'can only list/watch pods with spec.nodeName field selector'],
    ['patch', 'pods', { ...ns, name: 'p' }, ''],
    ['get', 'pods/log', { ...ns, name: 'p' }, ''],
    ['get', 'csinodes', { name: 'n1', group: 'storage.k8s.io' }, true],
    [
      'get',
      'csinodes',
      { name: 'n2', group: 'storage.k8s.io' },
      'can only access CSINode with the same name as the requesting node',
    ],
    [
      'get',
      'leases',
      { namespace: 'kube-system', name: 'n1', group: 'coordination.k8s.io' },
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    ['list', 'resourceslices', { group: 'resource.k8s.io', ...selector('n1') }, true],
    ['list', 'services', {}, true],
    ['get', 'services', { name: 's' }, ''],
  ])('%s %s %j', (verb, resource, more, expected) => {
    const decision = authorizer.authorize(ask(verb, resource, { user: kubelet, ...more }));
    expect(decision.allowed ? true : decision.reason).toBe(expected);
  });

  it('lose what their pods referred to', () => {
    const mayGet = (resource: string, more: object) =>
      authorizer.authorize(ask('get', resource, { user: kubelet, ...more })).allowed;
    graph.applyPod('ns', 'p', undefined);
    expect(mayGet('secrets', { ...ns, name: 'pull' })).toBe(false);
    expect(mayGet('persistentvolumes', { name: 'pv' })).toBe(false);
    expect(mayGet('secrets', { namespace: 'x', name: 'stage' })).toBe(false);
  });
});

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([, each]) => each !== undefined && each !== null && !(Array.isArray(each) && each.length === 0),
  );
  return Object.fromEntries(
    entries.sort(([left], [right]) => (left < right ? -1 : 1)).map(([key, each]) => [key, canonical(each)]),
  );
}
