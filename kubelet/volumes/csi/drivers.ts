// Volumes of CSI drivers: staged and published for pods, grown, measured, and taken away again by the drivers of this node.
//   <stateDir>/plugins/csi/<driver>/<hash>/    where a volume is staged, once for all pods of the node
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { attachedName, attachmentName, wantsAttachment } from '../../../api/csi-attachment.ts';
import type {
  CSIVolumeSource,
  PersistentVolumeSpec,
  Pod,
  Secret,
  SecretReference,
} from '../../../api/types/core-v1.ts';
import { ApiError } from '../../../api/errors.ts';
import type { CSIDriver, VolumeAttachment } from '../../../api/types/storage-v1.ts';
import type { Client, EventRecorder, ResourceRef } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';
import type { Logger } from '../../../lib/log.ts';
import type { ResolvedClaim } from '../claims.ts';
import { VolumeError } from '../payload.ts';
import { sleep } from '../../../lib/abort.ts';
import { type Clock, systemClock } from '../../../lib/clock.ts';
import type { PodTokens } from '../tokens.ts';
import { ClaimGrowth } from './grow.ts';
import { CsiPlugins } from './plugins.ts';
import { type Published, PublishedVolumes } from './records.ts';
import {
  capabilityOf,
  checkMode,
  type DriverUsage,
  podInfo,
  takesGroup,
  usageOf,
  type VolumeUsageLine,
} from './rules.ts';

export interface CsiOptions {
  stateDir: string;
  nodeName: string;
  client: Client;
  /** Tokens of pods' accounts for drivers that ask for them; these drivers' alone. */
  tokens?: Pick<PodTokens, 'get' | 'expiryMs' | 'forget'>;
  /** Hears of volumes that have grown, or could not. */
  events: EventRecorder;
  /** The attached volumes that are in use have changed. */
  onUse?(): void;
  clock?: Clock;
  log: Logger;
}

/** What a pod uses of a persistent volume. */
export type CsiClaim = Pick<ResolvedClaim, 'readOnly'> & {
  claim?: ResolvedClaim['claim'];
  volume: ResolvedClaim['volume'];
};

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
/** How often volumes that want it are published again, and claims are looked at for growth; about what upstream's kubelet does. */
const UPKEEP_MS = 60_000;

export class CsiDrivers {
  #options: CsiOptions;
  #plugins: CsiPlugins;
  #published: PublishedVolumes;
  #growth: ClaimGrowth;
  /** By pod uid; pods without such volumes are not there. */
  #upkeepAtMs = new Map<string, number>();

