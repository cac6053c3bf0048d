// CSI drivers of this node: found by their registration sockets, asked to stage and publish volumes and to take them away again. What has been
// published is written down beside the pod, so that any later kubelet can undo it.
//   <stateDir>/plugins_registry/*.sock         where plugins say what they are
//   <stateDir>/pods/<uid>/csi/<volume>.json    what was published for a pod
//   <stateDir>/plugins/csi/<driver>/<hash>/    where a volume is staged, once for all pods of the node
import { createHash } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import type {
  CSIPersistentVolumeSource,
  PersistentVolumeSpec,
  Pod,
  Secret,
  SecretReference,
} from '../../../api/types/core-v1.ts';
import { ApiError } from '../../../api/errors.ts';
import { attachmentName, wantsAttachment } from '../../../api/csi-attachment.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { CSIDriver, VolumeAttachment } from '../../../api/types/storage-v1.ts';
import type { Client, ResourceRef } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';
import { writeFileAtomic } from '../../../lib/files.ts';
import type { Logger } from '../../../lib/log.ts';
import { VolumeError } from '../payload.ts';
import { callPlugin } from './call.ts';

export interface CsiOptions {
  stateDir: string;
  nodeName: string;
  client: Client;
  log: Logger;
}

interface Published {
  driver: string;
  volumeId: string;
  target: string;
  staging: string | undefined;
}

const storage = (resource: string, kind: string): ResourceRef => ({
  group: 'storage.k8s.io',
  version: 'v1',
  resource,
  kind,
  namespaced: false,
});
const csiDrivers = storage('csidrivers', 'CSIDriver');
const csiNodes = storage('csinodes', 'CSINode');
const volumeAttachments = storage('volumeattachments', 'VolumeAttachment');

const accessModes: Record<string, string> = {
  ReadWriteOnce: 'SINGLE_NODE_WRITER',
  ReadWriteOncePod: 'SINGLE_NODE_WRITER',
  ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
  ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
};

export class CsiDrivers {
  #options: CsiOptions;
  /** Endpoint by driver name. */
  #endpoints = new Map<string, string>();
  #bySocket = new Map<string, string>();
  #registering = new Map<string, Promise<void>>();
  #watcher: FSWatcher | undefined;

  constructor(options: CsiOptions) {
    this.#options = options;
  }

  get #registry(): string {
    return join(this.#options.stateDir, 'plugins_registry');
  }

