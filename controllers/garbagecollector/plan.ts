// What to do with an object whose owners may be gone. Pure: the facts come in, one action goes out.
import type { KubeObject } from '../../api/object.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import { foregroundFinalizer, orphanFinalizer } from './graph.ts';

export type OwnerState =
  /** It is there and stays. */
  | 'solid'
  /** No such object. */
  | 'absent'
  /** In foreground deletion: it waits for its dependents. */
  | 'waiting';

export type GarbageAction =
  | { kind: 'keep' }
  /** Some owners stay: only the references to the others go. */
  | { kind: 'dropReferences'; ownerReferences: OwnerReference[] }
  | { kind: 'delete'; propagationPolicy: 'Background' | 'Foreground' | 'Orphan'; unblock: boolean };

export interface GarbageInput {
  /** As it is on the server now. */
  object: KubeObject;
  ownerState(reference: OwnerReference): OwnerState;
  hasDependents: boolean;
  /** A dependent is itself in foreground deletion: owners and dependents wait for each other. */
  isCycle: boolean;
}

export function planGarbage({ object, ownerState, hasDependents, isCycle }: GarbageInput): GarbageAction {
  const references = object.metadata.ownerReferences ?? [];
  const states = references.map((reference) => ownerState(reference));
  if (references.length === 0) return { kind: 'keep' };
  if (states.includes('solid')) {
    if (states.every((state) => state === 'solid')) return { kind: 'keep' };
    return { kind: 'dropReferences', ownerReferences: references.filter((_, i) => states[i] === 'solid') };
  }
  // The owner wants to see everything below it gone: so must this one's dependents be, first.
  if (states.includes('waiting') && hasDependents)
    return { kind: 'delete', propagationPolicy: 'Foreground', unblock: isCycle };
  const finalizers = object.metadata.finalizers ?? [];
  const propagationPolicy = finalizers.includes(orphanFinalizer)
    ? 'Orphan'
    : finalizers.includes(foregroundFinalizer)
      ? 'Foreground'
      : 'Background';
  return { kind: 'delete', propagationPolicy, unblock: false };
}
