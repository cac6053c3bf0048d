// The volumes of a pod on this node: set up before its containers start, kept current while it lives, taken down and
// removed after it. Secrets and tokens are only ever written to memory (one tmpfs below the state directory).
//   <stateDir>/pods/<uid>/volumes/<name>      emptyDir (disk; or its own tmpfs), configMap, downwardAPI
//   <stateDir>/memory/<uid>/<name>            secret, projected
//   <stateDir>/pods/<uid>/sub-paths/...       bind mounts of sub-paths
import { chmodSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EmptyDirVolumeSource, NFSVolumeSource, Pod, Volume } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { bytesOf } from '../containers/amounts.ts';
import { podTotals } from '../containers/resources.ts';
import { allContainers } from '../pods/containers-of.ts';
import type { ObjectLookup } from '../containers/environment.ts';
import type { PodFieldFacts } from '../containers/field-ref.ts';
import { type ResolvedClaim, resolveClaim } from './claims.ts';
import type { CsiDrivers } from './csi/drivers.ts';
import { ExpansionError } from './csi/grow.ts';
import type { DriverUsage } from './csi/rules.ts';
import type { LocalVolumes } from './local-volumes.ts';
import { writeAtomically } from './atomic-write.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';
import { applyFsGroup } from './ownership.ts';
import { hasPayload, payloadOf, VolumeError } from './payload.ts';
import { bindSubPath } from './sub-path.ts';
import type { PodTokens } from './tokens.ts';

export interface VolumesOptions {
  stateDir: string;
  client: Client;
  mounter: Mounter;
  localVolumes: LocalVolumes;
  csi: Pick<
    CsiDrivers,
    | 'publish'
    | 'publishInline'
    | 'unpublish'
    | 'upkeepMs'
    | 'beginUpkeep'
    | 'upkeep'
    | 'upkeepInline'
    | 'isPublished'
    | 'usage'
  >;
  /** Pulls the image of an image volume; what the runtime calls it. */
  pullImage(pod: Pod, volume: Volume): Promise<string>;
  objects: ObjectLookup;
  tokens: PodTokens;
  clock: Clock;
  log: Logger;
  /** How directories are removed; for tests in virtual time. Default: in the background, by fs.promises. */
  removeTree?: ((path: string) => Promise<void>) | undefined;
}

/** Host path of each volume by name. */
export type VolumePaths = ReadonlyMap<string, string>;

/** Which volume failed; `message` is the FailedMount event's text. */
export class MountError extends Error {
  constructor(volume: string, cause: unknown) {
    const { message } = cause as Error;
    super(cause instanceof ExpansionError ? message : `MountVolume.SetUp failed for volume "${volume}" : ${message}`, {
      cause,
    });
    this.name = 'MountError';
  }
}

/** Directories of one pod, also for files that are not volumes. */
export interface PodDirectories {
  root: string;
  memory: string;
}

export class Volumes {
  #options: VolumesOptions;
  /** By pod uid, of what has been set up. */
  #paths = new Map<string, Map<string, string>>();
  #images = new Map<string, Set<string>>();
  /** Mounts being made, by pod uid: a tear-down waits for them. */
  #mounting = new Map<string, Set<Promise<void>>>();

  constructor(options: VolumesOptions) {
    this.#options = options;
  }

  directories(uid: string): PodDirectories {
    const { stateDir } = this.#options;
    return { root: join(stateDir, 'pods', uid), memory: join(stateDir, 'memory', uid) };
  }

  /** Mounts the tmpfs for secrets unless an earlier kubelet has; shares the state directory's mounts. */
  async prepare(): Promise<void> {
    const { stateDir, mounter } = this.#options;
    const memory = join(stateDir, 'memory');
    mkdirSync(join(stateDir, 'pods'), { recursive: true, mode: 0o750 });
    mkdirSync(memory, { recursive: true, mode: 0o750 });
    if (!mounter.below(memory).includes(memory)) await mounter.tmpfs(memory, { mode: 0o750 });
  }

