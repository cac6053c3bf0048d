// admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy: expressions that an object must satisfy to be stored.
import { age } from '../duration.ts';
import type { ValidatingAdmissionPolicy } from '../types/admissionregistration-v1.ts';
import { validateValidatingPolicy, validateValidatingPolicyStatus } from '../validation/admission-policies.ts';
import { defaultMatchResources } from '../validation/admission-rules.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { paramKindCell } from './parts/admission-cells.ts';

export const validatingAdmissionPolicy = defineKind<ValidatingAdmissionPolicy>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  resource: 'validatingadmissionpolicies',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.ValidatingAdmissionPolicy',
  columns: [NAME_COLUMN, 'Validations:integer', 'ParamKind', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.validations?.length ?? 0,
    paramKindCell(object.spec?.paramKind),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,
  statusKeepsMetadata: true,
  hasGeneration: true,

  setDefaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    defaultMatchResources(spec.matchConstraints);
  },
  prepareForCreate(object) {
    object.status = {};
  },
  validate: ({ spec, metadata }) => [...validateValidatingPolicy(spec ?? {}, metadata.name ?? '')],
  validateUpdate: ({ spec, metadata }, old) => [
    ...validateValidatingPolicy(spec ?? {}, metadata.name ?? '', old.spec ?? {}),
  ],
  validateStatusUpdate: ({ status }) => [...validateValidatingPolicyStatus(status ?? {})],
});
