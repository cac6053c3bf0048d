// core/v1 ResourceQuota: what a namespace may use.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import type { ResourceQuota } from '../types/core-v1.ts';
import { IMMUTABLE } from '../validation/checks.ts';
import { validateQuota, validateQuotaStatus } from '../validation/quota.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const resourceQuota = defineKind<ResourceQuota>({
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  resource: 'resourcequotas',
  shortNames: ['quota'],
  namespaced: true,
  schema: 'core.v1.ResourceQuota',
  columns: [NAME_COLUMN, 'Request', 'Limit', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    usage(object, false),
    usage(object, true),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,
  prepareForCreate(object) {
    object.status = {};
  },
  validate: (object) => [...validateQuota(object)],
  validateUpdate(object, old) {
    const found = [...validateQuota(object)];
    const scopes = object.spec?.scopes ?? [];
    const [now, was] = [new Set(scopes), new Set(old.spec?.scopes)];
    if (now.size !== was.size || [...now].some((each) => !was.has(each))) {
      found.push(fieldErrors.invalid('spec.scopes', scopes, IMMUTABLE));
    }
    return found;
  },
  validateStatusUpdate: (object) => [...validateQuotaStatus(object)],
});

/** `pods: 1/10, requests.cpu: 0/2`; what begins with `limits.` has a column of its own. */
function usage({ status }: ResourceQuota, ofLimits: boolean): string {
  const names = Object.keys(status?.hard ?? {}).sort();
  return names
    .filter((name) => name.startsWith('limits.') === ofLimits)
    .map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name]}`)
    .join(', ');
}
