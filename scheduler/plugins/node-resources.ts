// Resource requests against what the node has left; scores prefer emptier and more evenly used nodes.
import type { FilterPlugin, NodeInfo, PodInfo, Refusal, ScorePlugin } from '../framework.ts';
import { asIs } from '../normalize.ts';

interface FitState {
  pod: PodInfo;
  /** One refusal for each set of reasons, so that nodes with equal ones count together. */
  refusals: Map<string, Refusal>;
}

function refusalOf({ refusals }: FitState, reasons: readonly string[], unresolvable: boolean): Refusal {
  const key = `${unresolvable} ${reasons.join()}`;
  let found = refusals.get(key);
  if (!found) refusals.set(key, (found = { reasons, unresolvable }));
  return found;
}

const over = (wanted: number, taken: number, has: number) => wanted > 0 && wanted > has - taken;

function fits({ requests }: PodInfo, { pods, allocatable, requested }: NodeInfo): boolean {
  if (
    pods.size + 1 > allocatable.pods ||
    over(requests.milliCpu, requested.milliCpu, allocatable.milliCpu) ||
    over(requests.memoryBytes, requested.memoryBytes, allocatable.memoryBytes) ||
    over(requests.ephemeralStorageBytes, requested.ephemeralStorageBytes, allocatable.ephemeralStorageBytes)
  ) {
    return false;
  }
  if (requests.scalars.size === 0) return true;
  for (const [name, wanted] of requests.scalars) {
    if (over(wanted, requested.scalars.get(name) ?? 0, allocatable.scalars.get(name) ?? 0)) return false;
  }
  return true;
}

function shortage(state: FitState, { pods, allocatable, requested }: NodeInfo): Refusal {
  const { requests } = state.pod;
  const short: string[] = [];
  let isTooSmall = false;
  if (pods.size + 1 > allocatable.pods) short.push('Too many pods');
  const check = (name: string, wanted: number, taken: number, has: number) => {
    if (!over(wanted, taken, has)) return;
    short.push(`Insufficient ${name}`);
    if (wanted > has) isTooSmall = true;
  };
  check('cpu', requests.milliCpu, requested.milliCpu, allocatable.milliCpu);
  check('memory', requests.memoryBytes, requested.memoryBytes, allocatable.memoryBytes);
  const { ephemeralStorageBytes } = requests;
  check('ephemeral-storage', ephemeralStorageBytes, requested.ephemeralStorageBytes, allocatable.ephemeralStorageBytes);
  for (const [name, wanted] of requests.scalars) {
    check(name, wanted, requested.scalars.get(name) ?? 0, allocatable.scalars.get(name) ?? 0);
  }
  return refusalOf(state, short, isTooSmall);
}

export const nodeResourcesFit: FilterPlugin<FitState> = {
  name: 'NodeResourcesFit',
  wakesOn: () => ['node-added', 'node-changed', 'pod-removed'],
  prepare: (pod) => ({ pod, refusals: new Map() }),
  filter: (state, node) => (fits(state.pod, node) ? undefined : shortage(state, node)),
};

/** The share in use once the pod is there, 0..1. */
const share = (wanted: number, taken: number, has: number) => (has > 0 ? Math.min(1, (taken + wanted) / has) : 1);
const cpuShare = (pod: PodInfo, node: NodeInfo) =>
  share(pod.scoredRequests.milliCpu, node.scoredRequested.milliCpu, node.allocatable.milliCpu);
const memoryShare = (pod: PodInfo, node: NodeInfo) =>
  share(pod.scoredRequests.memoryBytes, node.scoredRequested.memoryBytes, node.allocatable.memoryBytes);

export const leastAllocated: ScorePlugin<PodInfo> = {
  name: 'NodeResourcesFit',
  weight: 1,
  prepare: (pod) => pod,
  score: (pod, node) => ((1 - cpuShare(pod, node) + (1 - memoryShare(pod, node))) / 2) * 100,
  normalize: asIs,
};

export const balancedAllocation: ScorePlugin<PodInfo> = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  prepare: (pod) => pod,
  // With two resources the standard deviation is half their distance.
  score: (pod, node) => (1 - Math.abs(cpuShare(pod, node) - memoryShare(pod, node)) / 2) * 100,
  normalize: asIs,
};
