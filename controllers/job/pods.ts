// The pods of a Job: what one looks like, how it ended, and what the failure policy says of that. Pure.
import { randomSuffix } from '../../api/names.ts';
import { isPodTerminal } from '../../api/pod-conditions.ts';
import type { Job } from '../../api/types/batch-v1.ts';
import type { Container, Pod } from '../../api/types/core-v1.ts';
import type { Random } from '../../lib/clock.ts';
import { parseTime } from '../parts/time.ts';

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
export const indexAnnotation = 'batch.kubernetes.io/job-completion-index';
const indexVariable = 'JOB_COMPLETION_INDEX';

export const isIndexed = (job: Job): boolean => job.spec?.completionMode === 'Indexed';
export const isSuspended = (job: Job): boolean => job.spec?.suspend === true;
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) ?? false;

/** undefined when the pod says none, or nonsense. */
export function completionIndex(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation];
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** With podReplacementPolicy Failed (always so with a failure policy) a pod counts only once it has really ended. */
export const waitsForTheEnd = (job: Job): boolean =>
  job.spec?.podReplacementPolicy === 'Failed' || job.spec?.podFailurePolicy !== undefined;

/** Failed, or being deleted: an orphan may never get to say that it failed. */
export function hasFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  if (waitsForTheEnd(job)) return false;
  return pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded';
}

export function newPod(
  job: Job,
  index: number | undefined,
  random: Random,
  more: Readonly<Record<string, string>> = {},
): Pod {
  const template = job.spec?.template;
  const jobName = job.metadata.name as string;
  const suffix = index === undefined ? '-' : `-${index}-`;
  const generateName = jobName.slice(0, 58 - suffix.length) + suffix;
  const pod: Pod = {
    metadata: {
      name: generateName + randomSuffix(random),
      generateName,
      labels: { ...template?.metadata?.labels },
      annotations: { ...template?.metadata?.annotations, ...more },
      finalizers: [...(template?.metadata?.finalizers ?? []), trackingFinalizer],
    },
    spec: template?.spec,
  };
  if (index === undefined || !template?.spec) return pod;
  const text = String(index);
  const withIndex = (container: Container): Container => {
    if (container.env?.some((each) => each.name === indexVariable)) return container;
    const valueFrom = { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${indexAnnotation}']` } };
    return { ...container, env: [...(container.env ?? []), { name: indexVariable, valueFrom }] };
  };
  const { initContainers, containers, hostname } = template.spec;
  return {
    metadata: {
      ...pod.metadata,
      labels: { ...pod.metadata.labels, [indexAnnotation]: text },
      annotations: { ...pod.metadata.annotations, [indexAnnotation]: text },
    },
    spec: {
      ...template.spec,
      hostname: hostname || `${jobName}-${index}`,
      containers: containers.map(withIndex),
      ...(initContainers && { initContainers: initContainers.map(withIndex) }),
    },
  };
}

export type PolicyAction = 'FailJob' | 'FailIndex' | 'Ignore' | 'Count';

/** What the first rule that matches says of a failed pod; undefined: no rule does (it counts). */
export function failurePolicyOf(job: Job, pod: Pod): { action: PolicyAction; message: string } | undefined {
  if (pod.status?.phase !== 'Failed') return undefined;
  const { name, namespace } = pod.metadata;
  for (const [index, rule] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    const action = rule.action as PolicyAction;
    const { onExitCodes, onPodConditions } = rule;
    if (onExitCodes) {
      const statuses = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])];
      for (const status of statuses) {
        const exitCode = status.state?.terminated?.exitCode ?? 0;
        if (exitCode === 0) continue;
        if (onExitCodes.containerName && onExitCodes.containerName !== status.name) continue;
        if ((onExitCodes.operator === 'In') !== onExitCodes.values.includes(exitCode)) continue;
        const message = `Container ${status.name} for pod ${namespace}/${name} failed with exit code ${exitCode} matching ${action} rule at index ${index}`;
        return { action, message };
      }
    }
    for (const pattern of onPodConditions ?? []) {
      const matches = pod.status.conditions?.some(
        (each) => each.type === pattern.type && each.status === (pattern.status || 'True'),
      );
      const message = `Pod ${namespace}/${name} has condition ${pattern.type} matching ${action} rule at index ${index}`;
      if (matches) return { action, message };
    }
  }
  return undefined;
}

export function finishedMs(pod: Pod): number {
  const ends = (pod.status?.containerStatuses ?? []).map((each) => parseTime(each.state?.terminated?.finishedAt));
  const ready = pod.status?.conditions?.find((each) => each.type === 'Ready' && each.status === 'False');
  const { deletionTimestamp, creationTimestamp } = pod.metadata;
  return (
    Math.max(0, ...ends) ||
    parseTime(ready?.lastTransitionTime) ||
    parseTime(deletionTimestamp) ||
    parseTime(creationTimestamp)
  );
}

const firstBackoffMs = 10_000;
const maxBackoffMs = 360_000;

/** How long the next pod waits after so many failures in a row: 10 s, doubling up to 6 min. */
export const delayAfter = (failures: number): number =>
  Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(20, failures - 1));

/** 10 s after the first failure since the last success, doubling up to 6 min; 0 when there was none. From the pods alone. */
export function backoffMs(job: Job, pods: readonly Pod[], nowMs: number): number {
  const succeeded = pods.filter((pod) => pod.status?.phase === 'Succeeded').map(finishedMs);
  const lastSuccess = Math.max(-1, ...succeeded);
  const failures = pods
    .filter((pod) => hasFailed(job, pod) && failurePolicyOf(job, pod)?.action !== 'Ignore')
    .map(finishedMs)
    .filter((ms) => ms > lastSuccess);
  if (failures.length === 0) return 0;
  return Math.max(0, Math.max(...failures) + delayAfter(failures.length) - nowMs);
}

/** Restarts in place count against the limit when the pods restart their containers themselves. */
export function restartsExceed(job: Job, pods: readonly Pod[]): boolean {
  if (job.spec?.template?.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const pod of pods) {
    if (isPodTerminal(pod)) continue;
    const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
    for (const status of [...initContainerStatuses, ...containerStatuses]) restarts += status.restartCount ?? 0;
  }
  const limit = job.spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}