  /** Sets up every volume of the pod, several at once; idempotent. Throws MountError. Nothing is written after `signal` has aborted. */
  async setUp(fields: PodFieldFacts, signal?: AbortSignal): Promise<VolumePaths> {
    const volumes = fields.pod.spec?.volumes ?? [];
    const paths = new Map<string, string>();
    const results = await Promise.allSettled(
      volumes.map(async (volume) => {
        try {
          paths.set(volume.name, await this.#setUpOne(fields, volume, signal));
        } catch (error) {
          throw new MountError(volume.name, error);
        }
      }),
    );
    signal?.throwIfAborted();
    this.#paths.set(fields.pod.metadata.uid ?? '', paths);
    const failed = results.find((each) => each.status === 'rejected');
    if (failed) throw failed.reason;
    return paths;
  }

  /** Writes what has changed in the API since; the names of volumes that changed. Throws MountError. */
  async refresh(fields: PodFieldFacts, signal?: AbortSignal): Promise<string[]> {
    const changed: string[] = [];
    for (const volume of fields.pod.spec?.volumes ?? []) {
      if (!hasPayload(volume)) continue;
      try {
        if (await this.#writePayload(fields, volume, signal)) changed.push(volume.name);
      } catch (error) {
        throw new MountError(volume.name, error);
      }
    }
    await this.#keepUp(fields.pod);
    return changed;
  }

  /** Volumes of CSI drivers: published again where the driver wants that, grown where the claim has. */
  async #keepUp(pod: Pod): Promise<void> {
    const { csi, client } = this.#options;
    const uid = pod.metadata.uid ?? '';
    if (!csi.beginUpkeep(uid)) return;
    for (const volume of pod.spec?.volumes ?? []) {
      if (!csi.isPublished(uid, volume.name)) continue;
      try {
        if (volume.csi) await csi.upkeepInline(pod, volume.name, volume.csi);
        else {
          const used = await resolveClaim(client, pod, volume);
          if (used) await csi.upkeep(pod, volume.name, used);
        }
      } catch (error) {
        throw new MountError(volume.name, error);
      }
    }
  }

  /** What the volume's driver says that it uses; undefined for volumes that are no driver's. */
  driverUsage(pod: Pod, volume: Volume): Promise<DriverUsage | undefined> | undefined {
    const uid = pod.metadata.uid ?? '';
    return this.#options.csi.isPublished(uid, volume.name) ? this.#options.csi.usage(uid, volume.name) : undefined;
  }

  /** When `refresh` should next be called because a token grows old, or a driver's volume is to be looked at. */
  renewalMs(uid: string): number | undefined {
    const times = [this.#options.tokens.renewalMs(uid), this.#options.csi.upkeepMs(uid)];
    const known = times.filter((each) => each !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  async subPath(
    pod: Pod,
    paths: VolumePaths,
    volume: string,
    container: string,
    index: number,
    subPath: string,
  ): Promise<string> {
    const root = paths.get(volume);
    if (root === undefined) throw new VolumeError(`volume "${volume}" is not set up`);
    const target = join(this.directories(pod.metadata.uid ?? '').root, 'sub-paths', volume, container, String(index));
    return bindSubPath(this.#options.mounter, root, subPath, target);
  }

  /** Of the images that pods have as volumes. */
  imageIds(): string[] {
    return [...this.#images.values()].flatMap((each) => [...each]);
  }

  /** Unmounts and removes everything of the pod; idempotent, also for pods of an earlier kubelet. */
  async tearDown(uid: string): Promise<void> {
    const { root, memory } = this.directories(uid);
    this.#options.tokens.forget(uid);
    this.#paths.delete(uid);
    this.#images.delete(uid);
    const { mounter } = this.#options;
    await Promise.allSettled(this.#mounting.get(uid) ?? []);
    await this.#options.csi.unpublish(uid);
    for (const point of mounter.below(root)) await mounter.unmount(point);
    if (mounter.below(root).length > 0) throw new VolumeError(`${root} is still mounted`);
    // Off the event loop: an emptyDir may hold a lot.
    await Promise.all([memory, root].map((path) => this.removeTree(path)));
  }

  /** Removes a directory with all that is in it; succeeds when it is not there. */
  async removeTree(path: string): Promise<void> {
    const { removeTree } = this.#options;
    if (removeTree) await removeTree(path);
    else await rm(path, { recursive: true, force: true });
  }

  async #setUpOne(fields: PodFieldFacts, volume: Volume, signal?: AbortSignal): Promise<string> {
    const { pod } = fields;
    if (hasPayload(volume)) {
      await this.#writePayload(fields, volume, signal);
      return this.#placeOf(pod, volume);
    }
    if (volume.hostPath) {
      prepareHostPath(volume.hostPath.path, volume.hostPath.type ?? '');
      return volume.hostPath.path;
    }
    if (volume.emptyDir) return this.#emptyDir(fields, volume, volume.emptyDir);
    if (volume.nfs) return this.#nfs(pod, volume, volume.nfs, []);
    if (volume.image) return this.#image(pod, volume);
    if (volume.csi) {
      const { path, takesGroup } = await this.#options.csi.publishInline(pod, volume.name, volume.csi);
      if (takesGroup && !volume.csi.readOnly) this.#giveToGroup(pod, path, false);
      return path;
    }
    const resolved = await resolveClaim(this.#options.client, pod, volume);
    signal?.throwIfAborted();
    if (resolved) return this.#persistent(pod, volume, resolved);
    const kind = Object.keys(volume).find((key) => key !== 'name');
    // A volume with no source at all is an emptyDir to upstream; the API server has defaulted it already.
    throw new VolumeError(`volumes of type ${kind ?? '(none)'} are not supported by this kubelet`);
  }

  async #image(pod: Pod, volume: Volume): Promise<string> {
    const id = await this.#options.pullImage(pod, volume);
    const uid = pod.metadata.uid ?? '';
    const known = this.#images.get(uid) ?? new Set();
    this.#images.set(uid, known.add(id));
    return id;
  }

  async #persistent(pod: Pod, volume: Volume, resolved: ResolvedClaim): Promise<string> {
    const { volume: found, readOnly } = resolved;
    const spec = found.spec ?? {};
    if (spec.hostPath) {
      prepareHostPath(spec.hostPath.path, spec.hostPath.type ?? '');
      return spec.hostPath.path;
    }
    if (spec.local) {
      const { path } = spec.local;
      this.#options.localVolumes.prepare(path);
      const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory();
      if (isDirectory === undefined) throw new VolumeError(`path "${path}" does not exist`);
      if (isDirectory && spec.volumeMode !== 'Block') this.#giveToGroup(pod, path, readOnly);
      return path;
    }
    if (spec.nfs) return this.#nfs(pod, volume, spec.nfs, spec.mountOptions ?? []);
    if (spec.csi) {
      const { path, takesGroup } = await this.#options.csi.publish(pod, volume.name, resolved);
      if (takesGroup && spec.volumeMode !== 'Block' && !readOnly) this.#giveToGroup(pod, path, false);
      return path;
    }
    const sources = Object.keys(spec).filter((key) => !COMMON_FIELDS.has(key));
    throw new VolumeError(`persistent volumes of type ${sources[0] ?? '(none)'} are not supported by this kubelet`);
  }

  async #emptyDir(fields: PodFieldFacts, volume: Volume, source: EmptyDirVolumeSource): Promise<string> {
    const { mounter } = this.#options;
    const { pod } = fields;
    const path = this.#placeOf(pod, volume);
    mkdirSync(path, { recursive: true });
    const { medium = '' } = source;
    const isMounted = mounter.below(path).includes(path);
    if (medium === 'Memory') {
      if (!isMounted)
        await this.#mount(pod, mounter.tmpfs(path, { sizeBytes: memoryDirBytes(fields, source), mode: 0o777 }));
    } else if (medium.startsWith('HugePages')) {
      const size = medium.startsWith('HugePages-') ? medium.slice('HugePages-'.length) : onlyPageSize(pod);
      if (!isMounted)
        await this.#mount(pod, mounter.mount('hugetlbfs', 'nodev', path, [`pagesize=${size.replace(/i$/, '')}`]));
    } else if (medium) throw new VolumeError(`unknown storage medium "${medium}"`);
    chmodSync(path, 0o777);
    this.#giveToGroup(pod, path, false);
    return path;
  }

  async #nfs(pod: Pod, volume: Volume, source: NFSVolumeSource, mountOptions: readonly string[]): Promise<string> {
    const { mounter } = this.#options;
    const path = this.#placeOf(pod, volume);
    mkdirSync(path, { recursive: true });
    if (mounter.below(path).includes(path)) return path;
    const options = [...(source.readOnly ? ['ro'] : []), ...mountOptions];
    await this.#mount(pod, mounter.mount('nfs', `${source.server}:${source.path}`, path, options));
    return path;
  }

  async #mount({ metadata: { uid = '' } }: Pod, made: Promise<void>): Promise<void> {
    const underWay = this.#mounting.get(uid) ?? new Set();
    this.#mounting.set(uid, underWay.add(made));
    try {
      await made;
    } finally {
      underWay.delete(made);
      if (underWay.size === 0) this.#mounting.delete(uid);
    }
  }

  #giveToGroup(pod: Pod, path: string, readOnly: boolean): void {
    const { fsGroup, fsGroupChangePolicy } = pod.spec?.securityContext ?? {};
    if (fsGroup !== undefined) applyFsGroup(path, fsGroup, readOnly, fsGroupChangePolicy === 'OnRootMismatch');
  }

  async #writePayload(fields: PodFieldFacts, volume: Volume, signal?: AbortSignal): Promise<boolean> {
    const { pod } = fields;
    const { objects, tokens, clock } = this.#options;
    const payload = await payloadOf({ fields, objects, token: (request) => tokens.get(pod, request) }, volume);
    signal?.throwIfAborted();
    const path = this.#placeOf(pod, volume);
    const fsGroup = pod.spec?.securityContext?.fsGroup;
    if (fsGroup !== undefined) for (const file of payload.values()) file.mode |= 0o440;
    const changed = writeAtomically(path, payload, clock.now(), fsGroup);
    if (changed && fsGroup !== undefined) applyFsGroup(path, fsGroup, true);
    return changed;
  }

