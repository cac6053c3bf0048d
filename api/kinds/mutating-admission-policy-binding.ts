// admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding: where a policy applies, and with which parameters.
import { age } from '../duration.ts';
import type { MutatingAdmissionPolicyBinding } from '../types/admissionregistration-v1.ts';
import { validatePolicyBinding } from '../validation/admission-policies.ts';
import { defaultMatchResources } from '../validation/admission-rules.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { paramRefCell } from './parts/admission-cells.ts';

export const mutatingAdmissionPolicyBinding = defineKind<MutatingAdmissionPolicyBinding>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicyBinding',
  resource: 'mutatingadmissionpolicybindings',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.MutatingAdmissionPolicyBinding',
  columns: [NAME_COLUMN, 'PolicyName', 'ParamRef', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.policyName ?? '',
    paramRefCell(object.spec?.paramRef),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,
  setDefaults: ({ spec }) => defaultMatchResources(spec?.matchResources),
  validate: ({ spec }) => [...validatePolicyBinding(spec ?? {})],
});
