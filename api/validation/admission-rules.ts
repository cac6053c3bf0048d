// What webhooks and policies of admission have in common: which requests they match, and the expressions that narrow it
// (k8s.io/kubernetes/pkg/apis/admissionregistration/validation). Whether an expression compiles is not asked here.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { nameIsPathSegment } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  MatchCondition,
  MatchResources,
  NamedRuleWithOperations,
  RuleWithOperations,
} from '../types/admissionregistration-v1.ts';
import { type Findings, invalidEach, optionalOneOf, qualifiedName } from './checks.ts';

const { duplicate, invalid, notSupported, required, tooMany } = fieldErrors;

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const SCOPES = ['*', 'Cluster', 'Namespaced'];
export const FAILURE_POLICIES = ['Fail', 'Ignore'];
export const MATCH_POLICIES = ['Equivalent', 'Exact'];
export const REINVOCATION_POLICIES = ['IfNeeded', 'Never'];
const MAX_MATCH_CONDITIONS = 64;

export function* validateRule(rule: RuleWithOperations, field: string): Findings {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  yield* wildcardAlone(operations, `${field}.operations`, 'operations');
  for (const [i, operation] of operations.entries()) {
    if (!OPERATIONS.includes(operation)) yield notSupported(`${field}.operations[${i}]`, operation, OPERATIONS);
  }
  yield* wildcardAlone(apiGroups, `${field}.apiGroups`, 'API groups');
  yield* wildcardAlone(apiVersions, `${field}.apiVersions`, 'API versions');
  for (const [i, version] of apiVersions.entries()) if (!version) yield required(`${field}.apiVersions[${i}]`);
  yield* ruleResources(resources, `${field}.resources`);
  yield* optionalOneOf(scope, SCOPES, `${field}.scope`);
}

function* wildcardAlone(values: readonly string[], field: string, what: string): Findings {
  if (values.length === 0) yield required(field);
  if (values.length > 1 && values.includes('*')) {
    yield invalid(field, values, `if '*' is present, must not specify other ${what}`);
  }
}

// `pods`, `pods/status`, `pods/*`, `*/scale`, `*`, `*/*`; what one covers must not be named again.
function* ruleResources(resources: readonly string[], field: string): Findings {
  if (resources.length === 0) yield required(field);
  const anySubresource = new Set<string>();
  const anyResource = new Set<string>();
  let hasPlain = false;
  for (const [i, each] of resources.entries()) {
    if (!each) {
      yield required(`${field}[${i}]`);
      continue;
    }
    const slash = each.indexOf('/');
    if (slash < 0) {
      hasPlain = each !== '*';
      continue;
    }
    const resource = each.slice(0, slash);
    const subresource = each.slice(slash + 1);
    if (anySubresource.has(resource)) {
      yield invalid(`${field}[${i}]`, each, `if '${resource}/*' is present, must not specify ${each}`);
    }
    if (anyResource.has(subresource)) {
      yield invalid(`${field}[${i}]`, each, `if '*/${subresource}' is present, must not specify ${each}`);
    }
    if (subresource === '*') anySubresource.add(resource);
    if (resource === '*') anyResource.add(subresource);
  }
  if (resources.length > 1 && resources.includes('*/*')) {
    yield invalid(field, resources, "if '*/*' is present, must not specify other resources");
  }
  if (resources.includes('*') && hasPlain) {
    yield invalid(field, resources, "if '*' is present, must not specify other resources without subresources");
  }
}

export function* validateMatchResources(match: MatchResources, field: string): Findings {
  if (match.matchPolicy === undefined) yield required(`${field}.matchPolicy`);
  yield* optionalOneOf(match.matchPolicy, MATCH_POLICIES, `${field}.matchPolicy`);
  for (const name of ['namespaceSelector', 'objectSelector'] as const) {
    if (!match[name]) yield required(`${field}.${name}`);
    else yield* validateLabelSelector(match[name], `${field}.${name}`);
  }
  for (const name of ['resourceRules', 'excludeResourceRules'] as const) {
    for (const [i, rule] of (match[name] ?? []).entries()) yield* namedRule(rule, `${field}.${name}[${i}]`);
  }
}

function* namedRule(rule: NamedRuleWithOperations, field: string): Findings {
  const names = rule.resourceNames ?? [];
  for (const [i, name] of names.entries()) {
    yield* invalidEach(`${field}.resourceNames[${i}]`, name, nameIsPathSegment(name, false));
    if (names.indexOf(name) < i) yield duplicate(`${field}.resourceNames[${i}]`, name);
  }
  yield* validateRule(rule, field);
}

/** What is wrong with an expression that there is, by the path of its field. */
export type CompileProblems = ReadonlyMap<string, FieldError>;

export function* validateMatchConditions(
  conditions: readonly MatchCondition[] | undefined,
  field: string,
  problems: CompileProblems,
): Findings {
  const all = conditions ?? [];
  if (all.length > MAX_MATCH_CONDITIONS) yield tooMany(field, all.length, MAX_MATCH_CONDITIONS);
  const seen = new Set<string>();
  for (const [i, { name = '', expression = '' }] of all.entries()) {
    if (!expression.trim()) yield required(`${field}[${i}].expression`);
    else yield* problemOf(problems, `${field}[${i}].expression`);
    if (!name) yield required(`${field}[${i}].name`);
    else {
      yield* qualifiedName(name, `${field}[${i}].name`);
      if (seen.has(name)) yield duplicate(`${field}[${i}].name`, name);
      seen.add(name);
    }
  }
}

export function problemOf(problems: CompileProblems, field: string): Findings {
  const found = problems.get(field);
  return found ? [found] : [];
}

/** In place: what a rule that leaves its scope out means. */
export function defaultRules(rules: readonly RuleWithOperations[] | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= '*';
}

/** In place. */
export function defaultMatchResources(match: MatchResources | undefined): void {
  if (!match) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  defaultRules(match.resourceRules);
  defaultRules(match.excludeResourceRules);
}