  start(): void {
    mkdirSync(this.#registry, { recursive: true, mode: 0o750 });
    this.#watcher = watch(this.#registry, { persistent: false }, () => this.#look());
    this.#look();
  }

  close(): void {
    this.#watcher?.close();
  }

  #look(): void {
    const sockets = readdirSync(this.#registry).filter((each) => each.endsWith('.sock'));
    for (const [socket, driver] of this.#bySocket) {
      if (sockets.includes(socket)) continue;
      this.#bySocket.delete(socket);
      this.#endpoints.delete(driver);
    }
    for (const socket of sockets) {
      if (this.#bySocket.has(socket) || this.#registering.has(socket)) continue;
      const work = this.#register(socket)
        .catch((err) => this.#options.log.warn({ err, socket }, 'a plugin could not be registered'))
        .finally(() => this.#registering.delete(socket));
      this.#registering.set(socket, work);
    }
  }

  async #register(name: string): Promise<void> {
    const { CsiNode, PluginRegistration } = await import('../../../proto/csi.ts');
    const socket = join(this.#registry, name);
    const info = await callPlugin<{ type: string; name: string; endpoint: string }>(
      socket,
      PluginRegistration,
      'GetInfo',
      {},
    );
    const tell = (error: string) =>
      callPlugin(socket, PluginRegistration, 'NotifyRegistrationStatus', { pluginRegistered: error === '', error });
    if (info.type !== 'CSIPlugin') {
      await tell(`plugins of type ${info.type} are not supported by this kubelet`);
      return;
    }
    const endpoint = info.endpoint || socket;
    const node = await callPlugin<NodeInfo>(endpoint, CsiNode, 'NodeGetInfo', {});
    await this.#publishNode(info.name, node);
    this.#endpoints.set(info.name, endpoint);
    this.#bySocket.set(name, info.name);
    await tell('');
    this.#options.log.info({ driver: info.name, endpoint }, 'a CSI driver has registered');
  }

  /** The CSINode object says which drivers the node has, and what they call it. */
  async #publishNode(driver: string, info: NodeInfo): Promise<void> {
    const { client, nodeName } = this.#options;
    const nodes = client.resource<CsiNodeObject>(csiNodes);
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

  /** Stages and publishes the volume for the pod; the path that its containers mount. */
  async publish(
    pod: Pod,
    volume: string,
    spec: PersistentVolumeSpec,
    source: CSIPersistentVolumeSource,
    readOnly: boolean,
  ): Promise<string> {
    const { CsiNode } = await import('../../../proto/csi.ts');
    const { driver, volumeHandle: volumeId } = source;
    const endpoint = this.#endpoints.get(driver);
    if (endpoint === undefined)
      throw new VolumeError(`driver name ${driver} not found in the list of registered CSI drivers`);
    const kind = await this.#driver(driver);
    const publishContext = wantsAttachment(kind) ? await this.#attachment(driver, volumeId) : {};
    const uid = pod.metadata.uid ?? '';
    const capability = {
      ...(spec.volumeMode === 'Block'
        ? { block: {} }
        : { mount: { fsType: source.fsType ?? '', mountFlags: spec.mountOptions ?? [] } }),
      accessMode: { mode: accessModes[spec.accessModes?.[0] ?? 'ReadWriteOnce'] ?? 'SINGLE_NODE_WRITER' },
    };
    const volumeContext = { ...source.volumeAttributes, ...(kind?.spec.podInfoOnMount && podInfo(pod)) };
    const staging = (await this.#stages(endpoint)) ? this.#stagingOf(driver, volumeId) : undefined;
    if (staging !== undefined) {
      mkdirSync(staging, { recursive: true, mode: 0o750 });
      await callPlugin(endpoint, CsiNode, 'NodeStageVolume', {
        volumeId,
        publishContext,
        stagingTargetPath: staging,
        volumeCapability: capability,
        secrets: await this.#secrets(source.nodeStageSecretRef),
        volumeContext: source.volumeAttributes ?? {},
      });
    }
    const target = join(this.#options.stateDir, 'pods', uid, 'volumes', volume, 'mount');
    mkdirSync(dirname(target), { recursive: true, mode: 0o750 });
    const published: Published = { driver, volumeId, target, staging };
    // Written down first: what may have happened is undone.
    mkdirSync(this.#recordsOf(uid), { recursive: true, mode: 0o750 });
    writeFileAtomic(join(this.#recordsOf(uid), `${volume}.json`), JSON.stringify(published), 0o600);
    await callPlugin(endpoint, CsiNode, 'NodePublishVolume', {
      volumeId,
      publishContext,
      stagingTargetPath: staging ?? '',
      targetPath: target,
      volumeCapability: capability,
      readonly: readOnly || source.readOnly === true,
      secrets: await this.#secrets(source.nodePublishSecretRef),
      volumeContext,
    });
    return target;
  }

  /** What the driver's attacher says of the volume on this node. Until it is attached the pod's volumes are tried again. */
  async #attachment(driver: string, volumeId: string): Promise<Record<string, string>> {
    const { client, nodeName } = this.#options;
    const name = attachmentName(volumeId, driver, nodeName);
    const found = await client
      .resource<VolumeAttachment & KubeObject>(volumeAttachments)
      .get(name)
      .catch((error: unknown) => {
        if (error instanceof ApiError && error.code === 404) return undefined;
        throw error;
      });
    if (found?.status?.attached) return found.status.attachmentMetadata ?? {};
    const why = found?.status?.attachError?.message;
    throw new VolumeError(
      `volume ${volumeId} of CSI driver ${driver} is not attached to node ${nodeName} yet${why ? `: ${why}` : ''}`,
    );
  }

  /** Takes away what was published for the pod; what no other pod uses is unstaged too. */
  async unpublish(uid: string): Promise<void> {
    const dir = this.#recordsOf(uid);
    if (!existsSync(dir)) return;
    const { CsiNode } = await import('../../../proto/csi.ts');
    for (const name of readdirSync(dir)) {
      const published = JSON.parse(readFileSync(join(dir, name), 'utf8')) as Published;
      const { driver, volumeId, target, staging } = published;
      const endpoint = this.#endpoints.get(driver);
      if (endpoint === undefined)
        throw new VolumeError(`driver name ${driver} not found in the list of registered CSI drivers`);
      await callPlugin(endpoint, CsiNode, 'NodeUnpublishVolume', { volumeId, targetPath: target });
      rmSync(join(dir, name));
      if (staging === undefined || this.#isUsed(published)) continue;
      await callPlugin(endpoint, CsiNode, 'NodeUnstageVolume', { volumeId, stagingTargetPath: staging });
      rmSync(staging, { recursive: true, force: true });
    }
  }

  #isUsed({ driver, volumeId }: Published): boolean {
    const pods = join(this.#options.stateDir, 'pods');
    return readdirSync(pods).some((uid) => {
      const dir = this.#recordsOf(uid);
      if (!existsSync(dir)) return false;
      return readdirSync(dir).some((name) => {
        const other = JSON.parse(readFileSync(join(dir, name), 'utf8')) as Published;
        return other.driver === driver && other.volumeId === volumeId;
      });
    });
  }

  #recordsOf(uid: string): string {
    return join(this.#options.stateDir, 'pods', uid, 'csi');
  }

  #stagingOf(driver: string, volumeId: string): string {
    const hash = createHash('sha256').update(volumeId).digest('hex');
    return join(this.#options.stateDir, 'plugins', 'csi', driver, hash, 'globalmount');
  }

  async #stages(endpoint: string): Promise<boolean> {
    const { CsiNode } = await import('../../../proto/csi.ts');
    const { capabilities = [] } = await callPlugin<{ capabilities?: { rpc?: { type?: string } }[] }>(
      endpoint,
      CsiNode,
      'NodeGetCapabilities',
      {},
    );
    return capabilities.some((each) => each.rpc?.type === 'STAGE_UNSTAGE_VOLUME');
  }

  async #driver(name: string): Promise<CSIDriver | undefined> {
    try {
      return await this.#options.client.resource<CSIDriver>(csiDrivers).get(name);
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  async #secrets(ref: SecretReference | undefined): Promise<Record<string, string>> {
    if (!ref?.name) return {};
    const { data = {} } = await this.#options.client.resource<Secret>(refs.secrets, ref.namespace).get(ref.name);
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }
}

interface NodeInfo {
  nodeId?: string;
  maxVolumesPerNode?: number;
  accessibleTopology?: { segments?: Record<string, string> } | null;
}

interface CsiNodeObject {
  apiVersion?: string;
  kind?: string;
  metadata: Pod['metadata'];
  spec?: { drivers: { name: string; nodeID: string; topologyKeys?: string[]; allocatable?: { count: number } }[] };
}

function podInfo(pod: Pod): Record<string, string> {
  return {
    'csi.storage.k8s.io/pod.name': pod.metadata.name ?? '',
    'csi.storage.k8s.io/pod.namespace': pod.metadata.namespace ?? '',
    'csi.storage.k8s.io/pod.uid': pod.metadata.uid ?? '',
    'csi.storage.k8s.io/serviceAccount.name': pod.spec?.serviceAccountName ?? '',
  };
}
