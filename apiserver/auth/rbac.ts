// Role-based access control, decided from an index that is fed by the watch caches of the four RBAC kinds.
//
//   subject key ──► cluster-wide bindings ──► role rules     "group:system:nodes"
//   namespace + subject key ──► role bindings ──► role rules
import type { KubeObject } from '../../api/object.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../../api/types/rbac-v1.ts';
import { aggregatedRules } from './bootstrap-rbac.ts';
import type { Attributes, Authorizer, Decision, Identity } from './identity.ts';
import { parseServiceAccountUser } from './identity.ts';
import { rulesAllow } from './rules.ts';

type Binding = ClusterRoleBinding | RoleBinding;

export class RbacAuthorizer implements Authorizer {
  #clusterRoles = new Map<string, ClusterRole>();
  #roles = new Map<string, Role>();
  #bindings = new Map<string, Binding>();
  /** `NAMESPACE|subject`, with an empty namespace for cluster-wide ones, to the bindings that name the subject. */
  #bySubject = new Map<string, Set<Binding>>();
  /** Aggregated rules, dropped on every change of a cluster role. */
  #aggregated = new Map<string, PolicyRule[]>();

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
    if (attributes.user.groups.includes('system:masters')) return { allowed: true, reason: '' };
    const problems: string[] = [];
    for (const { rules, why } of this.#grants(attributes.user, attributes.namespace, problems)) {
      if (rulesAllow(rules, attributes)) return { allowed: true, reason: `RBAC: allowed by ${why()}` };
    }
    return { allowed: false, reason: problems.length > 0 ? `RBAC: ${list(problems)}` : '' };
  }

  /** Every rule that holds for `user` in `namespace` (empty: cluster-wide only), and why some could not be found. */
  rulesFor(user: Identity, namespace: string): { rules: PolicyRule[]; problems: string[] } {
    const problems: string[] = [];
    const rules: PolicyRule[] = [];
    if (user.groups.includes('system:masters')) {
      rules.push({ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, { verbs: ['*'], nonResourceURLs: ['*'] });
    }
    for (const grant of this.#grants(user, namespace, problems)) rules.push(...grant.rules);
    return { rules, problems };
  }

  /** The rules behind a role reference, aggregation included; undefined when the role does not exist. */
  rulesOf(roleRef: { kind: string; name: string }, namespace: string): readonly PolicyRule[] | undefined {
    if (roleRef.kind === 'ClusterRole') {
      const role = this.#clusterRoles.get(roleRef.name);
      if (!role?.aggregationRule) return role && (role.rules ?? []);
      let rules = this.#aggregated.get(roleRef.name);
      if (!rules) {
        rules = aggregatedRules(role, this.#clusterRoles.values());
        for (const own of role.rules ?? []) rules.push(own);
        this.#aggregated.set(roleRef.name, rules);
      }
      return rules;
    }
    const role = this.#roles.get(`${namespace}/${roleRef.name}`);
    return role && (role.rules ?? []);
  }

  clusterRoles(): Iterable<ClusterRole> {
    return this.#clusterRoles.values();
  }

  *#grants(
    user: Identity,
    namespace: string,
    problems: string[],
  ): Generator<{ rules: readonly PolicyRule[]; why: () => string }> {
    const keys = subjectKeys(user);
    for (const scope of namespace ? ['', namespace] : ['']) {
      for (const key of keys) {
        for (const binding of this.#bySubject.get(`${scope}|${key}`) ?? []) {
          const rules = this.rulesOf(binding.roleRef, scope);
          if (rules) {
            yield {
              rules,
              why: () =>
                `${scope ? 'RoleBinding' : 'ClusterRoleBinding'} "${scope ? `${binding.metadata.name}/${scope}` : binding.metadata.name}" of ${binding.roleRef.kind} "${binding.roleRef.name}" to ${key}`,
            };
          } else {
            const resource = binding.roleRef.kind === 'ClusterRole' ? 'clusterrole' : 'role';
            problems.push(`${resource}.rbac.authorization.k8s.io "${binding.roleRef.name}" not found`);
          }
        }
      }
    }
  }

  #applyBinding(scope: string, name: string, binding: Binding | undefined): void {
    const key = `${scope}/${name}`;
    const old = this.#bindings.get(key);
    if (old) {
      for (const subject of old.subjects ?? []) {
        const index = `${scope}|${subjectKey(subject, scope)}`;
        const set = this.#bySubject.get(index);
        set?.delete(old);
        if (set?.size === 0) this.#bySubject.delete(index);
      }
      this.#bindings.delete(key);
    }
    if (!binding) return;
    this.#bindings.set(key, binding);
    for (const subject of binding.subjects ?? []) {
      const index = `${scope}|${subjectKey(subject, scope)}`;
      const set = this.#bySubject.get(index);
      if (set) set.add(binding);
      else this.#bySubject.set(index, new Set([binding]));
    }
  }
}

const list = (texts: string[]) => (texts.length === 1 ? texts[0] : `[${[...new Set(texts)].join(', ')}]`);

function subjectKey(subject: Subject, scope: string): string {
  if (subject.kind === 'ServiceAccount') return `sa:${subject.namespace || scope}/${subject.name}`;
  return `${subject.kind === 'Group' ? 'group' : 'user'}:${subject.name}`;
}

function subjectKeys(user: Identity): string[] {
  const keys = [`user:${user.name}`];
  for (const group of user.groups) keys.push(`group:${group}`);
  const account = parseServiceAccountUser(user.name);
  if (account) keys.push(`sa:${account.namespace}/${account.name}`);
  return keys;
}
