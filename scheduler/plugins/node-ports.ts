// Two pods cannot listen on the same host port, protocol and address of one node; 0.0.0.0 is every address.
import type { FilterPlugin, HostPort } from '../framework.ts';

const ANY = '0.0.0.0';

export function portsConflict(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port && a.protocol === b.protocol && (a.hostIP === b.hostIP || a.hostIP === ANY || b.hostIP === ANY)
  );
}

export const nodePorts: FilterPlugin = {
  name: 'NodePorts',
  wakesOn: ['node-added', 'pod-removed'],
  applies: (pod) => pod.hostPorts.length > 0,
  filter(pod, node) {
    for (const other of node.pods.values()) {
      if (other.hostPorts.some((taken) => pod.hostPorts.some((wanted) => portsConflict(wanted, taken)))) {
        return ["node(s) didn't have free ports for the requested pod ports"];
      }
    }
    return undefined;
  },
};
