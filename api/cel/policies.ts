// The expressions of admission policies, compiled: each with the path of its field, so that what does not compile can be
// shown where it was written. Later variables see earlier ones, other expressions see all.
import { type FieldError, fieldErrors } from '../field-error.ts';
import type {
  MatchCondition,
  MutatingAdmissionPolicySpec,
  ValidatingAdmissionPolicySpec,
  Variable,
} from '../types/admissionregistration-v1.ts';
import { admissionEnvironment, applyType, jsonPatchType } from './admission.ts';
import { compile } from './compile.ts';
import type { Environment, Program } from './port.ts';
import { type CelType, types } from './types.ts';

export interface PolicyExpression {
  /** `spec.validations[0].expression` */
  field: string;
  expression: string;
  program?: Program;
  /** Why there is no program: `compilation failed: ERROR: …`. */
  problem?: string;
}

export interface NamedExpression extends PolicyExpression {
  name: string;
}

export interface ValidatingExpressions {
  matchConditions: NamedExpression[];
  variables: NamedExpression[];
  validations: PolicyExpression[];
  /** At the place of their validation; undefined where it has none. */
  messages: (PolicyExpression | undefined)[];
  /** `name` is the annotation's key. */
  auditAnnotations: NamedExpression[];
}

export interface MutatingExpressions {
  matchConditions: NamedExpression[];
  variables: NamedExpression[];
  mutations: PolicyExpression[];
}

/** `typed` gives `object`, `oldObject` and `params` types, to find mistakes that otherwise only evaluation would find. */
export type TypedVariables = { object: CelType; params?: CelType | undefined };

export function compileValidating(spec: ValidatingAdmissionPolicySpec, typed?: TypedVariables): ValidatingExpressions {
  const hasParams = spec.paramKind !== undefined;
  const full = admissionEnvironment({ hasParams, hasAuthorizer: true }, typed);
  const { variables, extend } = compileVariables(spec.variables, full);
  const environment = extend(full);
  const ofMessages = extend(admissionEnvironment({ hasParams }, typed));
  return {
    matchConditions: compileMatchConditions(spec.matchConditions, full, 'spec.matchConditions'),
    variables,
    validations: (spec.validations ?? []).map(({ expression }, at) =>
      compiled(environment, expression, `spec.validations[${at}].expression`, [types.bool]),
    ),
    messages: (spec.validations ?? []).map(({ messageExpression }, at) =>
      messageExpression
        ? compiled(ofMessages, messageExpression, `spec.validations[${at}].messageExpression`, [types.string])
        : undefined,
    ),
    auditAnnotations: (spec.auditAnnotations ?? []).map(({ key, valueExpression }, at) => ({
      ...compiled(environment, valueExpression, `spec.auditAnnotations[${at}].valueExpression`, [
        types.string,
        types.null,
      ]),
      name: key,
    })),
  };
}

export function compileMutating(spec: MutatingAdmissionPolicySpec): MutatingExpressions {
  const hasParams = spec.paramKind !== undefined;
  const full = admissionEnvironment({ hasParams, hasAuthorizer: true });
  const { variables, extend } = compileVariables(spec.variables, full);
  const environment = extend(admissionEnvironment({ hasParams, hasAuthorizer: true, hasPatchTypes: true }));
  return {
    matchConditions: compileMatchConditions(spec.matchConditions, full, 'spec.matchConditions'),
    variables,
    mutations: (spec.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch }, at) =>
      patchType === 'JSONPatch'
        ? compiled(environment, jsonPatch?.expression ?? '', `spec.mutations[${at}].jsonPatch.expression`, [
            types.list(jsonPatchType),
          ])
        : compiled(
            environment,
            applyConfiguration?.expression ?? '',
            `spec.mutations[${at}].applyConfiguration.expression`,
            [applyType],
          ),
    ),
  };
}

export function compileMatchConditions(
  conditions: readonly MatchCondition[] | undefined,
  environment: Environment,
  field: string,
): NamedExpression[] {
  return (conditions ?? []).map(({ name, expression }, at) => ({
    ...compiled(environment, expression, `${field}[${at}].expression`, [types.bool]),
    name,
  }));
}

/** The match conditions of a webhook. */
export const compileWebhookConditions = (
  conditions: readonly MatchCondition[] | undefined,
  field: string,
): NamedExpression[] => compileMatchConditions(conditions, admissionEnvironment({ hasAuthorizer: true }), field);

/** What does not compile, as the API server refuses it, by field. Expressions that are empty are refused elsewhere. */
export function compileProblems(expressions: Iterable<PolicyExpression | undefined>): Map<string, FieldError> {
  const found = new Map<string, FieldError>();
  for (const each of expressions) {
    if (each?.problem === undefined || !each.expression.trim()) continue;
    found.set(each.field, fieldErrors.invalid(each.field, each.expression, each.problem));
  }
  return found;
}

function compileVariables(variables: readonly Variable[] | undefined, environment: Environment) {
  const fields = new Map<string, { type: CelType }>();
  const type: CelType = { kind: 'object', name: 'kubernetes.variables', fields };
  const extend = (of: Environment) => of.extend({ variables: type });
  const composed = extend(environment);
  const found: NamedExpression[] = [];
  for (const [at, { name, expression }] of (variables ?? []).entries()) {
    const each = compiled(composed, expression, `spec.variables[${at}].expression`);
    found.push({ ...each, name });
    fields.set(name, { type: each.program?.outputType ?? types.dyn });
  }
  return { variables: found, extend };
}

function compiled(
  environment: Environment,
  expression: string,
  field: string,
  expects?: readonly CelType[],
): PolicyExpression {
  const result = compile(environment, expression, expects ? { expects } : {});
  if (result.ok) return { field, expression, program: result.program };
  const problem = result.phase === 'result' ? result.issues : `compilation failed: ${result.issues}`;
  return { field, expression, problem };
}
