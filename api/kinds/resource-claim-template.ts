// resource.k8s.io/v1 ResourceClaimTemplate: what the claims look like that pods get for themselves.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { validateAnnotations } from '../metadata.ts';
import { validateLabels } from '../selectors.ts';
import type { ResourceClaimTemplate } from '../types/resource-v1.ts';
import { IMMUTABLE } from '../validation/checks.ts';
import { validateDeviceClaim } from '../validation/device-claims.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { setDeviceClaimDefaults } from './parts/device-defaults.ts';

export const resourceClaimTemplate = defineKind<ResourceClaimTemplate>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaimTemplate',
  resource: 'resourceclaimtemplates',
  namespaced: true,
  schema: 'resource.v1.ResourceClaimTemplate',
  columns: [NAME_COLUMN, 'Age'],
  cells: (object, { nowMs }) => [nameOf(object), age(object.metadata.creationTimestamp, nowMs)],
  setDefaults: (object) => setDeviceClaimDefaults(object.spec?.spec?.devices),
  validate: ({ spec }) => [
    ...validateAnnotations(spec?.metadata?.annotations, 'spec.metadata.annotations'),
    ...validateLabels(spec?.metadata?.labels, 'spec.metadata.labels'),
    ...validateDeviceClaim(spec?.spec?.devices ?? {}, 'spec.spec.devices'),
  ],
  validateUpdate: ({ spec }, old) =>
    semanticEqual(spec, old.spec) ? [] : [fieldErrors.invalid('spec', spec, IMMUTABLE)],
});
