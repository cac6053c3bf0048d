// A pod that names its node runs there or nowhere.
import type { FilterPlugin } from '../framework.ts';

const refusal = { reasons: ["node(s) didn't match the requested node name"], unresolvable: true };

export const nodeName: FilterPlugin<string> = {
  name: 'NodeName',
  wakesOn: () => ['node-added'],
  prepare: (pod) => pod.pod.spec?.nodeName || undefined,
  filter: (name, node) => (name === node.name ? undefined : refusal),
};
