// What the cluster is told of this node's CSI drivers: the CSINode object (which there are, what they call the node, how many volumes of each it
// can have), and on the node itself the labels of its place and the annotation with its names.
import { ApiError } from '../../../api/errors.ts';
import type { Node } from '../../../api/types/core-v1.ts';
import type { CSINode } from '../../../api/types/storage-v1.ts';
import type { Client } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';
import { isConflict } from '../../../client/status.ts';

const csiNodes = {
  group: 'storage.k8s.io',
  version: 'v1',
  resource: 'csinodes',
  kind: 'CSINode',
  namespaced: false,
};

/** JSON: what each driver calls the node. */
const NODE_IDS = 'csi.volume.kubernetes.io/nodeid';
const TRIES = 5;

export interface NodeInfo {
  nodeId?: string;
  maxVolumesPerNode?: number;
  accessibleTopology?: { segments?: Record<string, string> } | null;
}

/** Adds the driver, or what it says of itself now. Throws with upstream's words. */
export async function publishCsiNode(client: Client, nodeName: string, driver: string, info: NodeInfo): Promise<void> {
  if (!info.nodeId) throw new Error('error adding CSI driver node info: driverNodeID must not be empty');
  const { nodeId } = info;
  const topology = info.accessibleTopology?.segments ?? {};
  await changeNode(client, nodeName, (node) => {
    for (const [key, value] of Object.entries(topology)) {
      const present = node.metadata.labels?.[key];
      if (present === undefined || present === value) continue;
      const [reported, existing] = [value, present].map((each) => `"${key}":"${each}"`);
      throw new Error(
        `detected topology value collision: driver reported ${reported} but existing label is ${existing}`,
      );
    }
    return { labels: topology, ids: { ...idsOf(node), [driver]: nodeId } };
  });
  const count = info.maxVolumesPerNode ?? 0;
  const entry = {
    name: driver,
    nodeID: nodeId,
    topologyKeys: Object.keys(topology),
    ...(count > 0 && { allocatable: { count } }),
  };
  const nodes = client.resource<CSINode>(csiNodes);
  await untilWritten(async () => {
    const known = await ensureCsiNode(client, nodeName);
    const others = (known.spec?.drivers ?? []).filter((each) => each.name !== driver);
    await nodes.update({ ...known, spec: { drivers: [...others, entry] } });
  });
}

/** The driver has gone. */
export async function withdrawCsiNode(client: Client, nodeName: string, driver: string): Promise<void> {
  const nodes = client.resource<CSINode>(csiNodes);
  await untilWritten(async () => {
    const known = await nodes.get(nodeName);
    const others = (known.spec?.drivers ?? []).filter((each) => each.name !== driver);
    if (others.length !== known.spec?.drivers?.length) await nodes.update({ ...known, spec: { drivers: others } });
  });
  await changeNode(client, nodeName, (node) => {
    const { [driver]: _gone, ...ids } = idsOf(node);
    return { labels: {}, ids };
  });
}

/** The object, which goes with the node; made when it is not there. */
export async function ensureCsiNode(client: Client, nodeName: string): Promise<CSINode> {
  const nodes = client.resource<CSINode>(csiNodes);
  try {
    return await nodes.get(nodeName);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 404) throw error;
  }
  const owner = await client.resource(refs.nodes).get(nodeName);
  return nodes.create({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: {
      name: nodeName,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: owner.metadata.uid ?? '' }],
    },
    spec: { drivers: [] },
  });
}

function idsOf(node: Node): Record<string, string> {
  const text = node.metadata.annotations?.[NODE_IDS];
  if (!text) return {};
  try {
    return JSON.parse(text) as Record<string, string>;
  } catch (error) {
    throw new Error(
      `failed to parse node's "${NODE_IDS}" annotation value ("${text}") err=${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

async function changeNode(
  client: Client,
  nodeName: string,
  change: (node: Node) => { labels: Record<string, string>; ids: Record<string, string> },
): Promise<void> {
  const nodes = client.resource<Node>(refs.nodes);
  await untilWritten(async () => {
    const node = await nodes.get(nodeName);
    const { labels, ids } = change(node);
    const text = Object.keys(ids).length > 0 ? JSON.stringify(ids) : null;
    const isKnown = (node.metadata.annotations?.[NODE_IDS] ?? null) === text;
    if (isKnown && Object.entries(labels).every(([key, value]) => node.metadata.labels?.[key] === value)) return;
    const { resourceVersion } = node.metadata;
    await nodes.patch(nodeName, 'merge', { metadata: { resourceVersion, labels, annotations: { [NODE_IDS]: text } } });
  });
}

/** Others write these objects too. */
async function untilWritten(write: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await write();
    } catch (error) {
      if (!isConflict(error) || tries >= TRIES) throw error;
    }
  }
}
