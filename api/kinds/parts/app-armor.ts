// AppArmor profiles in annotations, as they were named before 1.30, become fields when a pod is created.
// (k8s.io/kubernetes/pkg/registry/core/pod applyAppArmorVersionSkew)
import { semanticEqual } from '../../equality.ts';
import type { AppArmorProfile, Pod } from '../../types/core-v1.ts';
import { APP_ARMOR_PREFIX } from '../../validation/pod-annotations.ts';

/** In place; gives the annotations that should be fields, for warnings. */
export function applyAppArmorAnnotations({ metadata, spec }: Pod): string[] {
  const found: string[] = [];
  if (!spec || !metadata.annotations || spec.os?.name === 'windows') return found;
  const ofPod = spec.securityContext?.appArmorProfile;
  const lists = [spec.initContainers, spec.containers, spec.ephemeralContainers];
  for (const container of lists.flatMap((list) => list ?? [])) {
    const key = APP_ARMOR_PREFIX + container.name;
    const annotation = metadata.annotations[key];
    if (annotation === undefined || container.securityContext?.appArmorProfile) continue;
    const profile = profileOf(annotation);
    if (profile && semanticEqual(profile, ofPod)) continue;
    if (profile) container.securityContext = { ...container.securityContext, appArmorProfile: profile };
    found.push(key);
  }
  return found;
}

/** Undefined where the annotation names no profile that a field could. */
function profileOf(annotation: string): AppArmorProfile | undefined {
  if (annotation === 'unconfined') return { type: 'Unconfined' };
  if (annotation === 'runtime/default') return { type: 'RuntimeDefault' };
  if (!annotation.startsWith('localhost/')) return undefined;
  const localhostProfile = annotation.slice('localhost/'.length);
  const isValid = localhostProfile !== '' && localhostProfile.trim() === localhostProfile;
  return isValid && Buffer.byteLength(localhostProfile) <= 4095 ? { type: 'Localhost', localhostProfile } : undefined;
}
