// Admission policies and their bindings (k8s.io/kubernetes/pkg/apis/admissionregistration/validation): their form, and
// whether their expressions compile.
import { compileMutating, compileProblems, compileValidating } from '../cel/policies.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import { isDns1035Label, isDns1123Subdomain, nameIsDnsSubdomain, nameIsPathSegment } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  AuditAnnotation,
  MutatingAdmissionPolicyBindingSpec,
  MutatingAdmissionPolicySpec,
  Mutation,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicyBindingSpec,
  ValidatingAdmissionPolicySpec,
  ValidatingAdmissionPolicyStatus,
  Validation,
  Variable,
} from '../types/admissionregistration-v1.ts';
import {
  type CompileProblems,
  FAILURE_POLICIES,
  problemOf,
  REINVOCATION_POLICIES,
  validateMatchConditions,
  validateMatchResources,
} from './admission-rules.ts';
import { type Findings, invalidEach, oneOf, qualifiedName } from './checks.ts';
import { validateConditions } from './conditions.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

const MAX_AUDIT_ANNOTATIONS = 20;
const MAX_AUDIT_EXPRESSION = 5 * 1024;
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
const ACTIONS = ['Audit', 'Deny', 'Warn'];
const CEL_RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

type AnyPolicySpec = Pick<
  ValidatingAdmissionPolicySpec & MutatingAdmissionPolicySpec,
  'failurePolicy' | 'paramKind' | 'matchConstraints' | 'matchConditions' | 'variables'
>;

/** Conditions that did not change, nor what their parameters are, were accepted once. */
const keepsConditions = (spec: AnyPolicySpec, old: AnyPolicySpec | undefined): boolean =>
  old !== undefined &&
  semanticEqual(spec.paramKind, old.paramKind) &&
  semanticEqual(spec.matchConditions, old.matchConditions);

function* policy(spec: AnyPolicySpec, problems: CompileProblems, old: AnyPolicySpec | undefined): Findings {
  yield* oneOf(spec.failurePolicy, FAILURE_POLICIES, 'spec.failurePolicy');
  if (spec.paramKind) yield* paramKind(spec.paramKind, 'spec.paramKind');
  if (!spec.matchConstraints) yield required('spec.matchConstraints');
  else {
    yield* validateMatchResources(spec.matchConstraints, 'spec.matchConstraints');
    if (!spec.matchConstraints.resourceRules?.length) yield required('spec.matchConstraints.resourceRules');
  }
  if (!keepsConditions(spec, old)) {
    yield* validateMatchConditions(spec.matchConditions, 'spec.matchConditions', problems);
  }
  for (const [i, each] of (spec.variables ?? []).entries()) yield* variable(each, problems, `spec.variables[${i}]`);
}

export function* validateValidatingPolicy(
  spec: ValidatingAdmissionPolicySpec,
  name: string,
  old?: ValidatingAdmissionPolicySpec,
): Findings {
  const problems = compileProblems(Object.values(compileValidating(spec)).flat());
  yield* policy(spec, problems, old);
  const { validations = [], auditAnnotations = [] } = spec;
  if (validations.length === 0 && auditAnnotations.length === 0) {
    const text = 'validations or auditAnnotations must contain at least one item';
    yield required('spec.validations', text);
    yield required('spec.auditAnnotations', text);
    return;
  }
  for (const [i, each] of validations.entries()) yield* validation(each, problems, `spec.validations[${i}]`);
  if (auditAnnotations.length > MAX_AUDIT_ANNOTATIONS) {
    const text = `must not have more than ${MAX_AUDIT_ANNOTATIONS} auditAnnotations`;
    const shown = auditAnnotations.map((each) => goStruct(each, { Key: '', ValueExpression: '' }));
    yield invalid('spec.auditAnnotations', shown, text);
  }
  const seen = new Set<string>();
  for (const [i, each] of auditAnnotations.entries()) {
    yield* auditAnnotation(each, name, problems, `spec.auditAnnotations[${i}]`);
    if (seen.has(each.key)) yield duplicate(`spec.auditAnnotations[${i}].key`, each.key);
    seen.add(each.key);
  }
}

