// Whether rules give more than somebody has: nobody grants what they do not hold themselves
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping). Pure.
import type { PolicyRule } from '../../api/types/rbac-v1.ts';
import type { Identity } from './identity.ts';

/** The parts of `wanted`, one verb of one resource or path each, that no rule of `held` covers. */
export function missingRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((part) => !held.some((rule) => covers(rule, part)));
}

/** Upstream's sentence of a refused grant. */
export function escalationText(user: Identity, missing: readonly PolicyRule[], problems: readonly string[]): string {
  const lines = [...new Set(compactRules(missing).map(ruleText))].sort();
  const unresolved = problems.length > 0 ? `; resolution errors: [${problems.join(' ')}]` : '';
  return `user ${JSON.stringify(user.name)} (groups=${goList(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${lines.join('\n')}${unresolved}`;
}

function breakDown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs) {
        const part = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (!rule.resourceNames?.length) parts.push(part);
        else for (const name of rule.resourceNames) parts.push({ ...part, resourceNames: [name] });
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    for (const verb of rule.verbs) parts.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return parts;
}

function covers(held: PolicyRule, part: PolicyRule): boolean {
  if (!held.verbs.includes('*') && !hasAll(held.verbs, part.verbs)) return false;
  if (!held.apiGroups?.includes('*') && !hasAll(held.apiGroups, part.apiGroups)) return false;
  if (!coversResources(held.resources ?? [], part.resources ?? [])) return false;
  if (!(part.nonResourceURLs ?? []).every((url) => held.nonResourceURLs?.some((own) => coversPath(own, url))))
    return false;
  if (!held.resourceNames?.length) return true;
  return (part.resourceNames?.length ?? 0) > 0 && hasAll(held.resourceNames, part.resourceNames);
}

const hasAll = (held: readonly string[] | undefined, wanted: readonly string[] | undefined) =>
  (wanted ?? []).every((each) => held?.includes(each));

function coversResources(held: readonly string[], wanted: readonly string[]): boolean {
  if (held.includes('*')) return true;
  return wanted.every((each) => {
    const slash = each.indexOf('/');
    return held.includes(each) || (slash >= 0 && held.includes(`*${each.slice(slash)}`));
  });
}

const coversPath = (held: string, wanted: string) =>
  held === wanted || held === '*' || (held.endsWith('*') && wanted.startsWith(held.replace(/\*+$/, '')));

/** Verbs of the same single resource become one rule, so that the message stays readable. */
function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const simple = new Map<string, PolicyRule>();
  const others: PolicyRule[] = [];
  for (const rule of rules) {
    const isSimple =
      !rule.nonResourceURLs?.length &&
      rule.apiGroups?.length === 1 &&
      rule.resources?.length === 1 &&
      (rule.resourceNames?.length ?? 0) < 2;
    if (!isSimple) {
      others.push(rule);
      continue;
    }
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames ?? []]);
    const same = simple.get(key);
    if (same) same.verbs.push(...rule.verbs);
    else simple.set(key, { ...rule, verbs: [...rule.verbs] });
  }
  return [...others, ...simple.values()];
}

function ruleText(rule: PolicyRule): string {
  const parts = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ] as const;
  return `{${parts
    .filter(([, values]) => (values?.length ?? 0) > 0)
    .map(([name, values]) => `${name}:${goList(values as readonly string[])}`)
    .join(', ')}}`;
}

/** A list as Go's %q writes it. */
const goList = (values: readonly string[]) => `[${values.map((each) => JSON.stringify(each)).join(' ')}]`;
