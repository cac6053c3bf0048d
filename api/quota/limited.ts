// What a cluster's administrator limits by default: it is consumed only where a quota of the namespace covers it
// (ResourceQuotaConfiguration of apiserver.config.k8s.io). Pure; the words are upstream's.
import type { KubeObject } from '../object.ts';
import type { ScopedResourceSelectorRequirement } from '../types/core-v1.ts';
import type { Amounts } from './amounts.ts';
import type { Quota } from './charge.ts';
import { type Evaluator, scopesOf } from './evaluators.ts';

export interface LimitedResource {
  group: string;
  /** Plural. */
  resource: string;
  /** Parts of the names of quota resources: `requests.cpu`, `.storageclass.storage.k8s.io/`. */
  matchContains: readonly string[];
  matchScopes: readonly ScopedResourceSelectorRequirement[];
}

/** Why the object may not be: what of it no quota covers; '' when everything is covered. `concerned`: quotas that match it. */
export function uncovered(
  limited: readonly LimitedResource[],
  of: {
    quotas: readonly Quota[];
    concerned: readonly Quota[];
    evaluator: Evaluator;
    object: KubeObject;
    usage: Amounts;
  },
): string {
  const { quotas, concerned, evaluator, object, usage } = of;
  const parts = limited.flatMap((each) => each.matchContains);
  const covered = new Set(concerned.flatMap((quota) => Object.keys(quota.status?.hard ?? {})));
  const names = [...usage]
    .filter(([name, { nanos }]) => nanos > 0n && parts.some((part) => name.includes(part)) && !covered.has(name))
    .map(([name]) => name);
  if (names.length > 0) return `insufficient quota to consume: ${names.sort().join(',')}`;
  const meant = (scopes: readonly ScopedResourceSelectorRequirement[]) =>
    scopes.filter((each) => evaluator.inScope(each, object));
  const known = new Set(quotas.flatMap((quota) => meant(scopesOf(quota))).map((each) => each.scopeName));
  const scopes = meant(limited.flatMap((each) => each.matchScopes)).filter((each) => !known.has(each.scopeName));
  if (scopes.length === 0) return '';
  const shown = scopes.map(
    ({ scopeName, operator, values = [] }) => `{${scopeName} ${operator} [${values.join(' ')}]}`,
  );
  return `insufficient quota to match these scopes: [${shown.join(' ')}]`;
}
