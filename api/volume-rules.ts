// Which persistent volume suits a claim, and which nodes a volume can be used on. Pure; what the scheduler, the controllers and the
// kubelet agree on (https://kubernetes.io/docs/concepts/storage/persistent-volumes/).
import { nodeTermMatches } from './node-rules.ts';
import { compareQuantities, quantityOf } from './quantity.ts';
import { everySelector, type Selector, selectorFromObject } from './selectors.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from './types/core-v1.ts';

export const volumeAnnotations = {
  /** On claims and volumes: the controller bound them; `yes`. */
  boundByController: 'pv.kubernetes.io/bound-by-controller',
  /** On claims: both sides are written. */
  bindCompleted: 'pv.kubernetes.io/bind-completed',
  provisionedBy: 'pv.kubernetes.io/provisioned-by',
  /** On claims: the node that the scheduler has chosen for the first consumer. */
  selectedNode: 'volume.kubernetes.io/selected-node',
  provisioner: 'volume.kubernetes.io/storage-provisioner',
  betaProvisioner: 'volume.beta.kubernetes.io/storage-provisioner',
  betaClass: 'volume.beta.kubernetes.io/storage-class',
  defaultClass: 'storageclass.kubernetes.io/is-default-class',
  betaDefaultClass: 'storageclass.beta.kubernetes.io/is-default-class',
} as const;

export const NO_PROVISIONER = 'kubernetes.io/no-provisioner';

export function classOfClaim(claim: PersistentVolumeClaim): string {
  return claim.metadata.annotations?.[volumeAnnotations.betaClass] ?? claim.spec?.storageClassName ?? '';
}

export function classOfVolume(volume: PersistentVolume): string {
  return volume.metadata.annotations?.[volumeAnnotations.betaClass] ?? volume.spec?.storageClassName ?? '';
}

export function isFullyBound(claim: PersistentVolumeClaim): boolean {
  return !!claim.spec?.volumeName && claim.metadata.annotations?.[volumeAnnotations.bindCompleted] !== undefined;
}

/** The volume's claimRef names this claim, by uid once it is known. */
export function isVolumeOf(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  if (!ref || ref.name !== claim.metadata.name || ref.namespace !== claim.metadata.namespace) return false;
  return !ref.uid || ref.uid === claim.metadata.uid;
}

export function volumeFitsNode(volume: PersistentVolume, node: Node): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  if (!required) return true;
  return (required.nodeSelectorTerms ?? []).some((term) => nodeTermMatches(term, node));
}

export function requestedBytes(claim: PersistentVolumeClaim): string | number {
  return claim.spec?.resources?.requests?.['storage'] ?? 0;
}

/** A claim without a selector takes any volume. */
const selectorOf = (claim: PersistentVolumeClaim): Selector =>
  claim.spec?.selector ? selectorFromObject(claim.spec.selector) : everySelector;

/** Why a claim cannot have this volume; undefined when it can. Class, modes, size, labels; not who has it now. */
export function mismatch(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
  selector: Selector = selectorOf(claim),
): string | undefined {
  const size = volume.spec?.capacity?.['storage'] ?? 0;
  if (compareQuantities(quantityOf(size), quantityOf(requestedBytes(claim))) < 0) return 'requested PV is too small';
  if (classOfVolume(volume) !== classOfClaim(claim)) return 'storageClassName does not match';
  if ((volume.spec?.volumeMode ?? 'Filesystem') !== (claim.spec?.volumeMode ?? 'Filesystem')) {
    return 'incompatible volumeMode';
  }
  if ((volume.spec?.volumeAttributesClassName ?? '') !== (claim.spec?.volumeAttributesClassName ?? '')) {
    return 'volumeAttributesClassName does not match';
  }
  const modes = volume.spec?.accessModes ?? [];
  if (!(claim.spec?.accessModes ?? []).every((mode) => modes.includes(mode))) return 'incompatible accessMode';
  if (!selector.matches(volume.metadata.labels ?? {})) return 'labels do not match the selector';
  return undefined;
}

/**
 * The volume for an unbound claim: one that was made or reserved for it, else the smallest free one that suits. With `node`, only
 * volumes that can be used there, and not those in `taken` (names promised to other claims).
 */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
  options: { node?: Node; taken?: ReadonlySet<string> } = {},
): PersistentVolume | undefined {
  const selector = selectorOf(claim);
  let smallest: PersistentVolume | undefined;
  const size = (volume: PersistentVolume) => quantityOf(volume.spec?.capacity?.['storage'] ?? 0);
  for (const volume of volumes) {
    if (volume.metadata.deletionTimestamp || options.taken?.has(volume.metadata.name ?? '')) continue;
    if (options.node && !volumeFitsNode(volume, options.node)) continue;
    const ref = volume.spec?.claimRef;
    if (ref) {
      if (isVolumeOf(volume, claim) && !mismatch(claim, volume, everySelector)) return volume;
      continue;
    }
    const phase = volume.status?.phase || 'Pending';
    if (phase !== 'Available' && phase !== 'Pending') continue;
    if (mismatch(claim, volume, selector)) continue;
    if (!smallest || compareQuantities(size(volume), size(smallest)) < 0) smallest = volume;
  }
  return smallest;
}

/** Name of the claim behind a pod's volume; undefined for volumes without one. */
export function claimNameOf(pod: Pod, volume: Volume): string | undefined {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName;
  return volume.ephemeral ? `${pod.metadata.name}-${volume.name}` : undefined;
}

/** The generic ephemeral volume's claim belongs to another pod or to nobody: it must not be used. */
export function isClaimOfPod(claim: PersistentVolumeClaim, pod: Pod): boolean {
  return (claim.metadata.ownerReferences ?? []).some((each) => each.controller && each.uid === pod.metadata.uid);
}
