// Evaluates the expressions of a policy for one request, within its budget. Variables are evaluated when they are first
// asked for, once.
import { authorizerValue, resourceCheckValue } from '../../../api/cel/library/authorizer.ts';
import type { NamedExpression, PolicyExpression } from '../../../api/cel/policies.ts';
import { CelError, type CelValue, LazyStruct } from '../../../api/cel/values.ts';
import type { Kind } from '../../../api/kind.ts';
import { apiVersionOf, type GroupVersionKind, type KubeObject } from '../../../api/object.ts';
import { gvkOf, gvrOf } from '../../../api/scheme.ts';
import type { AdmissionRequest } from '../chain.ts';
import type { Decisions } from './decisions.ts';

/** Cost that the evaluation of one policy for one request may have, and of its match conditions. */
export const POLICY_BUDGET = 10_000_000;
export const MATCH_CONDITIONS_BUDGET = 2_500_000;

export class OutOfBudget extends Error {
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run');
  }
}

export interface EvaluationInput {
  request: AdmissionRequest;
  /** In which the policy wants the objects. */
  kind: Kind;
  object: KubeObject | undefined;
  old: KubeObject | undefined;
  namespace: KubeObject | undefined;
  /** Undefined: the policy has none; null: the binding gives none. */
  params?: KubeObject | null | undefined;
  decisions: Decisions;
}

export type Outcome = { value: CelValue } | { error: string };

export class Evaluation {
  readonly #bindings: Record<string, unknown>;
  #remaining: number;

  constructor(input: EvaluationInput, variables: readonly NamedExpression[], budget: number) {
    const { request, kind, decisions } = input;
    this.#remaining = budget;
    this.#bindings = {
      object: shown(input.object, request.objectKind ?? gvkOf(kind)),
      oldObject: shown(input.old, request.objectKind ?? gvkOf(kind)),
      request: requestValue(request, kind),
      namespaceObject: input.namespace ?? null,
      ...(input.params !== undefined && { params: input.params }),
      authorizer: authorizerValue(decisions.authorize),
      'authorizer.requestResource': resourceCheckValue(decisions.authorize, {
        group: request.kind.group,
        resource: request.kind.resource,
        subresource: request.subresource,
        namespace: request.kind.namespaced ? request.namespace : '',
        name: request.name,
      }),
      variables: this.#variables(variables),
    };
  }

  /** Throws OutOfBudget. */
  run(expression: PolicyExpression): Outcome {
    if (!expression.program) return { error: `compilation error: ${expression.problem}` };
    const result = expression.program.evaluate(this.#bindings);
    this.#charge(result.cost);
    if (result.ok) return { value: result.value };
    return { error: `expression '${expression.expression}' resulted in error: ${result.error}` };
  }

  #charge(cost: number): void {
    this.#remaining -= cost;
    if (this.#remaining < 0) throw new OutOfBudget();
  }

  #variables(variables: readonly NamedExpression[]): CelValue {
    const byName = new Map(variables.map((each) => [each.name, each]));
    return new LazyStruct('kubernetes.variables', (name) => {
      const variable = byName.get(name);
      if (!variable) return undefined;
      const quoted = JSON.stringify(name);
      if (!variable.program) return new CelError(`composited variable ${quoted} fails to compile: ${variable.problem}`);
      const result = variable.program.evaluate(this.#bindings);
      this.#charge(result.cost);
      return result.ok
        ? result.value
        : new CelError(`composited variable ${quoted} fails to evaluate: ${result.error}`);
    });
  }
}

/** As expressions see an object: with its kind, and null where there is none. */
function shown(object: KubeObject | undefined, as: GroupVersionKind): object | null {
  if (!object) return null;
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = object;
  return { apiVersion: apiVersionOf(as), kind: as.kind, ...rest };
}

function requestValue(request: AdmissionRequest, kind: Kind): object {
  const { subresource, name, namespace, user } = request;
  const requestKind = request.objectKind ?? gvkOf(request.kind);
  return {
    kind: request.objectKind ?? gvkOf(kind),
    resource: gvrOf(kind),
    ...(subresource && { subResource: subresource, requestSubResource: subresource }),
    requestKind,
    requestResource: gvrOf(request.kind),
    name,
    ...(namespace && { namespace }),
    operation: request.operation,
    userInfo: {
      username: user.name,
      ...(user.uid && { uid: user.uid }),
      groups: user.groups,
      ...(user.extra && { extra: user.extra }),
    },
    dryRun: request.dryRun,
    ...(request.options && { options: request.options() }),
  };
}

/** False when one of them says no; an error when none does and one cannot be told. */
export function matchConditionsHold(
  conditions: readonly NamedExpression[],
  input: EvaluationInput,
): { matches: boolean; error?: string } {
  if (conditions.length === 0) return { matches: true };
  const evaluation = new Evaluation(input, [], MATCH_CONDITIONS_BUDGET);
  const problems: string[] = [];
  try {
    for (const condition of conditions) {
      const outcome = evaluation.run(condition);
      if ('error' in outcome) problems.push(outcome.error);
      else if (outcome.value !== true) return { matches: false };
    }
  } catch (error) {
    if (!(error instanceof OutOfBudget)) throw error;
    problems.push(error.message);
  }
  if (problems.length === 0) return { matches: true };
  return { matches: false, error: problems.length === 1 ? (problems[0] as string) : `[${problems.join(', ')}]` };
}
