// Which requests the rules and selectors of webhooks and policies mean. Pure; the words are those of
// admissionregistration.k8s.io/v1.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Selector } from '../../api/selectors.ts';
import type { NamedRuleWithOperations } from '../../api/types/admissionregistration-v1.ts';
import type { AdmissionRequest } from './chain.ts';

/** A request as rules see it; the group, version and resource of the path, or of an equivalent of it. */
export interface RuleTarget {
  operation: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  namespaced: boolean;
  name: string;
}

/** RuleWithOperations, with the resource names that policies may add. */
export type Rule = NamedRuleWithOperations;

export function ruleTarget(request: AdmissionRequest, kind: Kind = request.kind): RuleTarget {
  return {
    operation: request.operation,
    group: kind.group,
    version: kind.version,
    resource: kind.resource,
    subresource: request.subresource,
    namespaced: kind.namespaced,
    name: request.name,
  };
}

export function matchesRule(rule: Rule, target: RuleTarget): boolean {
  return (
    scopeMatches(rule.scope, target.namespaced) &&
    listMatches(rule.operations, target.operation) &&
    listMatches(rule.apiGroups, target.group) &&
    listMatches(rule.apiVersions, target.version) &&
    (rule.resources ?? []).some((each) => resourceMatches(each, target)) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(target.name))
  );
}

export const matchesAnyRule = (rules: readonly Rule[] | undefined, target: RuleTarget): boolean =>
  (rules ?? []).some((each) => matchesRule(each, target));

const listMatches = (list: readonly string[] | undefined, value: string): boolean =>
  (list ?? []).some((each) => each === '*' || each === value);

function scopeMatches(scope: string | undefined, namespaced: boolean): boolean {
  if (scope === undefined || scope === '' || scope === '*') return true;
  return scope === (namespaced ? 'Namespaced' : 'Cluster');
}

// `pods`, `pods/status`, `pods/*` (with the pods themselves), `*` (no subresources), `*/scale`, `*/*`.
function resourceMatches(pattern: string, { resource, subresource }: RuleTarget): boolean {
  const slash = pattern.indexOf('/');
  const main = slash < 0 ? pattern : pattern.slice(0, slash);
  const sub = slash < 0 ? '' : pattern.slice(slash + 1);
  return (main === '*' || main === resource) && (sub === '*' || sub === subresource);
}

/** The first of the kind itself and its equivalents (other versions of the same resource) that the rules mean. */
export function matchedKind(
  rules: readonly Rule[] | undefined,
  matchPolicy: string | undefined,
  request: AdmissionRequest,
  equivalents: (kind: Kind) => readonly Kind[],
): Kind | undefined {
  if (matchesAnyRule(rules, ruleTarget(request))) return request.kind;
  if (matchPolicy === 'Exact') return undefined;
  return equivalents(request.kind).find(
    (each) => each !== request.kind && matchesAnyRule(rules, ruleTarget(request, each)),
  );
}

/** An object selector means a request when it selects what is there or what was there. */
export function objectSelected(selector: Selector, request: AdmissionRequest): boolean {
  const selects = (object: KubeObject | undefined) =>
    object?.metadata !== undefined && selector.matches(object.metadata.labels ?? {});
  return selects(request.object) || selects(request.old);
}

/** Whose labels a namespace selector looks at: none of cluster-scoped objects, which all selectors select. */
export function namespaceOfRequest(request: AdmissionRequest): string | undefined {
  if (isNamespaceObject(request)) return request.name;
  return request.kind.namespaced ? request.namespace : undefined;
}

/** A namespace that is being written is selected by the labels that it will have. */
export function writtenNamespace(request: AdmissionRequest): KubeObject | undefined {
  const isWritten = request.operation === 'CREATE' || request.operation === 'UPDATE';
  return isWritten && isNamespaceObject(request) && request.subresource === '' ? request.object : undefined;
}

const isNamespaceObject = ({ kind }: AdmissionRequest) => kind.group === '' && kind.resource === 'namespaces';

const CONFIGURATIONS = new Set([
  'validatingwebhookconfigurations',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
]);

/** What configures admission is not itself subject to webhooks and policies: a mistake can always be taken back. */
export const isExemptFromWebhooks = (kind: { group: string; resource: string }): boolean =>
  kind.group === 'admissionregistration.k8s.io' && CONFIGURATIONS.has(kind.resource);
