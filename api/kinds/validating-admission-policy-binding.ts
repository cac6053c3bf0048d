// admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding: where a policy applies, and with which parameters.
import { age } from '../duration.ts';
import type { ValidatingAdmissionPolicyBinding } from '../types/admissionregistration-v1.ts';
import { validateValidatingBinding } from '../validation/admission-policies.ts';
import { defaultMatchResources } from '../validation/admission-rules.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { paramRefCell } from './parts/admission-cells.ts';

export const validatingAdmissionPolicyBinding = defineKind<ValidatingAdmissionPolicyBinding>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  resource: 'validatingadmissionpolicybindings',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.ValidatingAdmissionPolicyBinding',
  columns: [NAME_COLUMN, 'PolicyName', 'ParamRef', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.policyName ?? '',
    paramRefCell(object.spec?.paramRef),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,
  setDefaults: ({ spec }) => defaultMatchResources(spec?.matchResources),
  validate: ({ spec }) => [...validateValidatingBinding(spec ?? { policyName: '', validationActions: [] })],
});
