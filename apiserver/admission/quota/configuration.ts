// What an AdmissionConfiguration says of ResourceQuota: what is consumed only where a quota covers it. Pure.
import type { LimitedResource } from '../../../api/quota/limited.ts';
import type { ScopedResourceSelectorRequirement } from '../../../api/types/core-v1.ts';
import { configurationOf, list, oneOf, record, strings } from '../configuration-fields.ts';

const TYPES = [
  ['apiserver.config.k8s.io/v1', 'ResourceQuotaConfiguration'],
  ['resourcequota.admission.k8s.io/v1beta1', 'Configuration'],
  ['resourcequota.admission.k8s.io/v1alpha1', 'Configuration'],
] as const;
const SCOPES = [
  'Terminating',
  'NotTerminating',
  'BestEffort',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
  'VolumeAttributesClass',
] as const;
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** Throws with the field that is wrong. */
export function parseResourceQuota(value: unknown, at: string): LimitedResource[] {
  const fields = configurationOf(value, at, TYPES, ['limitedResources']);
  return list(fields, 'limitedResources', at).map((each, i) => {
    const here = `${at}.limitedResources[${i}]`;
    const limited = record(each, here, ['apiGroup', 'resource', 'matchContains', 'matchScopes']);
    const { apiGroup = '', resource } = limited;
    if (typeof apiGroup !== 'string') throw new Error(`${here}.apiGroup: must be a string`);
    if (typeof resource !== 'string' || resource === '') throw new Error(`${here}.resource: Required value`);
    return {
      group: apiGroup,
      resource,
      matchContains: strings(limited, 'matchContains', here),
      matchScopes: list(limited, 'matchScopes', here).map((scope, j) => parseScope(scope, `${here}.matchScopes[${j}]`)),
    };
  });
}

function parseScope(value: unknown, at: string): ScopedResourceSelectorRequirement {
  const fields = record(value, at, ['scopeName', 'operator', 'values']);
  const values = strings(fields, 'values', at);
  const scopeName = oneOf(fields, 'scopeName', at, SCOPES);
  return { scopeName, operator: oneOf(fields, 'operator', at, OPERATORS), ...(values.length > 0 && { values }) };
}
