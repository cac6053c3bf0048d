// What CSI drivers have published on this node, written down beside each pod, so that any later kubelet can undo it:
//   <stateDir>/pods/<uid>/csi/<volume>.json
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../../lib/files.ts';

export interface Published {
  driver: string;
  volumeId: string;
  /** Where it is for this pod. */
  target: string;
  /** Where it is for all pods of the node; undefined for drivers that do not stage. */
  staging: string | undefined;
  /** It is attached to the node: nobody may detach it before it is unpublished. */
  attached?: boolean;
}

export class PublishedVolumes {
  #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  #directory(uid: string): string {
    return join(this.#stateDir, 'pods', uid, 'csi');
  }

  write(uid: string, volume: string, published: Published): void {
    const directory = this.#directory(uid);
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    writeFileAtomic(join(directory, `${volume}.json`), JSON.stringify(published), 0o600);
  }

  remove(uid: string, volume: string): void {
    rmSync(join(this.#directory(uid), `${volume}.json`), { force: true });
  }

  of(uid: string, volume: string): Published | undefined {
    const path = join(this.#directory(uid), `${volume}.json`);
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Published) : undefined;
  }

  /** By the name of the volume in the pod. */
  ofPod(uid: string): [string, Published][] {
    const directory = this.#directory(uid);
    if (!existsSync(directory)) return [];
    return readdirSync(directory)
      .filter((name) => name.endsWith('.json'))
      .map((name) => [
        name.slice(0, -'.json'.length),
        JSON.parse(readFileSync(join(directory, name), 'utf8')) as Published,
      ]);
  }

  /** Of every pod, by whichever kubelet. */
  all(): Published[] {
    const pods = join(this.#stateDir, 'pods');
    if (!existsSync(pods)) return [];
    return readdirSync(pods).flatMap((uid) => this.ofPod(uid).map(([, published]) => published));
  }

  /** Some pod still has it. */
  isUsed({ driver, volumeId }: Published): boolean {
    return this.all().some((each) => each.driver === driver && each.volumeId === volumeId);
  }
}
