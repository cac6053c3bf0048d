// ValidatingAdmissionPolicy: evaluates the validations of every policy and binding that means a request, and denies,
// warns or annotates as the bindings say (k8s.io/apiserver/pkg/admission/plugin/policy/validating).
import type { NamedExpression, ValidatingExpressions } from '../../../api/cel/policies.ts';
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type {
  ValidatingAdmissionPolicyBindingSpec,
  ValidatingAdmissionPolicySpec,
} from '../../../api/types/admissionregistration-v1.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../chain.ts';
import type { PolicyErrorType, WebhookMetrics } from '../webhook-metrics.ts';
import { Decisions } from './decisions.ts';
import { type PolicyContext, policyObjects } from './context.ts';
import { Evaluation, type EvaluationInput, matchConditionsHold, OutOfBudget, POLICY_BUDGET } from './evaluate.ts';
import { collectParams, ParamError } from './params.ts';
import type { BoundPolicy, PolicyIndex } from './policy-index.ts';

type Spec = ValidatingAdmissionPolicySpec;
type Ref = ValidatingAdmissionPolicyBindingSpec;
type Hook = BoundPolicy<Spec, Ref, ValidatingExpressions>;
export type ValidatingIndex = PolicyIndex<Spec, Ref, ValidatingExpressions>;

interface Failure {
  message: string;
  reason: string;
  /** Of the validation. */
  index: number;
  errorType: PolicyErrorType;
  seconds: number;
}
interface Denial {
  policy: string;
  binding: string | undefined;
  message: string;
  reason: string;
}

/** What the metrics call the actions. */
const TAKEN: Record<string, 'deny' | 'audit' | 'warn'> = { Deny: 'deny', Audit: 'audit', Warn: 'warn' };
const MAX_MESSAGE_BYTES = 5 * 1024;
const MAX_ANNOTATION_BYTES = 10 * 1024;
const CODES: Record<string, number> = { Forbidden: 403, Unauthorized: 401, RequestEntityTooLarge: 413, Invalid: 422 };

export function validatingPolicies(index: ValidatingIndex, context: PolicyContext): AdmissionPlugin {
  return {
    name: 'ValidatingAdmissionPolicy',
    validate(request) {
      const candidates = index.candidates(request);
      if (candidates.length > 0) return dispatch(candidates, request, index, context);
    },
  };
}

async function dispatch(
  hooks: readonly Hook[],
  request: AdmissionRequest,
  index: ValidatingIndex,
  context: PolicyContext,
): Promise<void> {
  const denials: Denial[] = [];
  const decisions = new Decisions(context.authorizer(), request.user);
  for (const hook of hooks) {
    const kind = await index.matches(hook.constraints, request, context.findNamespace);
    if (!kind) continue;
    const annotations = new Map<string, string[]>();
    for (const binding of hook.bindings) {
      if (!(await index.matches(binding.match, request, context.findNamespace))) continue;
      try {
        const objects = await policyObjects(request, kind, context);
        const params = await collectParams(hook.spec.paramKind, binding.spec.paramRef, request.namespace, context);
        for (const param of params) {
          const input: EvaluationInput = { request, kind, ...objects, params: param, decisions };
          const asked = decisions.run(() => evaluate(hook, input));
          const found = asked instanceof Promise ? await asked : asked;
          report(found, hook, binding, request, denials, context.metrics);
          collect(annotations, found.annotations);
        }
      } catch (error) {
        if (!(error instanceof ParamError)) throw error;
        if (hook.spec.failurePolicy === 'Ignore') continue;
        const message = `failed to configure binding: ${error.message}`;
        denials.push({ policy: hook.name, binding: binding.name, message, reason: 'Invalid' });
      }
    }
    for (const [key, values] of annotations) request.annotate?.(`${hook.name}/${key}`, values.join(', '));
  }
  if (denials.length > 0) throw denied(denials[0] as Denial, request);
}

interface Found {
  failures: Failure[];
  annotations: { key: string; value: string }[];
  /** Annotations that could not be made, which denies whatever the actions are. */
  errors: string[];
  /** Errors that the policy says to pass over. */
  ignored: Pick<Failure, 'errorType' | 'seconds'>[];
  /** What the match conditions came to, where there are some. */
  condition: { matches: boolean; error?: string; seconds: number } | undefined;
}