  constructor(options: CsiOptions) {
    const { client, events, log } = options;
    this.#options = options;
    this.#plugins = new CsiPlugins(options);
    this.#published = new PublishedVolumes(options.stateDir);
    this.#growth = new ClaimGrowth({
      client,
      plugins: this.#plugins,
      secrets: (ref: SecretReference | undefined) => this.#secrets(ref),
      events,
      clock: this.#clock,
      log,
    });
  }

  get #clock(): Clock {
    return this.#options.clock ?? systemClock;
  }

  start(): void {
    this.#plugins.start();
  }

  close(): void {
    this.#plugins.close();
  }

  /** The node is in the API. */
  announceNode(): void {
    this.#plugins.announceNode();
  }

  /** Stages and publishes the volume for the pod, and has it grow to what its claim was given; the path that its containers mount. */
  async publish(pod: Pod, volume: string, used: CsiClaim): Promise<PublishedVolume> {
    const published = await this.#publishVolume(pod, volume, used);
    const { uid = '' } = pod.metadata;
    const record = this.#published.of(uid, volume);
    if (used.claim && record) await this.#growth.onMount({ ...used, claim: used.claim, pod, name: volume, record });
    return published;
  }

  async #publishVolume(pod: Pod, volume: string, { volume: found, readOnly }: CsiClaim): Promise<PublishedVolume> {
    const spec: PersistentVolumeSpec = found.spec ?? {};
    const { csi: source } = spec;
    if (!source) throw new VolumeError(`persistent volume "${found.metadata.name}" is not of a CSI driver`);
    const { driver, volumeHandle: volumeId } = source;
    const stages = this.#plugins.can(driver, 'STAGE_UNSTAGE_VOLUME');
    const kind = await this.#driver(driver);
    checkMode(kind, driver, 'Persistent');
    const attached = wantsAttachment(kind);
    const staging = stages ? this.#stagingOf(driver, volumeId) : undefined;
    const target = this.#targetOf(pod, volume);
    // Written down first: what may have happened is undone, and what is in use is not detached.
    this.#record(pod, volume, { driver, volumeId, target, staging, ...(attached && { attached }) });
    const publishContext = attached ? await this.#attachment(driver, volumeId) : {};
    const volumeCapability = capabilityOf(spec, {
      isFiner: this.#plugins.can(driver, 'SINGLE_NODE_MULTI_WRITER'),
      group: this.#groupFor(driver, pod),
    });
    if (staging !== undefined) {
      mkdirSync(staging, { recursive: true, mode: 0o750 });
      await this.#plugins.call(driver, 'NodeStageVolume', {
        volumeId,
        publishContext,
        stagingTargetPath: staging,
        volumeCapability,
        secrets: await this.#secrets(source.nodeStageSecretRef),
        volumeContext: source.volumeAttributes ?? {},
      });
    }
    await this.#publishAt(driver, pod, kind, {
      volumeId,
      publishContext,
      stagingTargetPath: staging ?? '',
      targetPath: target,
      volumeCapability,
      readonly: readOnly || source.readOnly === true,
      secrets: await this.#secrets(source.nodePublishSecretRef),
      volumeContext: { ...source.volumeAttributes, ...(kind?.spec.podInfoOnMount && podInfo(pod, false)) },
    });
    const { uid = '' } = pod.metadata;
    if (kind?.spec.requiresRepublish || this.#plugins.can(driver, 'EXPAND_VOLUME')) this.#planUpkeep(uid);
    const isOurs = !this.#plugins.can(driver, 'VOLUME_MOUNT_GROUP');
    return { path: target, takesGroup: isOurs && takesGroup(kind, source.fsType, spec.accessModes) };
  }

  /** A volume that is the pod's own, in the pod's spec: only published, never staged or attached. */
  async publishInline(pod: Pod, volume: string, source: CSIVolumeSource): Promise<PublishedVolume> {
    const { driver } = source;
    const isFiner = this.#plugins.can(driver, 'SINGLE_NODE_MULTI_WRITER');
    const kind = await this.#driver(driver);
    checkMode(kind, driver, 'Ephemeral');
    const volumeId = `csi-${createHash('sha256').update(`${pod.metadata.uid}${volume}`).digest('hex')}`;
    const target = this.#targetOf(pod, volume);
    this.#record(pod, volume, { driver, volumeId, target, staging: undefined });
    const secret = source.nodePublishSecretRef;
    const secretRef = secret?.name ? { name: secret.name, namespace: pod.metadata.namespace ?? '' } : undefined;
    const spec = {
      accessModes: ['ReadWriteOnce'],
      csi: { driver, volumeHandle: volumeId, fsType: source.fsType ?? '' },
    };
    await this.#publishAt(driver, pod, kind, {
      volumeId,
      publishContext: {},
      stagingTargetPath: '',
      targetPath: target,
      volumeCapability: capabilityOf(spec, { isFiner, group: this.#groupFor(driver, pod) }),
      readonly: source.readOnly === true,
      secrets: await this.#secrets(secretRef),
      volumeContext: { ...source.volumeAttributes, ...(kind?.spec.podInfoOnMount && podInfo(pod, true)) },
    });
    if (kind?.spec.requiresRepublish) this.#planUpkeep(pod.metadata.uid ?? '');
    const isOurs = !this.#plugins.can(driver, 'VOLUME_MOUNT_GROUP');
    return { path: target, takesGroup: isOurs && takesGroup(kind, source.fsType, spec.accessModes) };
  }

  /** When `upkeep` is next due for the pod; undefined: never. */
  upkeepMs(uid: string): number | undefined {
    return this.#upkeepAtMs.get(uid);
  }

  /** Begins a round of upkeep: false while it is not time yet. */
  beginUpkeep(uid: string): boolean {
    const dueMs = this.#upkeepAtMs.get(uid);
    if (dueMs === undefined || dueMs > this.#clock.now()) return false;
    this.#upkeepAtMs.set(uid, this.#clock.now() + UPKEEP_MS);
    return true;
  }

  /** Publishes a claim's volume again if its driver wants that, and has it grow when its claim has. */
  async upkeep(pod: Pod, volume: string, used: CsiClaim): Promise<void> {
    const record = this.#published.of(pod.metadata.uid ?? '', volume);
    if (!record) return;
    const kind = await this.#driver(record.driver);
    if (kind?.spec.requiresRepublish) await this.#publishVolume(pod, volume, used);
    if (used.claim) await this.#growth.whileMounted({ ...used, claim: used.claim, pod, name: volume, record });
  }

  async upkeepInline(pod: Pod, volume: string, source: CSIVolumeSource): Promise<void> {
    const kind = await this.#driver(source.driver);
    if (kind?.spec.requiresRepublish) await this.publishInline(pod, volume, source);
  }

  #planUpkeep(uid: string): void {
    if (!this.#upkeepAtMs.has(uid)) this.#upkeepAtMs.set(uid, this.#clock.now() + UPKEEP_MS);
  }

  /** Whether the volume is of a driver; then only the driver counts what it uses. */
  isPublished(uid: string, volume: string): boolean {
    return this.#published.of(uid, volume) !== undefined;
  }

  /** What the driver says of the volume; undefined when it does not measure. */
  async usage(uid: string, volume: string): Promise<DriverUsage | undefined> {
    const record = this.#published.of(uid, volume);
    if (!record || !this.#plugins.isRegistered(record.driver)) return undefined;
    const { driver, volumeId, target, staging } = record;
    if (!this.#plugins.can(driver, 'GET_VOLUME_STATS')) return undefined;
    interface Answer {
      usage?: VolumeUsageLine[];
      volumeCondition?: { abnormal?: boolean } | null;
    }
    const answer = await this.#plugins.call<Answer>(driver, 'NodeGetVolumeStats', {
      volumeId,
      volumePath: target,
      stagingTargetPath: staging ?? '',
    });
    const tells = this.#plugins.can(driver, 'VOLUME_CONDITION') && answer.volumeCondition;
    return usageOf(answer.usage ?? [], tells ? (answer.volumeCondition?.abnormal ?? false) : undefined);
  }

  /** Volumes that are attached and used, as the node's status names them. */
  inUse(): string[] {
    const names = this.#published
      .all()
      .filter((each) => each.attached)
      .map((each) => attachedName(each.driver, each.volumeId));
    return [...new Set(names)].sort();
  }

  /** The group that the driver itself gives the volume to; empty for those that do not. */
  #groupFor(driver: string, pod: Pod): string {
    const group = pod.spec?.securityContext?.fsGroup;
    return group !== undefined && this.#plugins.can(driver, 'VOLUME_MOUNT_GROUP') ? String(group) : '';
  }

  #targetOf(pod: Pod, volume: string): string {
    return join(this.#options.stateDir, 'pods', pod.metadata.uid ?? '', 'volumes', volume, 'mount');
  }

  #record(pod: Pod, volume: string, published: Published): void {
    mkdirSync(dirname(published.target), { recursive: true, mode: 0o750 });
    this.#published.write(pod.metadata.uid ?? '', volume, published);
    if (published.attached) this.#options.onUse?.();
  }

  async #publishAt(
    driver: string,
    pod: Pod,
    kind: CSIDriver | undefined,
    request: { volumeContext: Record<string, string>; secrets: Record<string, string> } & Record<string, unknown>,
  ): Promise<void> {
    const tokens = await this.#tokens(pod, kind);
    const inSecrets = kind?.spec.serviceAccountTokenInSecrets === true;
    await this.#plugins.call(driver, 'NodePublishVolume', {
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
    const { client, nodeName } = this.#options;
    const name = attachmentName(volumeId, driver, nodeName);
    for (let tries = 0; tries < ATTACH_TRIES; tries++) {
      if (tries > 0) await sleep(this.#clock, ATTACH_LOOK_MS);
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
    this.#upkeepAtMs.delete(uid);
    this.#options.tokens?.forget(uid);
    for (const [volume, published] of this.#published.ofPod(uid)) {
      const { driver, volumeId, target, staging } = published;
      await this.#plugins.call(driver, 'NodeUnpublishVolume', { volumeId, targetPath: target });
      this.#growth.forget(uid, volume);
      this.#published.remove(uid, volume);
      if (published.attached) this.#options.onUse?.();
      if (staging === undefined || this.#published.isUsed(published)) continue;
      await this.#plugins.call(driver, 'NodeUnstageVolume', { volumeId, stagingTargetPath: staging });
      rmSync(staging, { recursive: true, force: true });
    }
  }

  #stagingOf(driver: string, volumeId: string): string {
    const hash = createHash('sha256').update(volumeId).digest('hex');
    return join(this.#options.stateDir, 'plugins', 'csi', driver, hash, 'globalmount');
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
