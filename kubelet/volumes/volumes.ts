// The volumes of a pod on this node: set up before its containers start, kept current while it lives, taken down and
// removed after it. Secrets and tokens are only ever written to memory (one tmpfs below the state directory).
//   <stateDir>/pods/<uid>/volumes/<name>      emptyDir (disk; or its own tmpfs), configMap, downwardAPI
//   <stateDir>/memory/<uid>/<name>            secret, projected
//   <stateDir>/pods/<uid>/sub-paths/...       bind mounts of sub-paths
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod, Volume } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { bytesOf } from '../containers/amounts.ts';
import type { ObjectLookup } from '../containers/environment.ts';
import type { PodFieldFacts } from '../containers/field-ref.ts';
import { writeAtomically } from './atomic-write.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';
import { applyFsGroup } from './ownership.ts';
import { hasPayload, payloadOf, VolumeError } from './payload.ts';
import { bindSubPath } from './sub-path.ts';
import type { PodTokens } from './tokens.ts';

export interface VolumesOptions {
  stateDir: string;
  mounter: Mounter;
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
    super(`MountVolume.SetUp failed for volume "${volume}" : ${(cause as Error).message}`, { cause });
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

  /** Sets up every volume of the pod, several at once; idempotent. Throws MountError. */
  async setUp(fields: PodFieldFacts): Promise<VolumePaths> {
    const volumes = fields.pod.spec?.volumes ?? [];
    const paths = new Map<string, string>();
    const results = await Promise.allSettled(
      volumes.map(async (volume) => {
        try {
          paths.set(volume.name, await this.#setUpOne(fields, volume));
        } catch (error) {
          throw new MountError(volume.name, error);
        }
      }),
    );
    const failed = results.find((each) => each.status === 'rejected');
    if (failed) throw failed.reason;
    return paths;
  }

  /** Writes what has changed in the API since; the names of volumes that changed. Throws MountError. */
  async refresh(fields: PodFieldFacts): Promise<string[]> {
    const changed: string[] = [];
    for (const volume of fields.pod.spec?.volumes ?? []) {
      if (!hasPayload(volume)) continue;
      try {
        if (await this.#writePayload(fields, volume)) changed.push(volume.name);
      } catch (error) {
        throw new MountError(volume.name, error);
      }
    }
    return changed;
  }

  /** When `refresh` should next be called because a token grows old. */
  renewalMs(uid: string): number | undefined {
    return this.#options.tokens.renewalMs(uid);
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

  /** Unmounts and removes everything of the pod; idempotent, also for pods of an earlier kubelet. */
  async tearDown(uid: string): Promise<void> {
    const { root, memory } = this.directories(uid);
    this.#options.tokens.forget(uid);
    const { mounter } = this.#options;
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

  async #setUpOne(fields: PodFieldFacts, volume: Volume): Promise<string> {
    const { mounter } = this.#options;
    const { pod } = fields;
    const path = this.pathOf(pod, volume);
    if (volume.hostPath) {
      prepareHostPath(path, volume.hostPath.type ?? '');
      return path;
    }
    if (volume.emptyDir) {
      mkdirSync(path, { recursive: true });
      if (volume.emptyDir.medium === 'Memory') {
        if (!mounter.below(path).includes(path)) {
          await mounter.tmpfs(path, { sizeBytes: bytesOf(volume.emptyDir.sizeLimit), mode: 0o777 });
        }
      } else if (volume.emptyDir.medium) {
        throw new VolumeError(`emptyDir medium "${volume.emptyDir.medium}" is not supported by this kubelet`);
      }
      chmodSync(path, 0o777);
      const { fsGroup, fsGroupChangePolicy } = pod.spec?.securityContext ?? {};
      if (fsGroup !== undefined) applyFsGroup(path, fsGroup, false, fsGroupChangePolicy === 'OnRootMismatch');
      return path;
    }
    if (hasPayload(volume)) {
      await this.#writePayload(fields, volume);
      return path;
    }
    const kind = Object.keys(volume).find((key) => key !== 'name');
    // A volume with no source at all is an emptyDir to upstream; the API server has defaulted it already.
    throw new VolumeError(`volumes of type ${kind ?? '(none)'} are not supported by this kubelet`);
  }

  async #writePayload(fields: PodFieldFacts, volume: Volume): Promise<boolean> {
    const { pod } = fields;
    const { objects, tokens, clock } = this.#options;
    const payload = await payloadOf({ fields, objects, token: (request) => tokens.get(pod, request) }, volume);
    const path = this.pathOf(pod, volume);
    const fsGroup = pod.spec?.securityContext?.fsGroup;
    if (fsGroup !== undefined) for (const file of payload.values()) file.mode |= 0o440;
    const changed = writeAtomically(path, payload, clock.now(), fsGroup);
    if (changed && fsGroup !== undefined) applyFsGroup(path, fsGroup, true);
    return changed;
  }

  /** Where the volume is, or would be, on this host. */
  pathOf(pod: Pod, volume: Volume): string {
    if (volume.hostPath) return volume.hostPath.path;
    const { root, memory } = this.directories(pod.metadata.uid ?? '');
    return volume.secret || volume.projected ? join(memory, volume.name) : join(root, 'volumes', volume.name);
  }
}

/** Unmounts and removes what a kubelet has left below its state directory; for taking a node down for good. */
export async function removeKubeletState(stateDir: string, mounter: Mounter): Promise<void> {
  if (!existsSync(stateDir)) return;
  for (const point of mounter.below(stateDir)) await mounter.unmount(point);
  if (mounter.below(stateDir).length > 0) throw new Error(`${stateDir} is still mounted`);
  rmSync(stateDir, { recursive: true, force: true });
}
