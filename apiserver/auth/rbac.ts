// Role-based access control, decided from an index that is fed by the watch caches of the four RBAC kinds.
//
//   subject key ──► cluster-wide bindings ──► role rules     "Group system:nodes"
//   namespace + subject key ──► role bindings ──► role rules
import type { KubeObject } from '../../api/object.ts';
import { aggregatedRules } from '../../api/rbac-aggregation.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '../../api/types/rbac-v1.ts';
import type { Attributes, Authorizer, Decision, Identity } from './identity.ts';
import { parseServiceAccountUser } from './identity.ts';
import { rulesAllow } from './rules.ts';

type Binding = ClusterRoleBinding | RoleBinding;

/** One binding that names a subject, as that subject's grant. */
interface Grant {
  binding: Binding;
  subject: Subject;
}

/** What a visit is told of a grant; true ends the visit. */
type Visit = (rules: readonly PolicyRule[], grant: Grant, scope: string) => boolean;

export class RbacAuthorizer implements Authorizer {
  #clusterRoles = new Map<string, ClusterRole>();
  #roles = new Map<string, Role>();
  #bindings = new Map<string, Binding>();
  /** By namespace (empty for cluster-wide ones), then by subject: each binding once. */
  #grants = new Map<string, Map<string, Map<string, Grant>>>();
  /** Aggregated rules, dropped on every change of a cluster role. */
  #aggregated = new Map<string, readonly PolicyRule[]>();

  /** Takes over the state of one object; `undefined` means it is gone. Idempotent. */
  apply(kind: string, namespace: string, name: string, object: KubeObject | undefined): void {
    if (kind === 'ClusterRole') {
      if (object) this.#clusterRoles.set(name, object as ClusterRole);
      else this.#clusterRoles.delete(name);
      this.#aggregated.clear();
    } else if (kind === 'Role') {
      if (object) this.#roles.set(`${namespace}/${name}`, object as Role);
      else this.#roles.delete(`${namespace}/${name}`);
    } else this.#applyBinding(kind === 'RoleBinding' ? namespace : '', name, object as Binding | undefined);
  }

  authorize(attributes: Attributes): Decision {
    const problems: string[] = [];
    let reason = '';
    const allowed = this.#visit(attributes.user, attributes.namespace, problems, (rules, grant, scope) => {
      if (!rulesAllow(rules, attributes)) return false;
      reason = `RBAC: allowed by ${grantText(grant, scope)}`;
      return true;
    });
    if (allowed) return { allowed: true, reason };
    return { allowed: false, reason: problems.length > 0 ? `RBAC: ${list(problems)}` : '' };
  }

  /** Every rule that holds for `user` in `namespace` (empty: cluster-wide only), and why some could not be found. */
  rulesFor(user: Identity, namespace: string): { rules: PolicyRule[]; problems: string[] } {
    const problems: string[] = [];
    const rules: PolicyRule[] = [];
    this.#visit(user, namespace, problems, (granted) => {
      rules.push(...granted);
      return false;
    });
    return { rules, problems };
  }

  /** The rules behind a role reference, aggregation included; undefined when the role does not exist. */
  rulesOf(roleRef: Pick<RoleRef, 'kind' | 'name'>, namespace: string): readonly PolicyRule[] | undefined {
    if (roleRef.kind === 'ClusterRole') {
      const role = this.#clusterRoles.get(roleRef.name);
      return role && this.#rulesOfClusterRole(role, new Set());
    }
    const role = this.#roles.get(`${namespace}/${roleRef.name}`);
    return role && (role.rules ?? []);
  }

  /**
   * Computed rather than read for aggregated roles, so that they are right before the controller has written them;
   * roles that aggregate each other end at the one being computed.
   */
  #rulesOfClusterRole(role: ClusterRole, within: Set<string>): readonly PolicyRule[] {
    if (!role.aggregationRule) return role.rules ?? [];
    const name = role.metadata.name as string;
    const known = this.#aggregated.get(name);
    if (known) return known;
    if (within.has(name)) return [];
    const inner = new Set(within).add(name);
    const rules = aggregatedRules(role, this.#clusterRoles.values(), (each) => this.#rulesOfClusterRole(each, inner));
    if (within.size === 0) this.#aggregated.set(name, rules);
    return rules;
  }

  /** Calls `visit` for every grant of the user, cluster-wide ones first, until it says true. */
  #visit(user: Identity, namespace: string, problems: string[], visit: Visit): boolean {
    const keys = subjectKeys(user);
    for (const scope of namespace ? ['', namespace] : ['']) {
      const grants = this.#grants.get(scope);
      if (!grants) continue;
      for (const key of keys) {
        for (const grant of grants.get(key)?.values() ?? []) {
          const { roleRef } = grant.binding;
          const rules = this.rulesOf(roleRef, scope);
          if (!rules) problems.push(missingRoleText(roleRef));
          else if (visit(rules, grant, scope)) return true;
        }
      }
    }
    return false;
  }

  #applyBinding(scope: string, name: string, binding: Binding | undefined): void {
    const key = `${scope}/${name}`;
    const old = this.#bindings.get(key);
    let grants = this.#grants.get(scope);
    for (const subject of old?.subjects ?? []) {
      const subjectName = subjectKey(subject, scope);
      const ofSubject = grants?.get(subjectName);
      ofSubject?.delete(name);
      if (ofSubject?.size === 0) grants?.delete(subjectName);
    }
    if (binding) {
      this.#bindings.set(key, binding);
      if (!grants) {
        grants = new Map();
        this.#grants.set(scope, grants);
      }
      for (const subject of binding.subjects ?? []) {
        const subjectName = subjectKey(subject, scope);
        const ofSubject = grants.get(subjectName);
        const grant = { binding, subject };
        if (ofSubject) ofSubject.set(name, grant);
        else grants.set(subjectName, new Map([[name, grant]]));
      }
    } else this.#bindings.delete(key);
    if (grants?.size === 0) this.#grants.delete(scope);
  }
}

/** Upstream's words for a reference to a role that is not there. */
export function missingRoleText(roleRef: Pick<RoleRef, 'kind' | 'name'>): string {
  const resource = roleRef.kind === 'ClusterRole' ? 'clusterrole' : 'role';
  return `${resource}.rbac.authorization.k8s.io ${JSON.stringify(roleRef.name)} not found`;
}

function grantText({ binding, subject }: Grant, scope: string): string {
  const what = scope ? 'RoleBinding' : 'ClusterRoleBinding';
  const name = scope ? `${binding.metadata.name}/${scope}` : binding.metadata.name;
  const who = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || scope}` : subject.name;
  const { roleRef } = binding;
  const quoted = JSON.stringify;
  return `${what} ${quoted(name)} of ${roleRef.kind} ${quoted(roleRef.name)} to ${subject.kind} ${quoted(who)}`;
}

function list(texts: readonly string[]): string {
  const unique = [...new Set(texts)];
  return unique.length === 1 ? (unique[0] as string) : `[${unique.join(', ')}]`;
}

function subjectKey(subject: Subject, scope: string): string {
  if (subject.kind === 'ServiceAccount') return `ServiceAccount ${subject.namespace || scope}/${subject.name}`;
  return `${subject.kind} ${subject.name}`;
}

function subjectKeys(user: Identity): string[] {
  const keys = [`User ${user.name}`];
  for (const group of user.groups) keys.push(`Group ${group}`);
  const account = parseServiceAccountUser(user.name);
  if (account) keys.push(`ServiceAccount ${account.namespace}/${account.name}`);
  return keys;
}
