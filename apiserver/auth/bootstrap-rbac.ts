// The roles and bindings of a fresh cluster, read from bootstrap-rbac.txt (the format is described there).
import { readFileSync } from 'node:fs';
import type { KubeObject } from '../../api/object.ts';
import { aggregatedRules } from '../../api/rbac-aggregation.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../../api/types/rbac-v1.ts';

export interface BootstrapRbac {
  clusterRoles: ClusterRole[];
  clusterRoleBindings: ClusterRoleBinding[];
  roles: Role[];
  roleBindings: RoleBinding[];
}

const RBAC = 'rbac.authorization.k8s.io';
const AGGREGATE = `${RBAC}/aggregate-to-`;

/** Reads the file beside this module. Aggregated roles carry the union of the rules they aggregate. */
export function loadBootstrapRbac(): BootstrapRbac {
  return parseBootstrapRbac(readFileSync(new URL('./bootstrap-rbac.txt', import.meta.url), 'utf8'));
}

export function parseBootstrapRbac(text: string): BootstrapRbac {
  const found: BootstrapRbac = { clusterRoles: [], clusterRoleBindings: [], roles: [], roleBindings: [] };
  let rules: PolicyRule[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('  ')) {
      rules.push(parseRule(line.trim()));
      continue;
    }
    const [what, name = '', ...rest] = line.split(' ');
    rules = [];
    if (what === 'clusterrole') found.clusterRoles.push(clusterRole(name, rest, rules));
    else if (what === 'role') found.roles.push({ ...head('Role'), metadata: metadata(name), rules });
    else if (what === 'clusterrolebinding') {
      found.clusterRoleBindings.push({
        ...head('ClusterRoleBinding'),
        metadata: metadata(name),
        roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: rest[0] as string },
        subjects: rest.slice(1).map(parseSubject),
      });
    } else if (what === 'rolebinding') {
      const [kind = '', role = ''] = split(rest[0] as string, '/');
      found.roleBindings.push({
        ...head('RoleBinding'),
        metadata: metadata(name),
        roleRef: { apiGroup: RBAC, kind, name: role },
        subjects: rest.slice(1).map(parseSubject),
      });
    } else throw new Error(`bootstrap-rbac: unknown line ${JSON.stringify(line)}`);
  }
  aggregate(found.clusterRoles);
  return found;
}

const head = (kind: string) => ({ apiVersion: `${RBAC}/v1`, kind });

function metadata(name: string): KubeObject['metadata'] {
  // Role names contain colons, and namespaced ones come as NAMESPACE/NAME.
  const slash = name.indexOf('/');
  return {
    name: name.slice(slash + 1),
    ...(slash > 0 && { namespace: name.slice(0, slash) }),
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
  };
}

function clusterRole(name: string, facts: string[], rules: PolicyRule[]): ClusterRole {
  const role: ClusterRole = { ...head('ClusterRole'), metadata: metadata(name), rules };
  for (const fact of facts) {
    const [key, value] = split(fact, '=');
    if (key === 'aggregates') {
      role.aggregationRule = { clusterRoleSelectors: [{ matchLabels: { [AGGREGATE + value]: 'true' } }] };
    } else if (key === 'to') {
      role.metadata.labels = { ...role.metadata.labels, [AGGREGATE + value]: 'true' };
    } else throw new Error(`bootstrap-rbac: unknown fact ${fact} of ${name}`);
  }
  return role;
}

function parseRule(line: string): PolicyRule {
  const [verbs = '', groups = '', resources = '', names] = line.split(' ');
  if (groups === '@') return { verbs: verbs.split(','), nonResourceURLs: resources.split(',') };
  return {
    verbs: verbs.split(','),
    apiGroups: groups.split(',').map((group) => (group === '-' ? '' : group)),
    resources: resources.split(','),
    ...(names && { resourceNames: names.split(',') }),
  };
}

function parseSubject(text: string): Subject {
  const [kind, name = ''] = split(text, ':');
  if (kind === 'user') return { kind: 'User', apiGroup: RBAC, name };
  if (kind === 'group') return { kind: 'Group', apiGroup: RBAC, name };
  if (kind !== 'sa') throw new Error(`bootstrap-rbac: unknown subject ${text}`);
  const [namespace = '', account = ''] = split(name, '/');
  return { kind: 'ServiceAccount', name: account, namespace };
}

/** Gives aggregated roles their rules; a role may aggregate one that aggregates others, so it repeats until stable. */
function aggregate(roles: ClusterRole[]): void {
  for (;;) {
    let changed = false;
    for (const role of roles) {
      if (!role.aggregationRule) continue;
      const rules = aggregatedRules(role, roles);
      if (rules.length !== role.rules?.length) {
        role.rules = rules;
        changed = true;
      }
    }
    if (!changed) return;
  }
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}
