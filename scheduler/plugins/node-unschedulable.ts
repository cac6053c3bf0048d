// Cordoned nodes take only pods that tolerate the taint that cordoning stands for.
import type { FilterPlugin } from '../framework.ts';
import { toleratesTaint } from '../../api/node-rules.ts';

const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
const refusal = { reasons: ['node(s) were unschedulable'], unresolvable: true };

export const nodeUnschedulable: FilterPlugin<true> = {
  name: 'NodeUnschedulable',
  wakesOn: () => ['node-added', 'node-changed'],
  prepare: (pod) => (toleratesTaint(pod.pod.spec?.tolerations, taint) ? undefined : true),
  filter: (_, node) => (node.node.spec?.unschedulable ? refusal : undefined),
};
