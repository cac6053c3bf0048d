// MutatingAdmissionPolicy: every policy and binding that means a request changes its object, one after another, each seeing
// what those before it made (k8s.io/apiserver/pkg/admission/plugin/policy/mutating).
import type { MutatingExpressions } from '../../../api/cel/policies.ts';
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type {
  MutatingAdmissionPolicyBindingSpec,
  MutatingAdmissionPolicySpec,
} from '../../../api/types/admissionregistration-v1.ts';
import type { AdmissionPlugin, AdmissionRequest, Reinvocation } from '../chain.ts';
import { type PolicyContext, policyObjects } from './context.ts';
import { Decisions } from './decisions.ts';
import { Evaluation, matchConditionsHold, OutOfBudget, POLICY_BUDGET } from './evaluate.ts';
import { mutated, MutationError } from './mutate.ts';
import { collectParams, ParamError } from './params.ts';
import type { BoundPolicy, PolicyIndex } from './policy-index.ts';
import { nameOf } from './validating.ts';

type Spec = MutatingAdmissionPolicySpec;
type Ref = MutatingAdmissionPolicyBindingSpec;
type Hook = BoundPolicy<Spec, Ref, MutatingExpressions>;
export type MutatingIndex = PolicyIndex<Spec, Ref, MutatingExpressions>;

const NAME = 'MutatingAdmissionPolicy';

/** What is remembered between the two rounds of a mutation. */
interface Notes {
  /** Invocations that said IfNeeded and were made. */
  made: Set<string>;
  /** Those of them that later changes concern. */
  again: Set<string>;
  /** The object as the last policy left it, encoded. */
  last: string;
}

interface Invocation {
  hook: Hook;
  binding: Hook['bindings'][number];
  kind: Kind;
  params: KubeObject | null | undefined;
}

interface Problem {
  policy: string;
  binding: string;
  message: string;
  /** `Invalid` for what evaluation ran into; none for a configuration that cannot be used. */
  reason: string | undefined;
}

export function mutatingPolicies(index: MutatingIndex, context: PolicyContext): AdmissionPlugin {
  return {
    name: NAME,
    mutate(request) {
      const candidates = index.candidates(request);
      if (candidates.length > 0) return dispatch(candidates, request, index, context);
    },
  };
}

async function dispatch(
  hooks: readonly Hook[],
  request: AdmissionRequest,
  index: MutatingIndex,
  context: PolicyContext,
): Promise<void> {
  const problems: Problem[] = [];
  const report = ({ hook, binding }: Pick<Invocation, 'hook' | 'binding'>, message: string, reason?: string) => {
    if (hook.spec.failurePolicy === 'Ignore') return;
    problems.push({ policy: hook.name, binding: binding.name, message, reason });
  };
  const invocations: Invocation[] = [];
  for (const hook of hooks) {
    const kind = await index.matches(hook.constraints, request, context.findNamespace);
    if (!kind) continue;
    for (const binding of hook.bindings) {
      if (!(await index.matches(binding.match, request, context.findNamespace))) continue;
      try {
        const found = await collectParams(hook.spec.paramKind, binding.spec.paramRef, request.namespace, context);
        for (const params of found) invocations.push({ hook, binding, kind, params });
      } catch (error) {
        if (!(error instanceof ParamError)) throw error;
        report({ hook, binding }, `failed to configure binding: ${error.message}`);
      }
    }
  }
  if (invocations.length > 0) await invoke(invocations, request, context, report);
  if (problems.length > 0) throw refused(problems, request);
}

type Report = (invocation: Invocation, message: string, reason?: string) => void;

async function invoke(
  invocations: readonly Invocation[],
  request: AdmissionRequest,
  context: PolicyContext,
  report: Report,
): Promise<void> {
  const reinvocation = request.reinvocation as Reinvocation;
  const notes = notesOf(reinvocation);
  const decisions = new Decisions(context.authorizer(), request.user);
  const { isReinvoke } = reinvocation;
  if (isReinvoke && JSON.stringify(request.object) !== notes.last) callAgain(notes);
  for (const invocation of invocations) {
    const { hook, kind } = invocation;
    const objects = await policyObjects(request, kind, context);
    const input = { request, kind, params: invocation.params, decisions, ...objects };
    const started = performance.now();
    const asked = decisions.run(() => matchConditionsHold(hook.program.matchConditions, input));
    const condition = asked instanceof Promise ? await asked : asked;
    if (hook.program.matchConditions.length > 0) {
      const owner = { name: hook.name, kind: 'policy', type: 'admit' } as const;
      context.metrics.conditions(owner, request.operation, condition, (performance.now() - started) / 1000);
    }
    if (condition.error !== undefined) report(invocation, condition.error, 'Invalid');
    if (!condition.matches) continue;
    const key = keyOf(invocation);
    if (isReinvoke && !notes.again.has(key)) continue;
    if (await change(invocation, request, context, decisions, report)) {
      callAgain(notes);
      reinvocation.wanted = true;
    }
    if (hook.spec.reinvocationPolicy === 'IfNeeded') notes.made.add(key);
  }
  // Only a second round compares, and other plugins may ask for it.
  notes.last = JSON.stringify(request.object);
}

/** Makes the policy's mutations one after another; true when one of them changed something. */
async function change(
  invocation: Invocation,
  request: AdmissionRequest,
  context: PolicyContext,
  decisions: Decisions,
  report: Report,
): Promise<boolean> {
  const { hook, kind, params } = invocation;
  let isChanged = false;
  for (const [at, expression] of hook.program.mutations.entries()) {
    // What is deleted or connected to cannot be changed.
    if (!request.object) return isChanged;
    const objects = await policyObjects(request, kind, context);
    const input = { request, kind, params, decisions, ...objects };
    try {
      const asked = decisions.run(() => new Evaluation(input, hook.program.variables, POLICY_BUDGET).run(expression));
      const outcome = asked instanceof Promise ? await asked : asked;
      if ('error' in outcome) {
        report(invocation, outcome.error, 'Invalid');
        continue;
      }
      const { patchType } = hook.spec.mutations?.[at] ?? {};
      const result = mutated(input.object as KubeObject, patchType, outcome.value, request.objectKind ?? kind, request);
      if (!result) continue;
      const isOther = kind !== request.kind && !request.objectKind;
      request.object = isOther ? await context.convert(result, kind, request.kind) : result;
      isChanged = true;
    } catch (error) {
      if (!(error instanceof MutationError || error instanceof OutOfBudget)) throw error;
      report(invocation, error.message, 'Invalid');
    }
  }
  return isChanged;
}

function notesOf({ notes }: Reinvocation): Notes {
  let found = notes.get(NAME) as Notes | undefined;
  if (!found) notes.set(NAME, (found = { made: new Set(), again: new Set(), last: '' }));
  return found;
}

function callAgain(notes: Notes): void {
  for (const each of notes.made) notes.again.add(each);
  notes.made.clear();
}

const keyOf = ({ hook, binding, params }: Invocation) =>
  JSON.stringify([hook.name, binding.name, params?.metadata.namespace, params?.metadata.name]);

/** The first problem is the message; all are causes. */
function refused(problems: readonly Problem[], request: AdmissionRequest): ApiError {
  const texts = problems.map(
    ({ policy, binding, message }) => `policy '${policy}' with binding '${binding}' denied request: ${message}`,
  );
  const { status } = errors.forbidden(request.kind, nameOf(request), '');
  return new ApiError(403, problems[0]?.reason ?? 'Forbidden', texts[0] as string, {
    ...status.details,
    causes: texts.map((message) => ({ message })),
  });
}
