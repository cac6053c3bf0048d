// What a Deployment writes on its ReplicaSets so that kubectl rollout and a later scaling know what happened.
import type { Deployment, ReplicaSet } from '../../api/types/apps-v1.ts';

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyAnnotation = 'deployment.kubernetes.io/revision-history';
export const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';

/** Of the Deployment's own, these do not go down to a ReplicaSet. */
const notCopied: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
  'deprecated.deployment.rollback.to',
]);

/** 0 when there is none. */
export function revisionOf(object: { metadata: { annotations?: Record<string, string> } }): number {
  const revision = Number(object.metadata.annotations?.[revisionAnnotation] ?? 0);
  return Number.isSafeInteger(revision) ? revision : 0;
}

export function annotatedCount(replicaSet: ReplicaSet, annotation: 'desired' | 'max'): number | undefined {
  const text = replicaSet.metadata.annotations?.[annotation === 'desired' ? desiredAnnotation : maxAnnotation];
  const count = Number(text);
  return text === undefined || !Number.isSafeInteger(count) ? undefined : count;
}

export const withCounts = (
  annotations: Record<string, string>,
  desired: number,
  max: number,
): Record<string, string> => ({
  ...annotations,
  [desiredAnnotation]: String(desired),
  [maxAnnotation]: String(max),
});

/** The annotations of the ReplicaSet of `deployment`'s present template, as revision `revision`; a revision never goes down. */
export function annotationsOfNew(
  deployment: Deployment,
  present: Record<string, string>,
  revision: number,
): Record<string, string> {
  const next = { ...present };
  for (const [name, value] of Object.entries(deployment.metadata.annotations ?? {}))
    if (!notCopied.has(name)) next[name] = value;
  const old = revisionOf({ metadata: { annotations: present } });
  if (old >= revision) return next;
  next[revisionAnnotation] = String(revision);
  if (old > 0) {
    const history = (present[historyAnnotation] ?? '').split(',').filter(Boolean);
    next[historyAnnotation] = [...history, String(old)].join(',');
  }
  return next;
}
