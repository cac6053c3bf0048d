// Which pods make way for a critical one that came to a full node: upstream's pkg/kubelet/preemption. Pure. The least important class of
// service gives as much as it can, each class the fewest pods and of those the smallest.
import { podQosClass, podRequests } from '../../api/pod-resources.ts';
import { intValue, milliValue } from '../../api/quantity.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { isStaticPod } from './static-pods.ts';

export const PREEMPTED_MESSAGE = 'Preempted in order to admit critical pod';

/** An amount of a resource that is missing; CPU in thousandths. */
export interface Shortage {
  resource: string;
  amount: number;
}

export const isCriticalPod = (pod: Pod): boolean => isStaticPod(pod) || (pod.spec?.priority ?? 0) >= 2_000_000_000;

function mayPreempt(pod: Pod, other: Pod): boolean {
  if (isCriticalPod(pod) && !isCriticalPod(other)) return true;
  const [own, theirs] = [pod.spec?.priority, other.spec?.priority];
  return own !== undefined && theirs !== undefined && own > theirs;
}

export function requestOf(pod: Pod, resource: string): number {
  if (resource === 'pods') return 1;
  const quantity = podRequests(pod).get(resource);
  if (!quantity) return 0;
  return resource === 'cpu' ? milliValue(quantity) : intValue(quantity);
}

/** Throws when even all that may go would not be enough. */
export function podsToPreempt(pod: Pod, others: readonly Pod[], missing: readonly Shortage[]): Pod[] {
  const candidates = others.filter((each) => mayPreempt(pod, each));
  const of = (qos: string) => candidates.filter((each) => podQosClass(each) === qos);
  const [bestEffort, burstable, guaranteed] = [of('BestEffort'), of('Burstable'), of('Guaranteed')];
  const unmet = less(missing, candidates);
  if (unmet.length > 0) throw new Error(noneFound(unmet));
  const fromGuaranteed = nearest(guaranteed, less(missing, [...bestEffort, ...burstable]));
  const fromBurstable = nearest(burstable, less(missing, [...bestEffort, ...fromGuaranteed]));
  const fromBestEffort = nearest(bestEffort, less(missing, [...fromBurstable, ...fromGuaranteed]));
  return [...fromBestEffort, ...fromBurstable, ...fromGuaranteed];
}

/** What is still missing when these pods are gone. */
function less(missing: readonly Shortage[], pods: readonly Pod[]): Shortage[] {
  return missing
    .map(({ resource, amount }) => ({
      resource,
      amount: pods.reduce((left, each) => left - requestOf(each, resource), amount),
    }))
    .filter((each) => each.amount > 0);
}

function nearest(pods: readonly Pod[], missing: readonly Shortage[]): Pod[] {
  const left = [...pods];
  const found: Pod[] = [];
  for (let open = [...missing]; open.length > 0; ) {
    let best = 0;
    for (let index = 1; index < left.length; index++) if (isNearer(left[index], left[best], open)) best = index;
    const [pod] = left.splice(best, 1);
    if (!pod) throw new Error(noneFound(open));
    open = less(open, [pod]);
    found.push(pod);
  }
  return found;
}

function isNearer(a: Pod | undefined, b: Pod | undefined, missing: readonly Shortage[]): boolean {
  if (!a || !b) return false;
  const [x, y] = [distance(a, missing), distance(b, missing)];
  return x < y || (x === y && isSmaller(a, b));
}

/** The share of each shortage that the pod leaves open, squared and added up. */
function distance(pod: Pod, missing: readonly Shortage[]): number {
  return missing.reduce((total, { resource, amount }) => {
    const left = amount - requestOf(pod, resource);
    return left > 0 ? total + (left / amount) ** 2 : total;
  }, 0);
}

function isSmaller(a: Pod, b: Pod): boolean {
  for (const resource of ['memory', 'cpu']) {
    const [x, y] = [requestOf(a, resource), requestOf(b, resource)];
    if (x !== y) return x < y;
  }
  return true;
}

const noneFound = (missing: readonly Shortage[]) =>
  `no set of running pods found to reclaim resources: [${missing.map((each) => `(res: ${each.resource}, q: ${each.amount}), `).join('')}]`;
