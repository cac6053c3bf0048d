// Resource requests against what the node has left; scores prefer emptier and more evenly used nodes.
import type { FilterPlugin, NodeInfo, PodInfo, ScorePlugin } from '../framework.ts';

export const nodeResourcesFit: FilterPlugin = {
  name: 'NodeResourcesFit',
  wakesOn: ['node-added', 'node-changed', 'pod-removed'],
  applies: () => true,
  filter(pod, node) {
    const short: string[] = [];
    if (node.pods.size + 1 > node.allocatable.pods) short.push('Too many pods');
    const { requests } = pod;
    const over = (wanted: number, taken: number, has: number) => wanted > 0 && wanted > has - taken;
    if (over(requests.milliCpu, node.requested.milliCpu, node.allocatable.milliCpu)) short.push('Insufficient cpu');
    if (over(requests.memoryBytes, node.requested.memoryBytes, node.allocatable.memoryBytes)) {
      short.push('Insufficient memory');
    }
    if (
      over(requests.ephemeralStorageBytes, node.requested.ephemeralStorageBytes, node.allocatable.ephemeralStorageBytes)
    ) {
      short.push('Insufficient ephemeral-storage');
    }
    for (const [name, wanted] of requests.scalars) {
      if (over(wanted, node.requested.scalars.get(name) ?? 0, node.allocatable.scalars.get(name) ?? 0)) {
        short.push(`Insufficient ${name}`);
      }
    }
    return short.length > 0 ? short : undefined;
  },
};

/** The share in use once the pod is there, 0..1 for CPU and memory. */
function shares(pod: PodInfo, node: NodeInfo): [number, number] {
  const share = (wanted: number, taken: number, has: number) => (has > 0 ? Math.min(1, (taken + wanted) / has) : 1);
  return [
    share(pod.scoredRequests.milliCpu, node.scoredRequested.milliCpu, node.allocatable.milliCpu),
    share(pod.scoredRequests.memoryBytes, node.scoredRequested.memoryBytes, node.allocatable.memoryBytes),
  ];
}

export const leastAllocated: ScorePlugin = {
  name: 'NodeResourcesFit',
  weight: 1,
  applies: () => true,
  score(pod, node) {
    const [cpu, memory] = shares(pod, node);
    return ((1 - cpu + (1 - memory)) / 2) * 100;
  },
  normalize: 'as-is',
};

export const balancedAllocation: ScorePlugin = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  applies: () => true,
  score(pod, node) {
    const [cpu, memory] = shares(pod, node);
    // With two resources the standard deviation is half their distance.
    return (1 - Math.abs(cpu - memory) / 2) * 100;
  },
  normalize: 'as-is',
};
