// What belongs to which node: pods, and everything that the pods bound to a node refer to, directly or through claims and
// volumes. Fed by watch caches; answers from counted references, so that a question costs a few map look-ups.
//
//   node ◄── pod ◄── secret, configmap, serviceaccount, persistentvolumeclaim, resourceclaim
//                        claim ◄── persistentvolume ◄── secret
//   node ◄── volumeattachment, resourceslice
import type { KubeObject } from '../../api/object.ts';
import type { PersistentVolume, Pod } from '../../api/types/core-v1.ts';
import { podReferences, volumeSecrets } from './pod-references.ts';

/** References that one object makes: from `resource/namespace/name` to a node, or to another such key. */
interface Made {
  targets: readonly string[];
  references: readonly string[];
}

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

export class NodeGraph {
  /** Node name or volume key, to what refers to it, with how many objects say so. */
  #edges = new Map<string, Map<string, number>>();
  #made = new Map<string, Made>();

  /** True when `resource/namespace/name` belongs to the node. */
  belongs(node: string, resource: string, namespace: string, name: string): boolean {
    const own = this.#edges.get(`node/${node}`);
    if (!own) return false;
    const key = `${resource}/${namespace}/${name}`;
    if (own.has(key)) return true;
    if (resource === 'persistentvolumes') return this.#reaches(own, key);
    if (resource !== 'secrets') return false;
    // A secret of a volume: the volume is the one that belongs to the node, through its claim.
    for (const volume of this.#edges.get(`secret/${namespace}/${name}`)?.keys() ?? []) {
      if (this.#reaches(own, volume)) return true;
    }
    return false;
  }

  #reaches(own: ReadonlyMap<string, number>, volume: string): boolean {
    for (const claim of this.#edges.get(volume)?.keys() ?? []) if (own.has(claim)) return true;
    return false;
  }

  /** Takes over the state of one pod; `undefined` means it is gone. Idempotent, as the others. */
  applyPod(namespace: string, name: string, pod: Pod | undefined): void {
    const node = pod?.spec?.nodeName;
    const self = `pods/${namespace}/${name}`;
    if (!pod || !node) return this.#replace(self, undefined);
    const isMirror = pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;
    this.#replace(self, { targets: [`node/${node}`], references: isMirror ? [self] : [self, ...podReferences(pod)] });
  }

  applyVolume(name: string, volume: PersistentVolume | undefined): void {
    const self = `persistentvolumes//${name}`;
    const claim = volume?.spec?.claimRef;
    this.#replace(self, undefined);
    this.#replace(`${self}#secrets`, undefined);
    if (!volume || !claim?.name) return;
    const claimKey = `persistentvolumeclaims/${claim.namespace ?? ''}/${claim.name}`;
    this.#replace(self, { targets: [self], references: [claimKey] });
    const secrets = volumeSecrets(volume).map((each) => `secret/${each}`);
    if (secrets.length > 0) this.#replace(`${self}#secrets`, { targets: secrets, references: [self] });
  }

  /** VolumeAttachments and ResourceSlices name their node themselves. */
  applyOwned(resource: string, name: string, node: string | undefined): void {
    const self = `${resource}//${name}`;
    this.#replace(self, node ? { targets: [`node/${node}`], references: [self] } : undefined);
  }

  #replace(self: string, made: Made | undefined): void {
    const old = this.#made.get(self);
    if (made) {
      for (const target of made.targets) for (const each of made.references) this.#count(target, each, 1);
      this.#made.set(self, made);
    } else this.#made.delete(self);
    for (const target of old?.targets ?? []) for (const each of old?.references ?? []) this.#count(target, each, -1);
  }

  #count(target: string, reference: string, change: 1 | -1): void {
    let counts = this.#edges.get(target);
    if (!counts) {
      counts = new Map();
      this.#edges.set(target, counts);
    }
    const count = (counts.get(reference) ?? 0) + change;
    if (count > 0) counts.set(reference, count);
    else counts.delete(reference);
    if (counts.size === 0) this.#edges.delete(target);
  }
}

/** The node that an attachment or a slice names. */
export function ownerNode(object: KubeObject | undefined): string | undefined {
  return (object as { spec?: { nodeName?: string } } | undefined)?.spec?.nodeName;
}
