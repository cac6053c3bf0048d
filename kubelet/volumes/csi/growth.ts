// Growth of a claim's volume on the node: when the driver is asked to, and what the claim says of it meanwhile. Pure; the states and
// conditions are those of pkg/volume/util/operationexecutor/node_expander.go.
import { compareQuantities, quantityOf } from '../../../api/quantity.ts';
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimStatus,
} from '../../../api/types/core-v1.ts';

export type GrowthPlan =
  | { kind: 'none' }
  /** It is mounted read-only: only that is said. */
  | { kind: 'refuse'; message: string }
  | {
      kind: 'expand';
      size: string | number;
      /** Whoever made the volume grow follows states: the claim is told each of them. False: an old controller, or another node was first. */
      tells: boolean;
      /** The claim's capacity is still to be written. */
      finishes: boolean;
    };

export interface GrowthFacts {
  claim: PersistentVolumeClaim;
  volume: PersistentVolume;
  readOnly: boolean;
  /** What the volume was for this pod when it was last looked at; undefined: it is being mounted. */
  known: string | number | undefined;
}

export function planGrowth({ claim, volume, readOnly, known }: GrowthFacts): GrowthPlan {
  const size = volume.spec?.capacity?.['storage'];
  const told = claim.status?.capacity?.['storage'];
  if (size === undefined || told === undefined) return { kind: 'none' };
  const state = claim.status?.allocatedResourceStatuses?.['storage'];
  if (!isLess(told, size)) {
    // A volume of several nodes: the claim was told by another one.
    const isBehind = state === undefined && known !== undefined && isLess(known, size);
    return isBehind ? { kind: 'expand', size, tells: false, finishes: false } : { kind: 'none' };
  }
  if (readOnly) return { kind: 'refuse', message: 'requested read-only file system' };
  const isFollowed = state !== undefined || claim.status?.allocatedResources !== undefined;
  if (!isFollowed) return { kind: 'expand', size, tells: false, finishes: true };
  const mayGrow = state === 'NodeResizePending' || state === 'NodeResizeInProgress';
  return mayGrow ? { kind: 'expand', size, tells: true, finishes: true } : { kind: 'none' };
}

const isLess = (a: string | number, b: string | number) => compareQuantities(quantityOf(a), quantityOf(b)) < 0;

/** Conditions that are about growth; all others are somebody else's. */
const OWN_CONDITIONS = new Set(['FileSystemResizePending', 'Resizing', 'ControllerResizeError', 'NodeResizeError']);

type StatusPatch = Pick<PersistentVolumeClaimStatus, 'capacity' | 'conditions'> & {
  allocatedResourceStatuses?: { storage: string | null } | null;
};

export const inProgress = (): StatusPatch => ({ allocatedResourceStatuses: { storage: 'NodeResizeInProgress' } });

export function finished({ status = {} }: PersistentVolumeClaim, size: string | number): StatusPatch {
  const others = Object.keys(status.allocatedResourceStatuses ?? {}).filter((each) => each !== 'storage');
  return {
    capacity: { storage: size },
    allocatedResourceStatuses: others.length > 0 ? { storage: null } : null,
    conditions: (status.conditions ?? []).filter((each) => !OWN_CONDITIONS.has(each.type)),
  };
}

/** `isInfeasible`: asking again is no use until the claim asks for another size. */
export function failed(
  { status = {} }: PersistentVolumeClaim,
  message: string,
  isInfeasible: boolean,
  now: string,
): StatusPatch {
  const before = (status.conditions ?? []).filter((each) => each.type !== 'NodeResizeError');
  const text = `failed to expand pvc with ${message}`;
  return {
    ...(isInfeasible && { allocatedResourceStatuses: { storage: 'NodeResizeInfeasible' } }),
    conditions: [...before, { type: 'NodeResizeError', status: 'True', lastTransitionTime: now, message: text }],
  };
}
