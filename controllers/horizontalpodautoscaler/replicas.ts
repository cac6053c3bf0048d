// How many replicas a measurement asks for: usage against a target, with what is known of pods that are not ready or were not
// measured. Upstream's replica calculator. Pure; all values are thousandths.
import { isPodReady, podCondition } from '../../api/pod-conditions.ts';
import { cpuMillis } from '../../api/quantity.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { parseTime } from '../parts/time.ts';

export interface PodMetric {
  value: number;
  timestampMs: number;
  windowMs: number;
}

/** By the pod's name. */
export type PodMetrics = ReadonlyMap<string, PodMetric>;

/** How far usage may be from the target, as a ratio, before anything changes. */
export interface Tolerance {
  up: number;
  down: number;
}

const INITIALIZATION_MS = 5 * 60_000;
const INITIAL_READINESS_MS = 30_000;

/** What stops a calculation; the message is shown in a condition and an event. */
export class MetricError extends Error {}

interface Groups {
  ready: number;
  unready: string[];
  missing: string[];
}

/** Sorts pods by what may be concluded from their measurement; those that end or failed are left out. */
export function groupPods(
  pods: readonly Pod[],
  metrics: PodMetrics,
  resource: string | undefined,
  nowMs: number,
): Groups {
  const groups: Groups = { ready: 0, unready: [], missing: [] };
  for (const pod of pods) {
    const name = pod.metadata.name as string;
    if (pod.metadata.deletionTimestamp || pod.status?.phase === 'Failed') continue;
    const metric = metrics.get(name);
    if (pod.status?.phase === 'Pending') groups.unready.push(name);
    else if (!metric) groups.missing.push(name);
    else if (resource === 'cpu' && isInitializing(pod, metric, nowMs)) groups.unready.push(name);
    else groups.ready++;
  }
  return groups;
}

/** The CPU that a pod needs to begin with says nothing about its load. */
function isInitializing(pod: Pod, metric: PodMetric, nowMs: number): boolean {
  const condition = podCondition(pod, 'Ready');
  if (!condition || !pod.status?.startTime) return true;
  const startedMs = parseTime(pod.status.startTime);
  const changedMs = parseTime(condition.lastTransitionTime);
  if (startedMs + INITIALIZATION_MS > nowMs)
    return condition.status === 'False' || metric.timestampMs < changedMs + metric.windowMs;
  return condition.status === 'False' && startedMs + INITIAL_READINESS_MS > changedMs;
}

export const isWithin = (ratio: number, { up, down }: Tolerance): boolean => 1 - down <= ratio && ratio <= 1 + up;

interface Question {
  currentReplicas: number;
  pods: readonly Pod[];
  metrics: PodMetrics;
  resource?: string;
  tolerance: Tolerance;
  nowMs: number;
}

/** Replicas for a target of usage as a share (percent) of what the pods, or one of their containers, request. */
export function replicasForUtilization(
  question: Question & { resource: string; container?: string; targetPercent: number },
): { replicas: number; percent: number; average: number } {
  const { pods, resource, targetPercent } = question;
  const { ready, groups, metrics } = measured(question);
  const requests = new Map(
    pods.map((pod) => [pod.metadata.name as string, requestOf(pod, resource, question.container)]),
  );
  const utilization = (values: ReadonlyMap<string, number>) => {
    let usage = 0;
    let requested = 0;
    let count = 0;
    for (const [name, value] of values) {
      const request = requests.get(name);
      if (request === undefined) continue;
      usage += value;
      requested += request;
      count++;
    }
    if (requested === 0) throw new MetricError('no metrics returned matched known pods');
    const percent = Math.trunc((usage * 100) / requested);
    return { ratio: percent / targetPercent, percent, average: Math.trunc(usage / count) };
  };
  const first = utilization(metrics);
  const fallback = (name: string) => ((requests.get(name) ?? 0) * Math.max(100, targetPercent)) / 100;
  const replicas = conclude(question, first.ratio, { ready, groups, metrics }, fallback, (values) => {
    return utilization(values).ratio;
  });
  return { replicas, percent: first.percent, average: first.average };
}

/** Replicas for a target of usage per pod. */
export function replicasForAverage(question: Question & { target: number }): { replicas: number; average: number } {
  const { target } = question;
  const { ready, groups, metrics } = measured(question);
  const averageOf = (values: ReadonlyMap<string, number>) =>
    Math.trunc([...values.values()].reduce((sum, value) => sum + value, 0) / values.size);
  const average = averageOf(metrics);
  const replicas = conclude(
    question,
    average / target,
    { ready, groups, metrics },
    () => target,
    (values) => averageOf(values) / target,
  );
  return { replicas, average };
}