/** Pure: may be begun anew. */
function evaluate({ program, spec }: Hook, input: EvaluationInput): Found {
  const found: Found = { failures: [], annotations: [], errors: [], ignored: [], condition: undefined };
  const ignoresErrors = spec.failurePolicy === 'Ignore';
  let started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const fail = (message: string, at = 0, errorType: PolicyErrorType = 'invalid_error') => {
    if (!ignoresErrors) found.failures.push({ message, reason: '', index: at, errorType, seconds: elapsed() });
    else found.ignored.push({ errorType, seconds: elapsed() });
  };
  const condition = matchConditionsHold(program.matchConditions, input);
  if (program.matchConditions.length > 0) found.condition = { ...condition, seconds: elapsed() };
  if (condition.error !== undefined) {
    fail(condition.error);
    return found;
  }
  if (!condition.matches) return found;
  try {
    const evaluation = new Evaluation(input, program.variables, POLICY_BUDGET);
    for (const [at, validation] of program.validations.entries()) {
      started = performance.now();
      const outcome = evaluation.run(validation);
      if ('error' in outcome) fail(outcome.error, at, validation.program ? 'invalid_error' : 'compile_error');
      else if (outcome.value !== true) {
        const { reason = 'Invalid' } = spec.validations?.[at] ?? {};
        const message = messageOf(evaluation, program, spec, at);
        found.failures.push({ message, reason, index: at, errorType: 'no_error', seconds: elapsed() });
      }
    }
  } catch (error) {
    if (!(error instanceof OutOfBudget)) throw error;
    found.failures = [];
    fail(error.message, 0, 'out_of_budget');
    return found;
  }
  annotate(program, input, ignoresErrors, found);
  return found;
}

/** What the message expression says, else the message, else the expression that failed. */
function messageOf(evaluation: Evaluation, program: ValidatingExpressions, spec: Spec, at: number): string {
  const { message = '', expression } = spec.validations?.[at] ?? { expression: '' };
  const dynamic = program.messages[at];
  const outcome = dynamic && evaluation.run(dynamic);
  if (outcome && 'value' in outcome && typeof outcome.value === 'string') {
    const text = outcome.value.trim();
    if (text !== '' && Buffer.byteLength(text) <= MAX_MESSAGE_BYTES && !text.includes('\n')) return text;
  }
  return message.trim() || `failed expression: ${expression.trim()}`;
}

function annotate(program: ValidatingExpressions, input: EvaluationInput, ignoresErrors: boolean, found: Found): void {
  if (program.auditAnnotations.length === 0) return;
  const evaluation = new Evaluation(input, program.variables, POLICY_BUDGET);
  const run = (each: NamedExpression) => {
    try {
      return evaluation.run(each);
    } catch (error) {
      if (!(error instanceof OutOfBudget)) throw error;
      return { error: error.message };
    }
  };
  for (const each of program.auditAnnotations) {
    const outcome = run(each);
    if ('error' in outcome) {
      if (!ignoresErrors) found.errors.push(outcome.error);
    } else if (typeof outcome.value === 'string' && outcome.value.trim() !== '') {
      found.annotations.push({ key: each.name, value: outcome.value.trim() });
    }
  }
}

/** Acts on what was found as the binding's actions say. */
function report(
  found: Found,
  hook: Hook,
  binding: Hook['bindings'][number],
  request: AdmissionRequest,
  denials: Denial[],
  metrics: WebhookMetrics,
): void {
  const actions = binding.spec.validationActions ?? [];
  const names = { policy: hook.name, binding: binding.name };
  if (found.condition) {
    const owner = { name: hook.name, kind: 'policy', type: 'validate' } as const;
    metrics.conditions(owner, request.operation, found.condition, found.condition.seconds);
  }
  for (const { errorType, seconds } of found.ignored) {
    metrics.policyChecked(hook.name, binding.name, errorType, 'allow', seconds);
  }
  for (const { message, reason, index, errorType, seconds } of found.failures) {
    for (const action of actions) {
      const taken = TAKEN[action];
      if (taken) metrics.policyChecked(hook.name, binding.name, errorType, taken, seconds);
      if (action === 'Deny') denials.push({ ...names, message, reason });
      else if (action === 'Warn') {
        request.warn(
          `Validation failed for ValidatingAdmissionPolicy '${hook.name}' with binding '${binding.name}': ${message}`,
        );
      } else if (action === 'Audit') {
        request.annotate?.(
          'validation.policy.admission.k8s.io/validation_failure',
          JSON.stringify([{ message, ...names, expressionIndex: index, validationActions: actions }]),
        );
      }
    }
  }
  for (const message of found.errors) denials.push({ ...names, message, reason: '' });
}

/** Bindings that say the same are heard once. */
function collect(into: Map<string, string[]>, annotations: Found['annotations']): void {
  for (const { key, value } of annotations) {
    const short = Buffer.from(value).subarray(0, MAX_ANNOTATION_BYTES).toString();
    const known = into.get(key) ?? [];
    if (!known.includes(short)) into.set(key, [...known, short]);
  }
}

function denied({ policy, binding, message, reason }: Denial, request: AdmissionRequest): ApiError {
  const by = binding === undefined ? '' : ` with binding '${binding}'`;
  const text = `ValidatingAdmissionPolicy '${policy}'${by} denied request: ${message}`;
  const { message: full, status } = errors.forbidden(request.kind, nameOf(request), text);
  const known = reason || 'Invalid';
  return new ApiError(CODES[known] ?? 422, known, full, { ...status.details, causes: [{ message: text }] });
}

/** What refusals call the object, which may not have its name yet. */
export function nameOf({ name, object }: { name: string; object: KubeObject | undefined; kind: Kind }): string {
  return name || object?.metadata?.name || object?.metadata?.generateName || 'Unknown';
}
