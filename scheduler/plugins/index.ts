// The default profile: the order of filters decides which reason a node is counted under; it and the weights are upstream's.
import type { Profile } from '../framework.ts';
import { imageLocality } from './image-locality.ts';
import { interPodAffinity, interPodAffinityScore } from './inter-pod-affinity.ts';
import { nodeAffinity, nodeAffinityScore } from './node-affinity.ts';
import { nodeName } from './node-name.ts';
import { nodePorts } from './node-ports.ts';
import { balancedAllocation, leastAllocated, nodeResourcesFit } from './node-resources.ts';
import { nodeUnschedulable } from './node-unschedulable.ts';
import { taintToleration, taintTolerationScore } from './taint-toleration.ts';
import { topologySpread, topologySpreadScore } from './topology-spread.ts';
import { volumeBinding } from './volume-binding.ts';
import { volumeLimits } from './volume-limits.ts';
import { volumeRestrictions } from './volume-restrictions.ts';
import { volumeZone } from './volume-zone.ts';
import { unsupported } from './unsupported.ts';

export const defaultProfile: Profile = {
  filters: [
    unsupported,
    nodeUnschedulable,
    nodeName,
    taintToleration,
    nodeAffinity,
    nodePorts,
    nodeResourcesFit,
    volumeRestrictions,
    volumeLimits,
    volumeBinding,
    volumeZone,
    topologySpread,
    interPodAffinity,
  ],
  scores: [
    taintTolerationScore,
    nodeAffinityScore,
    topologySpreadScore,
    interPodAffinityScore,
    leastAllocated,
    balancedAllocation,
    imageLocality,
  ],
};
