// Whom to evict so that a more important pod fits: the node where the least is lost. Pure but for the cache's what-ifs;
// the rules and their order are upstream's DefaultPreemption.
import { selectorFromObject } from '../api/selectors.ts';
import type { PodDisruptionBudget } from '../api/types/policy-v1.ts';
import type { Random } from '../lib/clock.ts';
import type { SchedulerCache } from './cache.ts';
import { PodFilters, refuseBesideNominated } from './cycle.ts';
import type { Diagnosis, NodeInfo, PodInfo, Profile, Refusal } from './framework.ts';
import { unschedulableMessage } from './message.ts';

export type Preemption =
  | { kind: 'evict'; node: string; victims: readonly PodInfo[] }
  /** Room is being made already, or the pod may not ask for it: its nomination stays as it is. */
  | { kind: 'ineligible'; message: string }
  | { kind: 'none'; message: string };

interface Candidate {
  node: NodeInfo;
  /** Most important first. */
  victims: readonly PodInfo[];
  /** Victims whose disruption budget is used up. */
  violations: number;
}

const noVictims: Refusal = { reasons: ['No preemption victims found for incoming pod'], unresolvable: true };

export function preempt(
  pod: PodInfo,
  cache: SchedulerCache,
  profile: Profile,
  diagnosis: Diagnosis,
  budgets: readonly PodDisruptionBudget[],
  random: Random,
): Preemption {
  const ineligible = whyIneligible(pod, cache, diagnosis);
  if (ineligible) return { kind: 'ineligible', message: ineligible };
  const { resolvable, nodeCount } = diagnosis;
  const reasons = new Map<string, number>();
  const count = (refusal: Refusal, times = 1) => {
    for (const each of refusal.reasons) reasons.set(each, (reasons.get(each) ?? 0) + times);
  };
  const helpless = nodeCount - resolvable.length;
  if (helpless > 0) reasons.set('Preemption is not helpful for scheduling', helpless);
  const candidates: Candidate[] = [];
  if (cache.hasBelow(pod.priority)) {
    const wanted = Math.min(resolvable.length, Math.max(Math.floor(nodeCount / 10), 100));
    const offset = Math.floor(random() * resolvable.length);
    let harmless = 0;
    for (let i = 0; i < resolvable.length && harmless < wanted && candidates.length < 2 * wanted; i++) {
      const node = resolvable[(offset + i) % resolvable.length] as NodeInfo;
      const found = victimsOn(pod, node, cache, profile, budgets);
      if ('reasons' in found) {
        count(found);
        continue;
      }
      candidates.push(found);
      if (found.violations === 0) harmless++;
    }
  } else if (resolvable.length > 0) count(noVictims, resolvable.length);
  const chosen = leastLost(candidates);
  if (!chosen) return { kind: 'none', message: unschedulableMessage({ nodeCount, reasons }) };
  return { kind: 'evict', node: chosen.node.name, victims: chosen.victims };
}

function whyIneligible(pod: PodInfo, cache: SchedulerCache, diagnosis: Diagnosis): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
  const nominated = cache.node(cache.nominatedNode(pod.uid) ?? '');
  // On a node that eviction cannot help any more the pod need not wait.
  if (!nominated || !diagnosis.resolvable.includes(nominated)) return undefined;
  for (const each of nominated.pods.values()) {
    if (each.isTerminating && each.priority < pod.priority) {
      return 'not eligible due to a terminating pod on the nominated node.';
    }
  }
  return undefined;
}

/** All less important pods leave, then as many as possible return, the most important and the protected first. */
function victimsOn(
  pod: PodInfo,
  node: NodeInfo,
  cache: SchedulerCache,
  profile: Profile,
  budgets: readonly PodDisruptionBudget[],
): Candidate | Refusal {
  const lower: PodInfo[] = [];
  for (const each of node.pods.values()) if (each.priority < pod.priority) lower.push(each);
  if (lower.length === 0) return noVictims;
  lower.sort(moreImportantFirst);
  return cache.withoutPods<Candidate | Refusal>(node, lower, ({ restore, remove }) => {
    const refuse = () => refuseBesideNominated(pod, node, cache, profile, new PodFilters(pod, cache, profile.filters));
    const refusal = refuse();
    if (refusal) return refusal;
    const protectedPods = violating(lower, budgets);
    const victims: PodInfo[] = [];
    let violations = 0;
    const reprieve = (each: PodInfo): void => {
      restore(each);
      if (!refuse()) return;
      remove(each);
      victims.push(each);
      if (protectedPods.has(each)) violations++;
    };
    for (const each of lower) if (protectedPods.has(each)) reprieve(each);
    for (const each of lower) if (!protectedPods.has(each)) reprieve(each);
    return { node, victims: victims.sort(moreImportantFirst), violations };
  });
}

/** Pods whose eviction would take more than a budget of theirs allows, when evicted in this order. */
function violating(pods: readonly PodInfo[], budgets: readonly PodDisruptionBudget[]): Set<PodInfo> {
  const found = new Set<PodInfo>();
  if (budgets.length === 0) return found;
  const allowances = budgets.map((budget) => ({
    namespace: budget.metadata.namespace,
    selector: selectorFromObject(budget.spec?.selector),
    disrupted: budget.status?.disruptedPods ?? {},
    left: budget.status?.disruptionsAllowed ?? 0,
  }));
  for (const pod of pods) {
    if (pod.labelPairs.length === 0) continue;
    for (const each of allowances) {
      if (each.namespace !== pod.namespace || each.selector.everything || !each.selector.matches(pod.labels)) continue;
      // Its disruption is counted already.
      if (Object.hasOwn(each.disrupted, pod.pod.metadata.name ?? '')) continue;
      if (--each.left < 0) found.add(pod);
    }
  }
  return found;
}

const startOf = (pod: PodInfo) => Date.parse(pod.pod.status?.startTime ?? '') || Infinity;

/** Higher priority, then longer running. */
function moreImportantFirst(a: PodInfo, b: PodInfo): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  const [left, right] = [startOf(a), startOf(b)];
  return left === right ? 0 : left - right;
}

/** Upstream adds this to each priority, so that more victims always weigh more. */
const PRIORITY_OFFSET = 2 ** 31;

/** Fewest broken budgets; lowest highest priority; smallest sum of priorities; fewest victims; youngest at the top. */
function leastLost(candidates: readonly Candidate[]): Candidate | undefined {
  const cost = ({ violations, victims }: Candidate) => {
    const highest = victims[0]?.priority ?? -Infinity;
    const top = victims.filter((each) => each.priority === highest).map(startOf);
    return [
      violations,
      highest,
      victims.reduce((sum, each) => sum + each.priority + PRIORITY_OFFSET, 0),
      victims.length,
      -Math.min(Infinity, ...top),
    ];
  };
  let best: { candidate: Candidate; cost: number[] } | undefined;
  for (const candidate of candidates) {
    const found = { candidate, cost: cost(candidate) };
    if (!best || isLess(found.cost, best.cost)) best = found;
  }
  return best?.candidate;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i] as number, b[i] as number];
    if (left !== right) return left < right;
  }
  return false;
}