export function* validateMutatingPolicy(
  spec: MutatingAdmissionPolicySpec,
  old?: MutatingAdmissionPolicySpec,
): Findings {
  const problems = compileProblems(Object.values(compileMutating(spec)).flat());
  yield* policy(spec, problems, old);
  if (!spec.mutations?.length) yield required('spec.mutations', 'mutations must contain at least one item');
  for (const [i, each] of (spec.mutations ?? []).entries()) yield* mutation(each, problems, `spec.mutations[${i}]`);
  yield* oneOf(spec.reinvocationPolicy, REINVOCATION_POLICIES, 'spec.reinvocationPolicy');
}

function* paramKind({ apiVersion = '', kind = '' }: ParamKind, field: string): Findings {
  const parts = apiVersion.split('/');
  if (!apiVersion) yield required(`${field}.apiVersion`);
  else if (parts.length > 2) {
    yield invalid(`${field}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`);
  } else {
    const [group, version] = parts.length === 2 ? (parts as [string, string]) : ['', apiVersion];
    if (group) {
      const texts = isDns1123Subdomain(group);
      if (texts.length > 0) yield invalid(`${field}.apiVersion`, group, texts.join(','));
    }
    if (!version) yield invalid(`${field}.apiVersion`, apiVersion, 'version must be specified');
    else {
      const texts = isDns1035Label(version);
      if (texts.length > 0) yield invalid(`${field}.apiVersion`, version, texts.join(','));
    }
  }
  if (!kind) yield required(`${field}.kind`);
  else {
    const texts = isDns1035Label(kind.toLowerCase());
    if (texts.length > 0) {
      yield invalid(`${field}.kind`, kind, `may have mixed case, but should otherwise match: ${texts.join(',')}`);
    }
  }
}

function* variable({ name = '', expression = '' }: Variable, problems: CompileProblems, field: string): Findings {
  if (!name.trim()) yield required(`${field}.name`, 'name is not specified');
  else if (!/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) || CEL_RESERVED.has(name)) {
    yield invalid(`${field}.name`, name, 'name is not a valid CEL identifier');
  }
  if (!expression.trim()) yield required(`${field}.expression`, 'expression is not specified');
  else yield* problemOf(problems, `${field}.expression`);
}

function* validation(each: Validation, problems: CompileProblems, field: string): Findings {
  const { expression = '', message = '', messageExpression = '', reason } = each;
  if (!expression.trim()) yield required(`${field}.expression`, 'expression is not specified');
  else yield* problemOf(problems, `${field}.expression`);
  if (messageExpression && !messageExpression.trim()) {
    yield invalid(`${field}.messageExpression`, messageExpression, 'must be non-empty if specified');
  } else yield* problemOf(problems, `${field}.messageExpression`);
  if (message && !message.trim()) yield invalid(`${field}.message`, message, 'message must be non-empty if specified');
  else if (/[\n\r]/.test(message.trim())) {
    yield invalid(`${field}.message`, message, 'message must not contain line breaks');
  }
  if (reason !== undefined && !REASONS.includes(reason)) yield notSupported(`${field}.reason`, reason, REASONS);
}

function* auditAnnotation(
  { key = '', valueExpression = '' }: AuditAnnotation,
  name: string,
  problems: CompileProblems,
  field: string,
): Findings {
  if (name) yield* qualifiedName(`${name}/${key}`, `${field}.key`);
  else yield invalid(`${field}.key`, key, 'requires metadata.name be non-empty');
  const text = valueExpression.trim();
  if (!text) yield required(`${field}.valueExpression`, 'valueExpression is not specified');
  else if (Buffer.byteLength(text) > MAX_AUDIT_EXPRESSION) {
    yield required(`${field}.valueExpression`, `must not exceed ${MAX_AUDIT_EXPRESSION} bytes in length`);
  } else yield* problemOf(problems, `${field}.valueExpression`);
}

