// What keeps a claim or a volume that is to be deleted: a finalizer, for as long as something uses it. Pure.
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';

export const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection';
export const VOLUME_FINALIZER = 'kubernetes.io/pv-protection';

export type ProtectionPlan = 'add' | 'remove' | 'nothing';

/** Names of the claims that a pod uses, those made for it included. */
export function claimsOf(pod: Pod): string[] {
  return (pod.spec?.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim) return [volume.persistentVolumeClaim.claimName];
    return volume.ephemeral ? [`${pod.metadata.name}-${volume.name}`] : [];
  });
}

/**
 * `users`: pods whose volumes name the claim. One that has no node yet does not hold it: no kubelet starts a pod with a claim
 * that is being deleted.
 */
export function planClaim(claim: PersistentVolumeClaim, users: readonly Pod[]): ProtectionPlan {
  const isProtected = claim.metadata.finalizers?.includes(CLAIM_FINALIZER) ?? false;
  if (!claim.metadata.deletionTimestamp) return isProtected ? 'nothing' : 'add';
  return isProtected && !users.some((pod) => pod.spec?.nodeName) ? 'remove' : 'nothing';
}

export function planVolume(volume: PersistentVolume): ProtectionPlan {
  const isProtected = volume.metadata.finalizers?.includes(VOLUME_FINALIZER) ?? false;
  if (!volume.metadata.deletionTimestamp) return isProtected ? 'nothing' : 'add';
  return isProtected && volume.status?.phase !== 'Bound' ? 'remove' : 'nothing';
}
