// What follows from a pod's quality-of-service class for the OOM killer. Pure; upstream pkg/kubelet/qos.
import { podQosClass } from '../../api/pod-resources.ts';
import type { Container, Pod } from '../../api/types/core-v1.ts';
import { bytesOf } from './amounts.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** The class that the API server has settled, or what it would be. */
export function qosClassOf(pod: Pod): QosClass {
  return (pod.status?.qosClass as QosClass | undefined) ?? podQosClass(pod);
}

/** Guaranteed -997, BestEffort 1000, Burstable by its share of the node's memory. */
export function oomScoreAdj(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  const qos = qosClassOf(pod);
  if (qos === 'Guaranteed' || (pod.spec?.priority ?? 0) >= 2_000_000_000) return -997;
  if (qos === 'BestEffort') return 1000;
  const request = bytesOf(container.resources?.requests?.['memory']);
  const score = 1000 - Math.floor((1000 * request) / Math.max(1, nodeMemoryBytes));
  if (score < 3) return 3;
  return score === 1000 ? 999 : score;
}
