// What a policy's expressions get wrong about the kinds that its rules name. Pure.
import { typeOfKind } from '../../api/cel/kind-types.ts';
import { compileValidating } from '../../api/cel/policies.ts';
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, parseApiVersion } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type {
  ExpressionWarning,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicySpec,
  ValidatingAdmissionPolicyStatus,
} from '../../api/types/admissionregistration-v1.ts';

/** Rules that name more are checked against the first ones only. */
const MAX_KINDS = 10;
const PREFIX = 'compilation failed: ';

/** The status that the policy should have; undefined when it has it. */
export function planStatus(
  policy: ValidatingAdmissionPolicy,
  scheme: Scheme,
): ValidatingAdmissionPolicyStatus | undefined {
  const { generation = 0 } = policy.metadata;
  if (policy.status?.observedGeneration === generation) return undefined;
  const expressionWarnings = typeWarnings(policy.spec ?? {}, scheme);
  return {
    ...policy.status,
    observedGeneration: generation,
    typeChecking: expressionWarnings.length > 0 ? { expressionWarnings } : {},
  };
}

/** One for each expression that does not fit one of the kinds; the texts of all kinds below each other. */
export function typeWarnings(spec: ValidatingAdmissionPolicySpec, scheme: Scheme): ExpressionWarning[] {
  const texts = new Map<string, string[]>();
  const params = paramType(spec, scheme);
  for (const kind of kindsOf(spec, scheme)) {
    const object = typeOfKind(kind);
    if (!object) continue;
    const { validations, messages } = compileValidating(spec, { object, ...(params && { params }) });
    // What is wrong whatever the kind was refused when the policy was written.
    for (const each of validations.flatMap((validation, at) => [validation, messages[at]])) {
      if (!each?.problem?.startsWith(PREFIX)) continue;
      const text = `${kind.group}/${kind.version}, Kind=${kind.kind}: ${each.problem.slice(PREFIX.length)}`;
      texts.set(each.field, [...(texts.get(each.field) ?? []), text]);
    }
  }
  return [...texts].map(([fieldRef, all]) => ({ fieldRef, warning: all.join('\n') }));
}

/** The kinds that rules name outright: what they mean by `*` is not checked. */
function kindsOf(spec: ValidatingAdmissionPolicySpec, scheme: Scheme): Kind[] {
  const found = new Map<string, Kind>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of spec.matchConstraints?.resourceRules ?? []) {
    for (const group of apiGroups) {
      for (const version of apiVersions) {
        for (const resource of resources) {
          const kind = scheme.byResource(group, version, resource);
          if (kind) found.set(`${apiVersionOf(kind)} ${kind.kind}`, kind);
        }
      }
    }
  }
  const sorted = [...found].sort(([left], [right]) => (left < right ? -1 : 1));
  return sorted.slice(0, MAX_KINDS).map(([, kind]) => kind);
}

function paramType({ paramKind }: ValidatingAdmissionPolicySpec, scheme: Scheme) {
  const gv = paramKind && parseApiVersion(paramKind.apiVersion ?? '');
  const kind = gv && scheme.byKind(gv.group, gv.version, paramKind?.kind ?? '');
  return kind ? typeOfKind(kind) : undefined;
}
