// Plugins around nodes: a new node is tainted until it is known to be ready, and a pod learns its node's topology when it
// is bound.
import type { KubeObject } from '../../api/object.ts';
import type { Binding, Node } from '../../api/types/core-v1.ts';
import { type AdmissionPlugin, onKind } from './chain.ts';
import type { Lookup } from './lookup.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';

export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  handles: onKind('', 'nodes', 'CREATE'),
  mutate({ object }) {
    const node = object as Node & KubeObject;
    const taints = node.spec?.taints ?? [];
    if (taints.some((each) => each.key === NOT_READY && each.effect === 'NoSchedule')) return;
    node.spec = { ...node.spec, taints: [...taints, { key: NOT_READY, effect: 'NoSchedule' }] };
  },
};

const TOPOLOGY = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone'];

/** The labels of the node that a Binding carries over to its pod. */
export function podTopologyLabels(lookup: Lookup): AdmissionPlugin {
  return {
    name: 'PodTopologyLabels',
    handles: (kind, subresource, operation) =>
      kind.group === '' &&
      operation === 'CREATE' &&
      ((kind.resource === 'pods' && subresource === 'binding') || (kind.resource === 'bindings' && subresource === '')),
    async mutate({ object }) {
      const binding = object as Binding & KubeObject;
      const { kind = '', name } = binding.target ?? {};
      if ((kind !== '' && kind !== 'Node') || !name) return;
      const node = await lookup.find<Node & KubeObject>('', 'nodes', '', name);
      const labels = Object.entries(node?.metadata.labels ?? {}).filter(([key]) => TOPOLOGY.includes(key));
      if (labels.length === 0) return;
      binding.metadata.labels = { ...binding.metadata.labels, ...Object.fromEntries(labels) };
    },
  };
}
