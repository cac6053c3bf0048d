// CSI drivers of this node: found by their registration sockets, asked to stage and publish volumes and to take them away again. What has been
// published is written down beside the pod, so that any later kubelet can undo it.
//   <stateDir>/plugins_registry/*.sock         where plugins say what they are
//   <stateDir>/pods/<uid>/csi/<volume>.json    what was published for a pod
//   <stateDir>/plugins/csi/<driver>/<hash>/    where a volume is staged, once for all pods of the node
import { createHash } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { attachedName, attachmentName, wantsAttachment } from '../../../api/csi-attachment.ts';
import type {
  CSIPersistentVolumeSource,
  CSIVolumeSource,
  PersistentVolumeSpec,
  Pod,
  Secret,
  SecretReference,
} from '../../../api/types/core-v1.ts';
import { ApiError } from '../../../api/errors.ts';
import type { CSIDriver, VolumeAttachment } from '../../../api/types/storage-v1.ts';
import type { Client, ResourceRef } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';
import { writeFileAtomic } from '../../../lib/files.ts';
import type { Logger } from '../../../lib/log.ts';
import { VolumeError } from '../payload.ts';
import { sleep } from '../../../lib/abort.ts';
import { type Clock, systemClock } from '../../../lib/clock.ts';
import type { PodTokens } from '../tokens.ts';
import { callPlugin } from './call.ts';
import { type NodeInfo, publishCsiNode } from './csi-node.ts';
import { accessModeOf, checkMode, podInfo, takesGroup } from './rules.ts';

export interface CsiOptions {
  stateDir: string;
  nodeName: string;
  client: Client;
  /** Tokens of pods' accounts for drivers that ask for them. */
  tokens?: Pick<PodTokens, 'get' | 'expiryMs'>;
  /** The attached volumes that are in use have changed. */
  onUse?(): void;
  clock?: Clock;
  log: Logger;
}

interface Published {
  driver: string;
  volumeId: string;
  target: string;
  staging: string | undefined;
  /** It is attached to the node: nobody may detach it before it is unpublished. */
  attached?: boolean;
}

const storage = (resource: string, kind: string): ResourceRef => ({
  group: 'storage.k8s.io',
  version: 'v1',
  resource,
  kind,
  namespaced: false,
});
const csiDrivers = storage('csidrivers', 'CSIDriver');
const attachments = storage('volumeattachments', 'VolumeAttachment');

