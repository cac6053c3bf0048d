// The sentence that a pending pod's condition and event carry: how many nodes, and which filter refused how many. Pure.
import type { Diagnosis } from './framework.ts';

/**
 * `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`, or that there are no nodes at all;
 * `preemption` is what was said when room was sought by preempting.
 */
export function unschedulableMessage(
  diagnosis: Pick<Diagnosis, 'nodeCount' | 'reasons' | 'everywhere'>,
  preemption?: string,
): string {
  if (diagnosis.nodeCount === 0) return 'no nodes available to schedule pods';
  if (diagnosis.everywhere !== undefined) {
    return `0/${diagnosis.nodeCount} nodes are available: ${diagnosis.everywhere}.`;
  }
  const parts = [...diagnosis.reasons].map(([reason, count]) => `${count} ${reason}`).toSorted();
  const message = `0/${diagnosis.nodeCount} nodes are available: ${parts.join(', ')}.`;
  return preemption === undefined ? message : `${message} preemption: ${preemption}`;
}
