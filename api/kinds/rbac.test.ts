import { describe, expect, it } from 'vitest';
import type { PolicyRule, RoleBinding } from '../types/rbac-v1.ts';
import { clusterRole } from './cluster-role.ts';
import { clusterRoleBinding } from './cluster-role-binding.ts';
import { roleBinding } from './role-binding.ts';
import { role } from './role.ts';
import { CONTEXT, createErrors, created, updateErrors } from './testing.ts';

const metadata = { name: 'a:b', namespace: 'default' };

it.each<[PolicyRule, string[], string[]]>([
  [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, [], []],
  [
    { verbs: ['get'], nonResourceURLs: ['/metrics'] },
    ['rules[0].nonResourceURLs: Invalid value: ["/metrics"]: namespaced rules cannot apply to non-resource URLs'],
    [],
  ],
  [
    { verbs: [] },
    [
      'rules[0].verbs: Required value: verbs must contain at least one value',
      'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
      'rules[0].resources: Required value: resource rules must supply at least one resource',
    ],
    [
      'rules[0].verbs: Required value: verbs must contain at least one value',
      'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
      'rules[0].resources: Required value: resource rules must supply at least one resource',
    ],
  ],
])('rule %j', (rule, inRole, inClusterRole) => {
  expect(createErrors(role, { metadata, rules: [rule] })).toEqual(inRole);
  expect(createErrors(clusterRole, { metadata, rules: [rule] })).toEqual(inClusterRole);
});

it('aggregates by selectors', () => {
  const of = (...clusterRoleSelectors: object[]) => ({ metadata, aggregationRule: { clusterRoleSelectors } });
  const field = 'aggregationRule.clusterRoleSelectors';
  expect(createErrors(clusterRole, of())).toEqual([
    `${field}: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil`,
  ]);
  const wrong = { matchExpressions: [{ key: 'a', operator: 'In', values: ['-'] }] };
  expect(createErrors(clusterRole, of({}, wrong))[0]).toMatch(
    /^aggregationRule\.clusterRoleSelectors\[1\]\.matchExpressions\[0\]\.values\[0\]: Invalid value: "-": a valid label/,
  );
  // What was stored before values were looked at may stay.
  expect(updateErrors(clusterRole, of(wrong), of({}, wrong))).toEqual([]);
});

it('takes names that are path segments', () => {
  expect(role.validateName?.('system:a', false)).toEqual([]);
  expect(role.validateName?.('a/b', false)).toEqual(["may not contain '/'"]);
});

describe('bindings', () => {
  const binding = (more: Partial<RoleBinding> = {}): RoleBinding => ({
    metadata: { ...metadata, creationTimestamp: '2025-12-31T23:00:00Z' },
    roleRef: { kind: 'ClusterRole', name: 'view' },
    subjects: [
      { kind: 'User', name: 'ann' },
      { kind: 'Group', name: 'dev' },
      { kind: 'ServiceAccount', name: 'robot', namespace: 'default' },
    ],
    ...more,
  });

  it('default their API groups and print their subjects', () => {
    const object = created(roleBinding, binding());
    expect(object.roleRef.apiGroup).toBe('rbac.authorization.k8s.io');
    expect(object.subjects?.map((each) => each.apiGroup)).toEqual([
      'rbac.authorization.k8s.io',
      'rbac.authorization.k8s.io',
      undefined,
    ]);
    expect(roleBinding.validate(object)).toEqual([]);
    expect(roleBinding.cells(object, CONTEXT)).toEqual([
      'a:b',
      'ClusterRole/view',
      '60m',
      'ann',
      'dev',
      'default/robot',
    ]);
  });

  it('name what is wrong', () => {
    expect(
      createErrors(
        roleBinding,
        binding({ roleRef: { kind: 'Odd', name: '' }, subjects: [{ kind: 'Robot', name: '' }] }),
      ),
    ).toEqual([
      'roleRef.kind: Unsupported value: "Odd": supported values: "Role", "ClusterRole"',
      'roleRef.name: Required value',
      'subjects[0].name: Required value',
      'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
    ]);
    expect(
      createErrors(
        clusterRoleBinding,
        binding({ roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'ServiceAccount', name: 'x' }] }),
      ),
    ).toEqual([
      'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
      'subjects[0].namespace: Required value',
    ]);
  });

  it('keep their role', () => {
    expect(updateErrors(roleBinding, binding(), binding({ roleRef: { kind: 'Role', name: 'r' } }))).toEqual([
      'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"r"}: cannot change roleRef',
    ]);
  });
});
