// What is left in a terminating namespace, as conditions with upstream's reasons and messages. Pure.
import type { NamespaceCondition } from '../../api/types/core-v1.ts';
import { rfc3339 } from '../parts/time.ts';

export interface Remaining {
  /** `pods.` or `deployments.apps`: resource and group joined by a dot, as upstream prints it. */
  resource: string;
  count: number;
  /** Finalizer names of the objects that are left, one entry each. */
  finalizers: readonly string[];
}

/** `failure` is what deleting answered, if it failed. */
export function namespaceConditions(
  old: readonly NamespaceCondition[],
  remaining: readonly Remaining[],
  failure: string | undefined,
  nowMs: number,
): NamespaceCondition[] {
  const left = remaining.filter((each) => each.count > 0);
  const finalizers = new Map<string, number>();
  for (const name of left.flatMap((each) => each.finalizers)) finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
  const found: Omit<NamespaceCondition, 'lastTransitionTime'>[] = [
    {
      type: 'NamespaceDeletionDiscoveryFailure',
      status: 'False',
      reason: 'ResourcesDiscovered',
      message: 'All resources successfully discovered',
    },
    {
      type: 'NamespaceDeletionGroupVersionParsingFailure',
      status: 'False',
      reason: 'ParsedGroupVersions',
      message: 'All legacy kube types successfully parsed',
    },
    failure === undefined
      ? {
          type: 'NamespaceDeletionContentFailure',
          status: 'False',
          reason: 'ContentDeleted',
          message: 'All content successfully deleted, may be waiting on finalization',
        }
      : {
          type: 'NamespaceDeletionContentFailure',
          status: 'True',
          reason: 'ContentDeletionFailed',
          message: `Failed to delete all resource types, 1 remaining: ${failure}`,
        },
    left.length === 0
      ? {
          type: 'NamespaceContentRemaining',
          status: 'False',
          reason: 'ContentRemoved',
          message: 'All content successfully removed',
        }
      : {
          type: 'NamespaceContentRemaining',
          status: 'True',
          reason: 'SomeResourcesRemain',
          message: `Some resources are remaining: ${left.map((each) => `${each.resource} has ${each.count} resource instances`).join(', ')}`,
        },
    finalizers.size === 0
      ? {
          type: 'NamespaceFinalizersRemaining',
          status: 'False',
          reason: 'ContentHasNoFinalizers',
          message: 'All content-preserving finalizers finished',
        }
      : {
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message: `Some content in the namespace has finalizers remaining: ${[...finalizers].map(([name, count]) => `${name} in ${count} resource instances`).join(', ')}`,
        },
  ];
  return found.map((condition) => {
    const present = old.find((each) => each.type === condition.type);
    const { status, reason, message } = condition;
    if (present?.status === status && present.reason === reason && present.message === message) return present;
    const lastTransitionTime = present?.status === status ? present.lastTransitionTime : rfc3339(nowMs);
    return { ...condition, lastTransitionTime };
  });
}
