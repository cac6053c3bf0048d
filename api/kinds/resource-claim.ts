// resource.k8s.io/v1 ResourceClaim: devices that pods ask for, and which they got.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { ResourceClaim } from '../types/resource-v1.ts';
import { IMMUTABLE } from '../validation/checks.ts';
import { validateClaimStatus } from '../validation/device-allocation.ts';
import { validateDeviceClaim } from '../validation/device-claims.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { setDeviceClaimDefaults, setTolerationDefaults } from './parts/device-defaults.ts';

export const resourceClaim = defineKind<ResourceClaim>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaim',
  resource: 'resourceclaims',
  namespaced: true,
  schema: 'resource.v1.ResourceClaim',
  columns: [NAME_COLUMN, 'State', 'Age'],
  cells: (object, { nowMs }) => [nameOf(object), stateOf(object), age(object.metadata.creationTimestamp, nowMs)],
  hasStatus: true,
  statusKeepsMetadata: true,

  setDefaults(object) {
    setDeviceClaimDefaults(object.spec?.devices);
    for (const result of object.status?.allocation?.devices?.results ?? []) setTolerationDefaults(result.tolerations);
  },
  prepareForCreate(object) {
    object.status = {};
  },
  validate: ({ spec }) => [...validateDeviceClaim(spec?.devices ?? {}, 'spec.devices')],
  validateUpdate: ({ spec }, old) =>
    semanticEqual(spec, old.spec) ? [] : [fieldErrors.invalid('spec', spec, IMMUTABLE)],
  validateStatusUpdate: (object, old) => [...validateClaimStatus(object, old)],
});

function stateOf({ metadata, status }: ResourceClaim): string {
  const words = metadata.deletionTimestamp ? ['deleted'] : [];
  if (status?.allocation) words.push('allocated', ...(status.reservedFor?.length ? ['reserved'] : []));
  else if (!metadata.deletionTimestamp) words.push('pending');
  return words.join(',');
}
