// A StatefulSet's pods and claims by their ordinals. Pure.
import type { ControllerRevision, StatefulSet } from '../../api/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod, PodTemplateSpec } from '../../api/types/core-v1.ts';
import { revisionLabel, templateOf } from '../parts/revisions.ts';

const podNameLabel = 'statefulset.kubernetes.io/pod-name';
const podIndexLabel = 'apps.kubernetes.io/pod-index';

export const firstOrdinal = (set: StatefulSet): number => set.spec?.ordinals?.start ?? 0;
export const podName = (set: StatefulSet, ordinal: number): string => `${set.metadata.name}-${ordinal}`;

/** undefined when the pod's name is not one of the set's. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const name = pod.metadata.name ?? '';
  const rest = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  return /^(0|[1-9]\d{0,9})$/.test(rest) ? Number(rest) : undefined;
}

const claimName = (set: StatefulSet, template: PersistentVolumeClaim, ordinal: number) =>
  `${template.metadata.name}-${podName(set, ordinal)}`;

export function newPod(set: StatefulSet, ordinal: number, revision: ControllerRevision): Pod {
  const template: PodTemplateSpec = templateOf(revision);
  const name = podName(set, ordinal);
  const claims = set.spec?.volumeClaimTemplates ?? [];
  const claimed = new Set(claims.map((each) => each.metadata.name));
  const volumes = [
    ...(template.spec?.volumes ?? []).filter((each) => !claimed.has(each.name)),
    ...claims.map((each) => ({
      name: each.metadata.name as string,
      persistentVolumeClaim: { claimName: claimName(set, each, ordinal) },
    })),
  ];
  return {
    metadata: {
      name,
      generateName: `${set.metadata.name}-`,
      namespace: set.metadata.namespace,
      annotations: template.metadata?.annotations,
      finalizers: template.metadata?.finalizers,
      labels: {
        ...template.metadata?.labels,
        [podNameLabel]: name,
        [podIndexLabel]: String(ordinal),
        [revisionLabel]: revision.metadata.name as string,
      },
    },
    spec: template.spec && {
      ...template.spec,
      hostname: name,
      ...(set.spec?.serviceName && { subdomain: set.spec.serviceName }),
      ...(volumes.length > 0 && { volumes }),
    },
  };
}

/** The claims of one ordinal, labelled with the set's selector. */
export function claimsOf(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec?.volumeClaimTemplates ?? []).map((template) => ({
    ...template,
    metadata: {
      ...template.metadata,
      name: claimName(set, template, ordinal),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec?.selector.matchLabels },
    },
    status: undefined,
  }));
}
