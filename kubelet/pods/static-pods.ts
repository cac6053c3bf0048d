// Static pods come from files on the node, not from the API; the API shows each as a mirror pod. Pure.
// Annotations and rules are upstream's (pkg/kubelet/types, pkg/kubelet/config/common.go).
import type { Pod } from '../../api/types/core-v1.ts';
import { annotations } from '../cri/labels.ts';

export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
export const HASH_ANNOTATION = 'kubernetes.io/config.hash';

export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[annotations.configSource];
  return source !== undefined && source !== 'api' && !isMirrorPod(pod);
}

export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;
}
