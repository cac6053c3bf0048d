// admissionregistration.k8s.io/v1 MutatingAdmissionPolicy: expressions that change an object before it is stored.
import { age } from '../duration.ts';
import type { MutatingAdmissionPolicy } from '../types/admissionregistration-v1.ts';
import { validateMutatingPolicy } from '../validation/admission-policies.ts';
import { defaultMatchResources } from '../validation/admission-rules.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { paramKindCell } from './parts/admission-cells.ts';

export const mutatingAdmissionPolicy = defineKind<MutatingAdmissionPolicy>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicy',
  resource: 'mutatingadmissionpolicies',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.MutatingAdmissionPolicy',
  columns: [NAME_COLUMN, 'Mutations:integer', 'ParamKind', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.mutations?.length ?? 0,
    paramKindCell(object.spec?.paramKind),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,

  setDefaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    spec.reinvocationPolicy ||= 'Never';
    defaultMatchResources(spec.matchConstraints);
  },
  validate: ({ spec }) => [...validateMutatingPolicy(spec ?? {})],
  validateUpdate: ({ spec }, old) => [...validateMutatingPolicy(spec ?? {}, old.spec ?? {})],
});