  /** Where the volume is, once it is set up. */
  pathOf(pod: Pod, volume: Volume): string | undefined {
    return this.#paths.get(pod.metadata.uid ?? '')?.get(volume.name);
  }

  /** Where a volume of the pod's own is kept. */
  #placeOf(pod: Pod, volume: Volume): string {
    const { root, memory } = this.directories(pod.metadata.uid ?? '');
    return volume.secret || volume.projected ? join(memory, volume.name) : join(root, 'volumes', volume.name);
  }
}

/** Fields of a PersistentVolume's spec that are not its source. */
const COMMON_FIELDS = new Set([
  'capacity',
  'accessModes',
  'claimRef',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'mountOptions',
  'volumeMode',
  'nodeAffinity',
  'volumeAttributesClassName',
]);

/** What is written to it counts as the pod's memory: no more than that, whatever is asked for. */
function memoryDirBytes({ pod, allocatable }: PodFieldFacts, { sizeLimit }: EmptyDirVolumeSource): number {
  const limit = podTotals(pod).limits['memory'];
  const bounds = [bytesOf(sizeLimit), limit ?? 0, bytesOf(allocatable['memory'])].filter((each) => each > 0);
  return bounds.length === 0 ? 0 : Math.min(...bounds);
}

/** `2Mi` of `hugepages-2Mi`: medium HugePages needs a pod that asks for one size only. */
function onlyPageSize(pod: Pod): string {
  const names = allContainers(pod).flatMap((each) => Object.keys(each.resources?.limits ?? {}));
  const sizes = new Set(names.filter((each) => each.startsWith('hugepages-')).map((each) => each.slice(10)));
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined)
    throw new VolumeError('medium HugePages needs hugepages of exactly one size');
  return size;
}

/** Unmounts and removes what a kubelet has left below its state directory; for taking a node down for good. */
export async function removeKubeletState(stateDir: string, mounter: Mounter): Promise<void> {
  if (!existsSync(stateDir)) return;
  for (const point of mounter.below(stateDir)) await mounter.unmount(point);
  if (mounter.below(stateDir).length > 0) throw new Error(`${stateDir} is still mounted`);
  rmSync(stateDir, { recursive: true, force: true });
}
