// The audit policy (audit.k8s.io/v1): which requests are logged, how much of them, at which stages. Compiled once; the first
// rule that matches decides, and what no rule matches is not logged. Pure.
import { parseYamlDocuments } from '../../api/yaml.ts';
import type { Identity } from '../auth/identity.ts';
import type { RequestFacts } from '../flowcontrol/match.ts';

export const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export type Level = (typeof LEVELS)[number];
export const STAGES = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type Stage = (typeof STAGES)[number];

export interface Verdict {
  level: Level;
  omitStages: ReadonlySet<Stage>;
  omitManagedFields: boolean;
}

export interface Policy {
  /** `user` is who authenticated, before any impersonation; undefined when nobody did. */
  evaluate(user: Identity | undefined, request: RequestFacts & { name: string }): Verdict;
}

const NONE: Verdict = { level: 'None', omitStages: new Set(), omitManagedFields: false };

/** Throws an Error that names the field. */
export function parsePolicy(text: string): Policy {
  const documents = parseYamlDocuments(text);
  if (documents.length !== 1) throw new Error('expected one audit policy');
  const root = record(documents[0]?.value, '', [
    'apiVersion',
    'kind',
    'metadata',
    'rules',
    'omitStages',
    'omitManagedFields',
  ]);
  if (root['kind'] !== 'Policy' || root['apiVersion'] !== 'audit.k8s.io/v1') {
    throw new Error('expected kind Policy of audit.k8s.io/v1');
  }
  const everywhere = { omitStages: stages(root, ''), omitManagedFields: flag(root, 'omitManagedFields', '') ?? false };
  const list = root['rules'];
  if (!Array.isArray(list) || list.length === 0) throw new Error('rules: must have at least one rule');
  const rules = list.map((each, i) => compileRule(each, `rules[${i}].`, everywhere));
  return {
    evaluate(user, request) {
      for (const rule of rules) if (rule.matches(user, request)) return rule.verdict;
      return NONE;
    },
  };
}

type Matches = (user: Identity | undefined, request: RequestFacts & { name: string }) => boolean;

function compileRule(
  value: unknown,
  path: string,
  everywhere: { omitStages: Stage[]; omitManagedFields: boolean },
): { verdict: Verdict; matches: Matches } {
  const rule = record(value, path, [
    'level',
    'users',
    'userGroups',
    'verbs',
    'resources',
    'namespaces',
    'nonResourceURLs',
    'omitStages',
    'omitManagedFields',
  ]);
  const level = rule['level'] as Level;
  if (!LEVELS.includes(level)) {
    throw new Error(
      `${path}level: Unsupported value: ${JSON.stringify(level)}: supported values: ${LEVELS.join(', ')}`,
    );
  }
  const users = strings(rule, 'users', path);
  const groups = strings(rule, 'userGroups', path);
  const verbs = strings(rule, 'verbs', path);
  const namespaces = strings(rule, 'namespaces', path);
  const urls = strings(rule, 'nonResourceURLs', path);
  const resources = resourcesOf(rule['resources'], path);
  if (urls.length > 0 && (resources.length > 0 || namespaces.length > 0)) {
    throw new Error(`${path}nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs`);
  }
  for (const url of urls) {
    if (url !== '*' && (!url.startsWith('/') || url.slice(0, -1).includes('*'))) {
      throw new Error(`${path}nonResourceURLs: ${JSON.stringify(url)} must be a path, with "*" only at its end`);
    }
  }
  return {
    verdict: {
      level,
      omitStages: new Set([...everywhere.omitStages, ...stages(rule, path)]),
      omitManagedFields: flag(rule, 'omitManagedFields', path) ?? everywhere.omitManagedFields,
    },
    matches(user, request) {
      if (users.length > 0 && (!user || !users.includes(user.name))) return false;
      if (groups.length > 0 && !user?.groups.some((each) => groups.includes(each))) return false;
      if (verbs.length > 0 && !verbs.includes(request.verb)) return false;
      if (resources.length > 0 || namespaces.length > 0) {
        if (!request.isResource) return false;
        if (namespaces.length > 0 && !namespaces.includes(request.namespace)) return false;
        return resources.length === 0 || resources.some((each) => each(request));
      }
      if (urls.length === 0) return true;
      if (request.isResource) return false;
      return urls.some((url) => (url.endsWith('*') ? request.path.startsWith(url.slice(0, -1)) : url === request.path));
    },
  };
}

function resourcesOf(value: unknown, path: string): ((request: RequestFacts & { name: string }) => boolean)[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`${path}resources: must be a list`);
  return value.map((each, i) => {
    const at = `${path}resources[${i}].`;
    const fields = record(each, at, ['group', 'resources', 'resourceNames']);
    const group = fields['group'] ?? '';
    if (typeof group !== 'string' || group.startsWith('/') || group.includes('/')) {
      throw new Error(`${at}group: must be the name of a group, without a version`);
    }
    const resources = strings(fields, 'resources', at);
    const names = strings(fields, 'resourceNames', at);
    if (names.length > 0 && resources.length === 0) {
      throw new Error(`${at}resourceNames: using resourceNames requires at least one resource`);
    }
    return (request) => {
      if (group !== request.group) return false;
      if (names.length > 0 && !names.includes(request.name)) return false;
      if (resources.length === 0) return true;
      const { resource, subresource } = request;
      const full = subresource === '' ? resource : `${resource}/${subresource}`;
      return resources.some(
        (wanted) =>
          wanted === '*' ||
          wanted === full ||
          (subresource !== '' && wanted === `*/${subresource}`) ||
          wanted === `${resource}/*`,
      );
    };
  });
}

function stages(fields: Record<string, unknown>, path: string): Stage[] {
  const found = strings(fields, 'omitStages', path);
  for (const each of found) {
    if (!STAGES.includes(each as Stage)) {
      throw new Error(
        `${path}omitStages: Unsupported value: ${JSON.stringify(each)}: supported values: ${STAGES.join(', ')}`,
      );
    }
  }
  return found as Stage[];
}

function flag(fields: Record<string, unknown>, name: string, path: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'boolean') throw new Error(`${path}${name}: must be true or false`);
  return value;
}

function strings(fields: Record<string, unknown>, name: string, path: string): string[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string')) {
    throw new Error(`${path}${name}: must be a list of strings`);
  }
  return value as string[];
}

function record(value: unknown, path: string, allowed: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path || 'the policy'}: must be an object`);
  const unknown = Object.keys(value).find((each) => !allowed.includes(each));
  if (unknown !== undefined) throw new Error(`unknown field "${path}${unknown}"`);
  return value as Record<string, unknown>;
}
