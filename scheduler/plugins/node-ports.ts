// Two pods cannot listen on the same host port, protocol and address of one node; 0.0.0.0 is every address.
import type { FilterPlugin, HostPort } from '../framework.ts';

const ANY = '0.0.0.0';

export function portsConflict(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port && a.protocol === b.protocol && (a.hostIP === b.hostIP || a.hostIP === ANY || b.hostIP === ANY)
  );
}

const refusal = { reasons: ["node(s) didn't have free ports for the requested pod ports"], unresolvable: false };

export const nodePorts: FilterPlugin<readonly HostPort[]> = {
  name: 'NodePorts',
  wakesOn: () => ['node-added', 'pod-removed'],
  prepare: (pod) => (pod.hostPorts.length > 0 ? pod.hostPorts : undefined),
  filter(wanted, node) {
    for (const { hostPorts } of node.pods.values()) {
      for (const taken of hostPorts) for (const port of wanted) if (portsConflict(port, taken)) return refusal;
    }
    return undefined;
  },
};
