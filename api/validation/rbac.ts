// RBAC rules, subjects and role references.
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors, goStruct } from '../field-error.ts';
import { nameIsDnsSubdomain, nameIsPathSegment } from '../names.ts';
import type { PolicyRule, RoleRef, Subject } from '../types/rbac-v1.ts';
import { type Findings, invalidEach } from './checks.ts';

const { invalid, notSupported, required } = fieldErrors;

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

export function* validateRules(rules: readonly PolicyRule[] | undefined, namespaced: boolean): Findings {
  for (const [i, rule] of (rules ?? []).entries()) yield* policyRule(rule, namespaced, `rules[${i}]`);
}

function* policyRule(rule: PolicyRule, namespaced: boolean, field: string): Findings {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  if (verbs.length === 0) yield required(`${field}.verbs`, 'verbs must contain at least one value');
  if (nonResourceURLs.length > 0) {
    const at = `${field}.nonResourceURLs`;
    if (namespaced) yield invalid(at, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs');
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      yield invalid(at, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs');
    }
    return;
  }
  if (apiGroups.length === 0) {
    yield required(`${field}.apiGroups`, 'resource rules must supply at least one api group');
  }
  if (resources.length === 0) {
    yield required(`${field}.resources`, 'resource rules must supply at least one resource');
  }
}

interface Binding {
  roleRef?: RoleRef;
  subjects?: Subject[];
}

export function validateBinding(binding: Binding, namespaced: boolean): FieldError[] {
  return [...roleRef(binding.roleRef, namespaced), ...subjects(binding.subjects ?? [], namespaced)];
}

export function validateBindingUpdate(binding: Binding, old: Binding, namespaced: boolean): FieldError[] {
  const found = validateBinding(binding, namespaced);
  if (!semanticEqual(binding.roleRef, old.roleRef)) {
    const shown = goStruct(binding.roleRef, { APIGroup: '', Kind: '', Name: '' });
    found.push(invalid('roleRef', shown, 'cannot change roleRef'));
  }
  return found;
}

function* roleRef(ref: RoleRef | undefined, namespaced: boolean): Findings {
  const { apiGroup = '', kind = '', name = '' } = ref ?? {};
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (apiGroup !== RBAC_GROUP) yield notSupported('roleRef.apiGroup', apiGroup, [RBAC_GROUP]);
  if (!kinds.includes(kind)) yield notSupported('roleRef.kind', kind, kinds);
  if (name === '') yield required('roleRef.name');
  else yield* invalidEach('roleRef.name', name, nameIsPathSegment(name, false));
}

function* subjects(all: readonly Subject[], namespaced: boolean): Findings {
  for (const [i, { kind = '', name = '', apiGroup = '', namespace = '' }] of all.entries()) {
    const at = `subjects[${i}]`;
    if (name === '') yield required(`${at}.name`);
    if (kind === 'ServiceAccount') {
      if (name !== '') yield* invalidEach(`${at}.name`, name, nameIsDnsSubdomain(name, false));
      if (apiGroup !== '') yield notSupported(`${at}.apiGroup`, apiGroup, ['']);
      if (!namespaced && namespace === '') yield required(`${at}.namespace`);
    } else if (kind === 'User' || kind === 'Group') {
      if (name === '') yield invalid(`${at}.name`, name, `${kind.toLowerCase()} name cannot be empty`);
      if (apiGroup !== RBAC_GROUP) yield notSupported(`${at}.apiGroup`, apiGroup, [RBAC_GROUP]);
    } else yield notSupported(`${at}.kind`, kind, ['ServiceAccount', 'User', 'Group']);
  }
}
