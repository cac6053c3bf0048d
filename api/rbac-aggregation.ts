// Aggregated cluster roles: the union of the rules of the roles that a role's aggregationRule selects by label
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles). Pure.
import { selectorFromObject } from './selectors.ts';
import type { ClusterRole, PolicyRule } from './types/rbac-v1.ts';

/**
 * In upstream's order: by selector, then by name of the selected role; rules that are there already are left out.
 * `rulesOf` gives the rules of a selected role; by default those stored in it.
 */
export function aggregatedRules(
  role: ClusterRole,
  roles: Iterable<ClusterRole>,
  rulesOf: (selected: ClusterRole) => readonly PolicyRule[] = (selected) => selected.rules ?? [],
): PolicyRule[] {
  const rules = new Map<string, PolicyRule>();
  const others = [...roles].filter((each) => each.metadata.name !== role.metadata.name);
  for (const labels of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const selector = selectorFromObject(labels);
    const selected = others.filter((each) => selector.matches(each.metadata.labels)).sort(byName);
    for (const each of selected) {
      for (const rule of rulesOf(each)) {
        const key = ruleKey(rule);
        if (!rules.has(key)) rules.set(key, rule);
      }
    }
  }
  return [...rules.values()];
}

const byName = (left: ClusterRole, right: ClusterRole) =>
  (left.metadata.name as string) < (right.metadata.name as string) ? -1 : 1;

const ruleKey = ({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule) =>
  JSON.stringify([verbs, apiGroups ?? [], resources ?? [], resourceNames ?? [], nonResourceURLs ?? []]);
