// Which FlowSchema a request belongs to: the schemas compiled once per change into closures in the order of precedence. Pure.
import type { FlowSchema, PolicyRulesWithSubjects } from '../../api/types/flowcontrol-v1.ts';
import { type Identity, parseServiceAccountUser } from '../auth/identity.ts';

/** What is matched; `RequestInfo` is one. */
export interface RequestFacts {
  isResource: boolean;
  verb: string;
  group: string;
  resource: string;
  subresource: string;
  namespace: string;
  path: string;
}

export interface CompiledSchema {
  name: string;
  uid: string;
  level: string;
  matches(user: Identity, request: RequestFacts): boolean;
  /** What tells the flows of this schema apart. */
  distinguisher(user: Identity, request: RequestFacts): string;
}

/** Lower precedence first, then by name. */
export function compileSchemas(schemas: readonly FlowSchema[]): CompiledSchema[] {
  return [...schemas]
    .sort(
      (a, b) =>
        (a.spec?.matchingPrecedence ?? 0) - (b.spec?.matchingPrecedence ?? 0) ||
        ((a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1),
    )
    .map(compile);
}

function compile(schema: FlowSchema): CompiledSchema {
  const rules = (schema.spec?.rules ?? []).map(compileRule);
  const by = schema.spec?.distinguisherMethod?.type;
  return {
    name: schema.metadata?.name ?? '',
    uid: schema.metadata?.uid ?? '',
    level: schema.spec?.priorityLevelConfiguration?.name ?? '',
    matches(user, request) {
      for (const rule of rules) if (rule(user, request)) return true;
      return false;
    },
    distinguisher:
      by === 'ByUser' ? (user) => user.name : by === 'ByNamespace' ? (_, request) => request.namespace : () => '',
  };
}

type Rule = (user: Identity, request: RequestFacts) => boolean;

function compileRule(rule: PolicyRulesWithSubjects): Rule {
  const isSubject = compileSubjects(rule);
  const resources = (rule.resourceRules ?? []).map((each) => {
    const verbs = oneOf(each.verbs);
    const groups = oneOf(each.apiGroups);
    const names = oneOf(each.resources);
    const namespaces = oneOf(each.namespaces);
    const inCluster = each.clusterScope === true;
    return (request: RequestFacts) =>
      verbs(request.verb) &&
      (request.namespace === '' ? inCluster : namespaces(request.namespace)) &&
      groups(request.group) &&
      names(request.subresource === '' ? request.resource : `${request.resource}/${request.subresource}`);
  });
  const paths = (rule.nonResourceRules ?? []).map((each) => {
    const verbs = oneOf(each.verbs);
    const urls = each.nonResourceURLs ?? [];
    const path = oneOf(urls);
    const prefixes = urls.filter((url) => url.endsWith('/*')).map((url) => url.slice(0, -1));
    return (request: RequestFacts) =>
      verbs(request.verb) && (path(request.path) || prefixes.some((prefix) => request.path.startsWith(prefix)));
  });
  return (user, request) => {
    const all = request.isResource ? resources : paths;
    for (const each of all) if (each(request)) return isSubject(user);
    return false;
  };
}

function compileSubjects(rule: PolicyRulesWithSubjects): (user: Identity) => boolean {
  const users = new Set<string>();
  const groups = new Set<string>();
  /** Namespaces all of whose service accounts are meant. */
  const namespaces = new Set<string>();
  let everyone = false;
  for (const subject of rule.subjects ?? []) {
    const name = subject.user?.name ?? subject.group?.name ?? subject.serviceAccount?.name ?? '';
    if (subject.kind === 'ServiceAccount') {
      const namespace = subject.serviceAccount?.namespace ?? '';
      if (name === '*') namespaces.add(namespace);
      else users.add(`system:serviceaccount:${namespace}:${name}`);
    } else if (name === '*') everyone = true;
    else (subject.kind === 'User' ? users : groups).add(name);
  }
  return (user) => {
    if (everyone || users.has(user.name)) return true;
    if (groups.size > 0) for (const each of user.groups) if (groups.has(each)) return true;
    if (namespaces.size === 0) return false;
    const account = parseServiceAccountUser(user.name);
    return account !== undefined && namespaces.has(account.namespace);
  };
}

function oneOf(values: readonly string[] | undefined): (value: string) => boolean {
  const list = values ?? [];
  if (list.includes('*')) return () => true;
  const set = new Set(list);
  return (value) => set.has(value);
}
