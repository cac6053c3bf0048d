// Whether RBAC rules cover a request (https://kubernetes.io/docs/reference/access-authn-authz/rbac/). Pure.
import type { PolicyRule } from '../../api/types/rbac-v1.ts';
import type { Attributes } from './identity.ts';

export function rulesAllow(rules: readonly PolicyRule[] | undefined, attributes: Attributes): boolean {
  return rules?.some((rule) => ruleAllows(rule, attributes)) ?? false;
}

export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false;
  if (!attributes.isResource) return rule.nonResourceURLs?.some((url) => pathMatches(url, attributes.path)) ?? false;
  if (!has(rule.apiGroups, attributes.group)) return false;
  if (!resourceMatches(rule.resources, attributes.resource, attributes.subresource)) return false;
  return !rule.resourceNames?.length || rule.resourceNames.includes(attributes.name);
}

function has(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes(value) || list.includes('*'));
}

/** `pods`, `pods/log`, `*`, and `*` + `/scale` for one subresource of everything. */
function resourceMatches(list: readonly string[] | undefined, resource: string, subresource: string): boolean {
  if (!list) return false;
  const wanted = subresource ? `${resource}/${subresource}` : resource;
  for (const each of list) {
    if (each === '*' || each === wanted) return true;
    if (subresource && each.startsWith('*/') && each.slice(2) === subresource) return true;
  }
  return false;
}

/** Exact, `*`, or a prefix that ends in `*`. */
function pathMatches(rule: string, path: string): boolean {
  return rule === '*' || rule === path || (rule.endsWith('*') && path.startsWith(rule.slice(0, -1)));
}
