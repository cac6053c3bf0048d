// The CSINode object of this node: which drivers it has, what they call it, how many volumes of each it can have.
import { ApiError } from '../../../api/errors.ts';
import type { CSINode } from '../../../api/types/storage-v1.ts';
import type { Client } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';

const csiNodes = {
  group: 'storage.k8s.io',
  version: 'v1',
  resource: 'csinodes',
  kind: 'CSINode',
  namespaced: false,
};

export interface NodeInfo {
  nodeId?: string;
  maxVolumesPerNode?: number;
  accessibleTopology?: { segments?: Record<string, string> } | null;
}

/** Adds the driver, or what it says of itself now. */
export async function publishCsiNode(client: Client, nodeName: string, driver: string, info: NodeInfo): Promise<void> {
  const nodes = client.resource<CSINode>(csiNodes);
  const count = info.maxVolumesPerNode ?? 0;
  const entry = {
    name: driver,
    nodeID: info.nodeId ?? nodeName,
    topologyKeys: Object.keys(info.accessibleTopology?.segments ?? {}),
    ...(count > 0 && { allocatable: { count } }),
  };
  try {
    const known = await nodes.get(nodeName);
    const others = (known.spec?.drivers ?? []).filter((each) => each.name !== driver);
    await nodes.update({ ...known, spec: { drivers: [...others, entry] } });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 404) throw error;
    const owner = await client.resource(refs.nodes).get(nodeName);
    await nodes.create({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSINode',
      metadata: {
        name: nodeName,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: owner.metadata.uid ?? '' }],
      },
      spec: { drivers: [entry] },
    });
  }
}
