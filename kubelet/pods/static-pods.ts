// Static pods come from files on the node, not from the API; the API shows each as a mirror pod. Pure.
// Annotations, names and refusals are upstream's (pkg/kubelet/types, pkg/kubelet/config/common.go).
import { createHash } from 'node:crypto';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { annotations } from '../cri/labels.ts';
import { objectReferences } from '../volumes/references.ts';

export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
export const HASH_ANNOTATION = 'kubernetes.io/config.hash';

export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[annotations.configSource];
  return source !== undefined && source !== 'api' && !isMirrorPod(pod);
}

export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;
}

/** The pod of one manifest; throws an Error that says what is wrong with it. `text` is what its identity is made from. */
export function staticPodOf(object: unknown, text: string, file: string, nodeName: string, nowMs: number): Pod {
  const given = object as Partial<Pod> | null;
  if (given?.kind !== 'Pod' || given.apiVersion !== 'v1') throw new Error('the file does not hold a v1 Pod');
  const name = given.metadata?.name;
  if (!name || !given.spec?.containers?.length) throw new Error('a static pod needs a name and containers');
  const uid = createHash('md5').update(`${nodeName}\0${file}\0${text}`).digest('hex');
  const pod: Pod = {
    ...given,
    metadata: {
      ...given.metadata,
      name: `${name}-${nodeName}`,
      namespace: given.metadata?.namespace ?? 'default',
      uid,
      annotations: {
        ...given.metadata?.annotations,
        [HASH_ANNOTATION]: uid,
        [annotations.configSource]: 'file',
        [annotations.configSeen]: new Date(nowMs).toISOString(),
      },
    },
    spec: {
      ...given.spec,
      nodeName,
      tolerations: [...(given.spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
    status: { phase: 'Pending' },
  };
  const [reference] = objectReferences(pod);
  if (reference) throw new Error(`static pods may not reference ${reference.kind}s`);
  if (pod.spec?.serviceAccountName) throw new Error('static pods may not reference service accounts');
  if (pod.spec?.ephemeralContainers?.length) throw new Error('static pods may not have ephemeral containers');
  if (pod.spec?.volumes?.some((each) => each.persistentVolumeClaim || each.ephemeral)) {
    throw new Error('static pods may not reference persistentvolumeclaims');
  }
  return pod;
}

/** What the API is to show of a static pod. */
export function mirrorOf(pod: Pod, node: Node): Pod {
  const { name, namespace, labels, annotations: notes, uid } = pod.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(name && { name }),
      ...(namespace && { namespace }),
      ...(labels && { labels }),
      annotations: { ...notes, [MIRROR_ANNOTATION]: notes?.[HASH_ANNOTATION] ?? uid ?? '' },
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Node',
          name: node.metadata.name ?? '',
          uid: node.metadata.uid ?? '',
          controller: true,
        },
      ],
    },
    ...(pod.spec && { spec: pod.spec }),
  };
}

export type MirrorPlan = 'create' | 'delete' | 'none';

/** `pod` is the static pod, undefined when its file is gone; `mirror` what the API has of that name. */
export function planMirror(pod: Pod | undefined, mirror: Pod | undefined): MirrorPlan {
  if (!mirror) return pod ? 'create' : 'none';
  const hash = mirror.metadata.annotations?.[MIRROR_ANNOTATION];
  const isCurrent = pod !== undefined && hash === (pod.metadata.annotations?.[HASH_ANNOTATION] ?? pod.metadata.uid);
  return isCurrent && !mirror.metadata.deletionTimestamp ? 'none' : 'delete';
}