function* mutation(each: Mutation, problems: CompileProblems, field: string): Findings {
  const { patchType, applyConfiguration, jsonPatch } = each;
  switch (patchType) {
    case 'ApplyConfiguration':
      if (jsonPatch) yield forbidden(`${field}.jsonPatch`, 'must be empty when patchType is ApplyConfiguration');
      if (!applyConfiguration)
        yield required(`${field}.applyConfiguration`, 'must be specified when patchType is ApplyConfiguration');
      else if (!applyConfiguration.expression?.trim()) yield required(`${field}.applyConfiguration.expression`);
      else yield* problemOf(problems, `${field}.applyConfiguration.expression`);
      break;
    case 'JSONPatch':
      if (applyConfiguration)
        yield forbidden(`${field}.applyConfiguration`, 'must be empty when patchType is JSONPatch');
      if (!jsonPatch) yield required(`${field}.jsonPatch`, 'must be specified when patchType is JSONPatch');
      else if (!jsonPatch.expression?.trim()) yield required(`${field}.jsonPatch.expression`);
      else yield* problemOf(problems, `${field}.jsonPatch.expression`);
      break;
    default:
      yield* oneOf(patchType, ['ApplyConfiguration', 'JSONPatch'], `${field}.patchType`);
  }
}

type AnyBindingSpec = MutatingAdmissionPolicyBindingSpec;

export function* validatePolicyBinding(spec: AnyBindingSpec): Findings {
  if (!spec.policyName) yield required('spec.policyName');
  else yield* invalidEach('spec.policyName', spec.policyName, nameIsDnsSubdomain(spec.policyName, false));
  if (spec.paramRef) yield* paramRef(spec.paramRef, 'spec.paramRef');
  // The slip in the path is upstream's.
  if (spec.matchResources) yield* validateMatchResources(spec.matchResources, 'spec.matchResouces');
}

export function* validateValidatingBinding(spec: ValidatingAdmissionPolicyBindingSpec): Findings {
  yield* validatePolicyBinding(spec);
  const actions = spec.validationActions ?? [];
  const field = 'spec.validationActions';
  for (const [i, action] of actions.entries()) {
    if (!ACTIONS.includes(action)) yield notSupported(`${field}[${i}]`, action, ACTIONS);
    if (actions.indexOf(action) < i) yield duplicate(`${field}[${i}]`, action);
  }
  if (actions.includes('Deny') && actions.includes('Warn')) {
    yield invalid(
      field,
      actions,
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
    );
  }
  if (actions.length === 0) yield required(field, 'at least one validation action is required');
}

function* paramRef(reference: ParamRef, field: string): Findings {
  const { name = '', selector, parameterNotFoundAction } = reference;
  const exclusive = 'name and selector are mutually exclusive';
  if (name) {
    yield* invalidEach(`${field}.name`, name, nameIsPathSegment(name, false));
    if (selector) yield forbidden(`${field}.name`, exclusive);
  }
  if (selector) {
    yield* validateLabelSelector(selector, `${field}.selector`);
    if (name) yield forbidden(`${field}.selector`, exclusive);
  }
  if (!name && !selector) yield required(field, 'one of name or selector must be specified');
  yield* oneOf(parameterNotFoundAction, ['Deny', 'Allow'], `${field}.parameterNotFoundAction`);
}

export function* validateValidatingPolicyStatus(status: ValidatingAdmissionPolicyStatus): Findings {
  for (const [i, each] of (status.typeChecking?.expressionWarnings ?? []).entries()) {
    const field = `status.typeChecking.expressionWarnings[${i}]`;
    if (!each.warning) yield required(`${field}.warning`);
    if (!each.fieldRef?.trim()) yield required(`${field}.fieldRef`);
  }
  yield* validateConditions(status.conditions, 'status.conditions');
}
