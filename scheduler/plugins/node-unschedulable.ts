// Cordoned nodes take only pods that tolerate the taint that cordoning stands for.
import type { FilterPlugin } from '../framework.ts';
import { tolerates } from './taint-toleration.ts';

export const nodeUnschedulable: FilterPlugin = {
  name: 'NodeUnschedulable',
  wakesOn: ['node-added', 'node-changed'],
  applies: () => true,
  filter(pod, node) {
    if (!node.node.spec?.unschedulable) return undefined;
    const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
    return tolerates(pod.pod.spec?.tolerations, taint) ? undefined : ['node(s) were unschedulable'];
  },
};