/** How long a volume set-up waits for the driver's attacher before it says so; it is tried again after. */
const ATTACH_TRIES = 40;
const ATTACH_LOOK_MS = 500;

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
    // Whoever takes the directory away takes the plugins away; the kubelet goes on.
    const names = existsSync(this.#registry) ? readdirSync(this.#registry) : [];
    const sockets = names.filter((each) => each.endsWith('.sock'));
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
    await publishCsiNode(this.#options.client, this.#options.nodeName, info.name, node);
    this.#endpoints.set(info.name, endpoint);
    this.#bySocket.set(name, info.name);
    await tell('');
    this.#options.log.info({ driver: info.name, endpoint }, 'a CSI driver has registered');
  }

  /** Stages and publishes the volume for the pod; the path that its containers mount. */
  async publish(
    pod: Pod,
    volume: string,
    spec: PersistentVolumeSpec,
    source: CSIPersistentVolumeSource,
    readOnly: boolean,
  ): Promise<PublishedVolume> {
    const { CsiNode } = await import('../../../proto/csi.ts');
    const { driver, volumeHandle: volumeId } = source;
    const endpoint = this.#endpoint(driver);
    const kind = await this.#driver(driver);
    checkMode(kind, driver, 'Persistent');
    const attached = wantsAttachment(kind);
    const staging = (await this.#stages(endpoint)) ? this.#stagingOf(driver, volumeId) : undefined;
    const target = this.#targetOf(pod, volume);
    // Written down first: what may have happened is undone, and what is in use is not detached.
    this.#record(pod, volume, { driver, volumeId, target, staging, ...(attached && { attached }) });
    const publishContext = attached ? await this.#attachment(driver, volumeId) : {};
    const capability = {
      ...(spec.volumeMode === 'Block'
        ? { block: {} }
        : { mount: { fsType: source.fsType ?? '', mountFlags: spec.mountOptions ?? [] } }),
      accessMode: { mode: accessModeOf(spec.accessModes) },
    };
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
    await this.#publishAt(endpoint, pod, kind, {
      volumeId,
      publishContext,
      stagingTargetPath: staging ?? '',
      targetPath: target,
      volumeCapability: capability,
      readonly: readOnly || source.readOnly === true,
      secrets: await this.#secrets(source.nodePublishSecretRef),
      volumeContext: { ...source.volumeAttributes, ...(kind?.spec.podInfoOnMount && podInfo(pod, false)) },
    });
    return { path: target, takesGroup: takesGroup(kind, source.fsType, spec.accessModes) };
  }

  /** A volume that is the pod's own, in the pod's spec: only published, never staged or attached. */
  async publishInline(pod: Pod, volume: string, source: CSIVolumeSource): Promise<PublishedVolume> {
    const { driver } = source;
    const endpoint = this.#endpoint(driver);
    const kind = await this.#driver(driver);
    checkMode(kind, driver, 'Ephemeral');
    const volumeId = `csi-${createHash('sha256').update(`${pod.metadata.uid}${volume}`).digest('hex')}`;
    const target = this.#targetOf(pod, volume);
    this.#record(pod, volume, { driver, volumeId, target, staging: undefined });
    const secret = source.nodePublishSecretRef;
    const secretRef = secret?.name ? { name: secret.name, namespace: pod.metadata.namespace ?? '' } : undefined;
    await this.#publishAt(endpoint, pod, kind, {
      volumeId,
      publishContext: {},
      stagingTargetPath: '',
      targetPath: target,
      volumeCapability: {
        mount: { fsType: source.fsType ?? '', mountFlags: [] },
        accessMode: { mode: 'SINGLE_NODE_WRITER' },
      },
      readonly: source.readOnly === true,
      secrets: await this.#secrets(secretRef),
      volumeContext: { ...source.volumeAttributes, ...(kind?.spec.podInfoOnMount && podInfo(pod, true)) },
    });
    return { path: target, takesGroup: kind?.spec.fsGroupPolicy === 'File' };
  }

  /** Volumes that are attached and used, as the node's status names them. */
  inUse(): string[] {
    const names = this.#records()
      .filter((each) => each.attached)
      .map((each) => attachedName(each.driver, each.volumeId));
    return [...new Set(names)].sort();
  }

  #endpoint(driver: string): string {
    const endpoint = this.#endpoints.get(driver);
    if (endpoint === undefined)
      throw new VolumeError(`driver name ${driver} not found in the list of registered CSI drivers`);
    return endpoint;
  }

  #targetOf(pod: Pod, volume: string): string {
    return join(this.#options.stateDir, 'pods', pod.metadata.uid ?? '', 'volumes', volume, 'mount');
  }

  #record(pod: Pod, volume: string, published: Published): void {
    const directory = this.#recordsOf(pod.metadata.uid ?? '');
    mkdirSync(dirname(published.target), { recursive: true, mode: 0o750 });
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    writeFileAtomic(join(directory, `${volume}.json`), JSON.stringify(published), 0o600);
    if (published.attached) this.#options.onUse?.();
  }

  async #publishAt(
    endpoint: string,
    pod: Pod,
    kind: CSIDriver | undefined,
    request: { volumeContext: Record<string, string>; secrets: Record<string, string> } & Record<string, unknown>,
  ): Promise<void> {
    const { CsiNode } = await import('../../../proto/csi.ts');
    const tokens = await this.#tokens(pod, kind);
    const inSecrets = kind?.spec.serviceAccountTokenInSecrets === true;
    await callPlugin(endpoint, CsiNode, 'NodePublishVolume', {
      ...request,
      volumeContext: { ...request.volumeContext, ...(!inSecrets && tokens) },
      secrets: { ...request.secrets, ...(inSecrets && tokens) },
    });
  }

  /** Tokens of the pod's account for the audiences that the driver asks for. */
  async #tokens(pod: Pod, kind: CSIDriver | undefined): Promise<Record<string, string>> {
    const { tokens } = this.#options;
    const requests = kind?.spec.tokenRequests ?? [];
    if (requests.length === 0 || !tokens) return {};
    const found: Record<string, { token: string; expirationTimestamp: string }> = {};
    for (const { audience, expirationSeconds = 3600 } of requests) {
      const request = { audience: audience || undefined, expirationSeconds };
      const token = await tokens.get(pod, request);
      const expirationTimestamp = new Date(tokens.expiryMs(pod, request) ?? 0).toISOString();
      found[audience] = { token, expirationTimestamp };
    }
    return { 'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify(found) };
  }

  /** What the driver's attacher says of the attached volume. Waits for it, not for ever. */
  async #attachment(driver: string, volumeId: string): Promise<Record<string, string>> {
    const { client, nodeName, clock = systemClock } = this.#options;
    const name = attachmentName(volumeId, driver, nodeName);
    for (let tries = 0; tries < ATTACH_TRIES; tries++) {
      if (tries > 0) await sleep(clock, ATTACH_LOOK_MS);
      const found = await found404(() => client.resource<VolumeAttachment>(attachments).get(name));
      if (found?.metadata.deletionTimestamp) throw new VolumeError('volume attachment is being deleted');
      if (found?.status?.attached) return found.status.attachmentMetadata ?? {};
      const problem = found?.status?.attachError?.message;
      if (problem) throw new VolumeError(problem);
    }
    throw new VolumeError(
      `timed out waiting for external-attacher of ${driver} CSI driver to attach volume ${volumeId}`,
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
      if (published.attached) this.#options.onUse?.();
      if (staging === undefined || this.#isUsed(published)) continue;
      await callPlugin(endpoint, CsiNode, 'NodeUnstageVolume', { volumeId, stagingTargetPath: staging });
      rmSync(staging, { recursive: true, force: true });
    }
  }

  #isUsed({ driver, volumeId }: Published): boolean {
    return this.#records().some((each) => each.driver === driver && each.volumeId === volumeId);
  }

  /** What is published on this node, by whichever kubelet. */
  #records(): Published[] {
    const pods = join(this.#options.stateDir, 'pods');
    if (!existsSync(pods)) return [];
    return readdirSync(pods).flatMap((uid) => {
      const dir = this.#recordsOf(uid);
      if (!existsSync(dir)) return [];
      return readdirSync(dir)
        .filter((name) => name.endsWith('.json'))
        .map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Published);
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

  #driver(name: string): Promise<CSIDriver | undefined> {
    return found404(() => this.#options.client.resource<CSIDriver>(csiDrivers).get(name));
  }

  async #secrets(ref: SecretReference | undefined): Promise<Record<string, string>> {
    if (!ref?.name) return {};
    const { data = {} } = await this.#options.client.resource<Secret>(refs.secrets, ref.namespace).get(ref.name);
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }
}

export interface PublishedVolume {
  /** What containers mount. */
  path: string;
  /** Its files are to be given to the pod's group. */
  takesGroup: boolean;
}

/** Undefined when it is not there. */
async function found404<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  }
}
