// Nobody writes a role with rights, or binds a role with rights, that they do not hold themselves: unless they may
// `escalate` that role, or `bind` it. Upstream does this in the storage of the four RBAC kinds: after admission, before
// validation, which is where `mutate` of the last plugin runs.
import { deepEqual, semanticEqual } from '../../api/equality.ts';
import { ApiError, errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ClusterRole, PolicyRule, Role, RoleBinding } from '../../api/types/rbac-v1.ts';
import { escalationText, missingRules } from '../auth/escalation.ts';
import type { Authorizer } from '../auth/identity.ts';
import { missingRoleText, type RbacAuthorizer } from '../auth/rbac.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

const GROUP = 'rbac.authorization.k8s.io';
const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

export function rbacEscalation(rbac: RbacAuthorizer, authorizer: Authorizer): AdmissionPlugin {
  async function may(request: AdmissionRequest, verb: string, resource: string, name: string): Promise<boolean> {
    const decision = await authorizer.authorize({
      user: request.user,
      verb,
      isResource: true,
      group: GROUP,
      version: '*',
      resource,
      subresource: '',
      namespace: request.namespace,
      name,
      path: '',
    });
    return decision.allowed;
  }

  function refuseEscalation(request: AdmissionRequest, rules: readonly PolicyRule[]): void {
    const held = rbac.rulesFor(request.user, request.namespace);
    const missing = missingRules(held.rules, rules);
    if (missing.length > 0) throw refusal(request, escalationText(request.user, missing, held.problems));
  }

  async function checkRole(request: AdmissionRequest): Promise<void> {
    const role = request.object as ClusterRole | Role;
    const old = request.old as ClusterRole | Role | undefined;
    const aggregates = [role, old].some((each) => each && 'aggregationRule' in each && each.aggregationRule);
    const sameAggregation = deepEqual((role as ClusterRole).aggregationRule, (old as ClusterRole)?.aggregationRule);
    if (old && semanticEqual(role.rules, old.rules) && sameAggregation) return;
    const name = request.operation === 'CREATE' ? '' : request.name;
    if (await may(request, 'escalate', request.kind.resource, name)) return;
    refuseEscalation(request, role.rules ?? []);
    if (!aggregates) return;
    // What it will be made of is not known yet: only who may everything may write such a role.
    if (missingRules(rbac.rulesFor(request.user, '').rules, EVERYTHING).length > 0) {
      throw refusal(request, 'must have cluster-admin privileges to use the aggregationRule');
    }
  }

  async function checkBinding(request: AdmissionRequest): Promise<void> {
    const { roleRef } = request.object as RoleBinding;
    // A reference that names no role is refused by validation.
    if (roleRef?.kind !== 'ClusterRole' && roleRef?.kind !== 'Role') return;
    const resource = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles';
    if (await may(request, 'bind', resource, roleRef.name)) return;
    const rules = rbac.rulesOf(roleRef, request.namespace);
    if (!rules) {
      const details = { name: roleRef.name, group: GROUP, kind: resource.slice(0, -1) };
      throw new ApiError(404, 'NotFound', missingRoleText(roleRef), details);
    }
    refuseEscalation(request, rules);
  }

  return {
    name: 'RBACEscalation',
    handles: (kind, _subresource, operation) =>
      kind.group === GROUP && (operation === 'CREATE' || operation === 'UPDATE'),
    async mutate(request) {
      const { kind, user, old, object } = request;
      if (user.groups.includes('system:masters')) return;
      if (old && object && changesOnlyOwnership(object, old)) return;
      if (kind.kind === 'Role' || kind.kind === 'ClusterRole') return checkRole(request);
      if (kind.kind === 'RoleBinding' || kind.kind === 'ClusterRoleBinding') return checkBinding(request);
    },
  };
}

function refusal(request: AdmissionRequest, why: string): ApiError {
  return errors.forbidden({ group: GROUP, resource: request.kind.resource }, request.name, why);
}

/** The garbage collector takes finalizers and owners away from what it could not write itself. */
function changesOnlyOwnership(object: KubeObject, old: KubeObject): boolean {
  const strip = (each: KubeObject) => {
    const { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, ...metadata } = each.metadata;
    return { ...each, metadata };
  };
  return semanticEqual(strip(object), strip(old));
}
