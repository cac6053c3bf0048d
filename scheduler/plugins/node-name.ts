// A pod that names its node runs there or nowhere.
import type { FilterPlugin } from '../framework.ts';

export const nodeName: FilterPlugin = {
  name: 'NodeName',
  wakesOn: ['node-added'],
  applies: (pod) => Boolean(pod.pod.spec?.nodeName),
  filter: (pod, node) =>
    pod.pod.spec?.nodeName === node.name ? undefined : ["node(s) didn't match the requested node name"],
};