interface Measured {
  ready: number;
  groups: Groups;
  metrics: Map<string, number>;
}

function measured({ pods, metrics, resource, nowMs }: Question): Measured {
  if (pods.length === 0) throw new MetricError('no pods returned by selector while calculating replica count');
  const groups = groupPods(pods, metrics, resource, nowMs);
  const left = new Map([...metrics].map(([name, { value }]) => [name, value]));
  for (const name of groups.unready) left.delete(name);
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp || pod.status?.phase === 'Failed') left.delete(pod.metadata.name as string);
  }
  if (left.size === 0) throw new MetricError('did not receive metrics for targeted pods (pods might be unready)');
  return { ready: groups.ready, groups, metrics: left };
}

/** Pods of which nothing is known are counted against a change: as idle when growing, as busy when shrinking. */
function conclude(
  { currentReplicas, tolerance }: Question,
  ratio: number,
  { ready, groups, metrics }: Measured,
  busy: (name: string) => number,
  ratioOf: (values: ReadonlyMap<string, number>) => number,
): number {
  const countsUnready = groups.unready.length > 0 && ratio > 1;
  if (!countsUnready && groups.missing.length === 0)
    return isWithin(ratio, tolerance) ? currentReplicas : Math.ceil(ratio * ready);
  const assumed = new Map(metrics);
  for (const name of groups.missing) {
    if (ratio < 1) assumed.set(name, busy(name));
    else if (ratio > 1) assumed.set(name, 0);
  }
  if (countsUnready) for (const name of groups.unready) assumed.set(name, 0);
  const corrected = ratioOf(assumed);
  if (isWithin(corrected, tolerance) || (ratio < 1 && corrected > 1) || (ratio > 1 && corrected < 1))
    return currentReplicas;
  const replicas = Math.ceil(corrected * assumed.size);
  const isOpposite = (corrected < 1 && replicas > currentReplicas) || (corrected > 1 && replicas < currentReplicas);
  return isOpposite ? currentReplicas : replicas;
}

function requestOf(pod: Pod, resource: string, container: string | undefined): number {
  const forPod = pod.spec?.resources?.requests?.[resource];
  if (container === undefined && forPod !== undefined) return cpuMillis(forPod);
  const sidecars = (pod.spec?.initContainers ?? []).filter((each) => each.restartPolicy === 'Always');
  let sum = 0;
  for (const each of [...(pod.spec?.containers ?? []), ...sidecars]) {
    if (container !== undefined && each.name !== container) continue;
    const request = each.resources?.requests?.[resource];
    if (request === undefined)
      throw new MetricError(`missing request for ${resource} in container ${each.name} of Pod ${pod.metadata.name}`);
    sum += cpuMillis(request);
  }
  return sum;
}

/** Replicas for a value that is not of the pods: `usage` against a target for all of them. */
export function replicasForValue(question: {
  currentReplicas: number;
  pods: readonly Pod[];
  tolerance: Tolerance;
  target: number;
  usage: number;
}): number {
  const { currentReplicas, pods, tolerance, target, usage } = question;
  const ratio = usage / target;
  if (currentReplicas === 0) return Math.ceil(ratio);
  if (isWithin(ratio, tolerance)) return currentReplicas;
  if (pods.length === 0)
    throw new MetricError(
      'unable to calculate ready pods: no pods returned by selector while calculating replica count',
    );
  const ready = pods.filter((pod) => pod.status?.phase === 'Running' && isPodReady(pod)).length;
  return Math.ceil(ratio * ready);
}

/** Replicas for a value that is not of the pods: a target for each replica's part of it. */
export function replicasForValuePerReplica(question: {
  statusReplicas: number;
  tolerance: Tolerance;
  target: number;
  usage: number;
}): { replicas: number; average: number } {
  const { statusReplicas, tolerance, target, usage } = question;
  const isEnough = statusReplicas > 0 && isWithin(usage / (target * statusReplicas), tolerance);
  return {
    replicas: isEnough ? statusReplicas : Math.ceil(usage / target),
    average: statusReplicas > 0 ? Math.ceil(usage / statusReplicas) : 0,
  };
}
