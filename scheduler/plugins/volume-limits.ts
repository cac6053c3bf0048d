// A node has no more volumes of a CSI driver than the driver says (CSINode.spec.drivers[].allocatable.count).
import type { FilterPlugin, NodeInfo, PodInfo } from '../framework.ts';
import type { DriverVolume } from '../drivers.ts';
import type { StorageView } from '../volumes.ts';

interface State {
  storage: StorageView;
  wanted: DriverVolume[];
}

const tooMany = { reasons: ['node(s) exceed max volume count'], unresolvable: false };

export const volumeLimits: FilterPlugin<State> = {
  name: 'NodeVolumeLimits',
  wakesOn: () => ['node-added', 'pod-removed', 'storage-changed'],
  prepare(pod, { storage }) {
    const wanted = storage ? volumesOf(pod, storage) : [];
    return storage && wanted.length > 0 ? { storage, wanted } : undefined;
  },
  filter({ storage, wanted }, node) {
    const limits = storage.limits(node.name);
    if (!limits || !wanted.some((each) => limits.has(each.driver))) return undefined;
    const present = presentOn(node, storage);
    for (const [driver, limit] of limits) {
      const own = present.get(driver) ?? new Set();
      const added = new Set(wanted.filter((each) => each.driver === driver && !own.has(each.handle)));
      if (added.size > 0 && own.size + added.size > limit) return tooMany;
    }
    return undefined;
  },
};

function volumesOf(pod: PodInfo, storage: StorageView): DriverVolume[] {
  return pod.claims.flatMap((key) => {
    const volume = storage.driverVolume(pod.namespace, key.slice(pod.namespace.length + 1));
    return volume ? [volume] : [];
  });
}

/** Handles by driver: of the node's pods, and what is still attached. */
function presentOn(node: NodeInfo, storage: StorageView): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const add = ({ driver, handle }: DriverVolume) => {
    let handles = found.get(driver);
    if (!handles) found.set(driver, (handles = new Set()));
    handles.add(handle);
  };
  for (const pod of node.pods.values()) if (pod.claims.length > 0) volumesOf(pod, storage).forEach(add);
  storage.attached(node.name).forEach(add);
  return found;
}
