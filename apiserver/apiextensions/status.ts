// The status of a definition: which of its names it gets beside those of its group, and whether it is established
// (k8s.io/apiextensions-apiserver/pkg/controller/{status,establish,apiapproval}). Pure.
import { deepEqual } from '../../api/equality.ts';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from '../../api/types/apiextensions-v1.ts';
import { approvalOf, conditionOf } from '../../api/validation/custom-resource-definition.ts';

export type ConditionFacts = Pick<CustomResourceDefinitionCondition, 'type' | 'status' | 'reason' | 'message'>;

/** The status that the definition should have now; the same object when it has it. `group`: the other definitions of its group. */
export function planStatus(
  definition: CustomResourceDefinition,
  group: readonly CustomResourceDefinition[],
  now: string,
): CustomResourceDefinitionStatus {
  const old = definition.status ?? {};
  const { accepted, naming } = acceptNames(definition, group);
  let conditions = withCondition(old.conditions ?? [], naming, now);
  const established = conditionOf(definition, 'Established');
  if (established?.status !== 'True') {
    conditions = withCondition(
      conditions,
      naming.status === 'True'
        ? {
            type: 'Established',
            status: 'True',
            reason: 'InitialNamesAccepted',
            message: 'the initial names have been accepted',
          }
        : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' },
      now,
    );
  }
  const approval = approvalCondition(definition);
  if (approval) conditions = withCondition(conditions, approval, now);
  const status = { ...old, acceptedNames: accepted, conditions };
  return deepEqual(status, old) ? old : status;
}

/** The conditions with this one; the time changes only with its status. */
export function withCondition(
  conditions: readonly CustomResourceDefinitionCondition[],
  facts: ConditionFacts,
  now: string,
): CustomResourceDefinitionCondition[] {
  const old = conditions.find((each) => each.type === facts.type);
  const lastTransitionTime = old?.status === facts.status ? (old.lastTransitionTime ?? now) : now;
  const { type, status, reason, message } = facts;
  const condition = { type, status, lastTransitionTime, reason, message } as CustomResourceDefinitionCondition;
  if (!old) return [...conditions, condition];
  return conditions.map((each) => (each === old ? condition : each));
}

function acceptNames(
  { spec, status }: CustomResourceDefinition,
  group: readonly CustomResourceDefinition[],
): { accepted: CustomResourceDefinitionNames; naming: ConditionFacts } {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const { status: other } of group) {
    const names = other?.acceptedNames;
    if (!names) continue;
    for (const each of [names.plural, names.singular, ...(names.shortNames ?? [])]) if (each) resources.add(each);
    for (const each of [names.kind, names.listKind]) if (each) kinds.add(each);
  }
  const wanted = spec.names;
  const had: Partial<CustomResourceDefinitionNames> = status?.acceptedNames ?? {};
  const accepted: CustomResourceDefinitionNames = { plural: had.plural ?? '', kind: had.kind ?? '', ...had };
  let naming: ConditionFacts = {
    type: 'NamesAccepted',
    status: 'True',
    reason: 'NoConflicts',
    message: 'no conflicts found',
  };
  const refuse = (reason: string, message: string) => {
    naming = { type: 'NamesAccepted', status: 'False', reason, message };
  };
  const inUse = (name: string) => `${JSON.stringify(name)} is already in use`;
  const claim = (name: 'plural' | 'singular' | 'kind' | 'listKind', used: ReadonlySet<string>, reason: string) => {
    const value = wanted[name];
    if (value !== had[name] && value !== undefined && used.has(value)) refuse(reason, inUse(value));
    else if (value !== undefined) accepted[name] = value;
  };
  claim('plural', resources, 'PluralConflict');
  claim('singular', resources, 'SingularConflict');
  const taken = (wanted.shortNames ?? []).filter((each) => !had.shortNames?.includes(each) && resources.has(each));
  if (taken.length > 0) {
    const texts = taken.map(inUse);
    refuse('ShortNamesConflict', texts.length === 1 ? (texts[0] as string) : `[${texts.join(', ')}]`);
  } else if (wanted.shortNames) accepted.shortNames = wanted.shortNames;
  else delete accepted.shortNames;
  claim('kind', kinds, 'KindConflict');
  claim('listKind', kinds, 'ListKindConflict');
  if (wanted.categories) accepted.categories = wanted.categories;
  else delete accepted.categories;
  return { accepted, naming };
}

function approvalCondition(definition: CustomResourceDefinition): ConditionFacts | undefined {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(definition.spec.group)) return undefined;
  const { state, text: message } = approvalOf(definition);
  const type = 'KubernetesAPIApprovalPolicyConformant';
  return { type, status: state === 'approved' ? 'True' : 'False', reason: APPROVAL_REASONS[state], message };
}

const APPROVAL_REASONS = {
  approved: 'ApprovedAnnotation',
  bypassed: 'UnapprovedAnnotation',
  invalid: 'InvalidAnnotation',
  missing: 'MissingAnnotation',
} as const;
