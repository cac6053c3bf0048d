// Claims, volumes and classes as scheduling sees them, and the binding of a pod's claims once its node is chosen: free volumes are
// reserved, what has to be made is told where, and the pod is bound when all of its claims are.
import { quantityOf } from '../api/quantity.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '../api/types/core-v1.ts';
import type { StorageClass } from '../api/types/storage-v1.ts';
import type { DriverVolume, SchedulerDrivers } from './drivers.ts';
import {
  classOfClaim,
  claimNameOf,
  findVolume,
  isFullyBound,
  NO_PROVISIONER,
  requestedBytes,
  volumeAnnotations,
} from '../api/volume-rules.ts';
import type { Client, Informer } from '../client/port.ts';
import type { Clock } from '../lib/clock.ts';
import * as refs from './refs.ts';

export interface VolumeInformers {
  claims: Informer<PersistentVolumeClaim>;
  volumes: Informer<PersistentVolume>;
  classes: Informer<StorageClass>;
}

/** What plugins may ask. */
export interface StorageView {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  storageClass(name: string): StorageClass | undefined;
  /** Volumes for these claims on that node; `none` where one has none and none can be made, `full` where a driver has no room. */
  match(claims: readonly PersistentVolumeClaim[], node: Node): VolumeMatch | 'none' | 'full';
  /** The CSI driver's volume behind a claim, bound or to be made; undefined for all others. */
  driverVolume(namespace: string, claim: string): DriverVolume | undefined;
  /** How many volumes of each driver the node may have; undefined: nobody has said. */
  limits(node: string): ReadonlyMap<string, number> | undefined;
  /** Volumes that are attached to the node, whoever uses them. */
  attached(node: string): readonly DriverVolume[];
}

export interface VolumeMatch {
  reserve: { claim: PersistentVolumeClaim; volume: PersistentVolume }[];
  provision: PersistentVolumeClaim[];
}

/** How long a pod's claims may take to be bound before the pod goes back to the queue. */
const BIND_TIMEOUT_MS = 600_000;

export class SchedulerVolumes implements StorageView {
  #informers: VolumeInformers;
  #client: Client;
  #clock: Clock;
  #drivers: SchedulerDrivers | undefined;
  /** Names of volumes that were promised to a claim and do not say so yet. */
  #taken = new Set<string>();
  #waiting = new Set<() => void>();

  constructor(informers: VolumeInformers, client: Client, clock: Clock, drivers?: SchedulerDrivers) {
    this.#informers = informers;
    this.#drivers = drivers;
    this.#client = client;
    this.#clock = clock;
  }

  /** Calls `onChange` when something about storage has changed. */
  watch(onChange: () => void): (() => void)[] {
    const changed = () => {
      for (const wake of this.#waiting) wake();
      onChange();
    };
    const handler = { onAdd: changed, onUpdate: changed, onDelete: changed };
    const { claims, volumes, classes } = this.#informers;
    const own = [claims.addHandler(handler), volumes.addHandler(handler), classes.addHandler(handler)];
    return [...own, ...(this.#drivers?.watch(changed) ?? [])];
  }

  claim(namespace: string, name: string): PersistentVolumeClaim | undefined {
    return this.#informers.claims.get(`${namespace}/${name}`);
  }

  volume(name: string): PersistentVolume | undefined {
    return this.#informers.volumes.get(name);
  }

  storageClass(name: string): StorageClass | undefined {
    return this.#informers.classes.get(name);
  }

  driverVolume(namespace: string, name: string): DriverVolume | undefined {
    const claim = this.claim(namespace, name);
    if (!claim) return undefined;
    const volume = claim.spec?.volumeName ? this.volume(claim.spec.volumeName) : undefined;
    if (volume) return driverVolumeOf(volume);
    // Its volume is not made yet: one of its class's driver, that nobody else has.
    const driver = this.storageClass(classOfClaim(claim))?.provisioner;
    return driver ? { driver, handle: `${namespace}/${name}` } : undefined;
  }

  limits(node: string): ReadonlyMap<string, number> | undefined {
    return this.#drivers?.limits(node);
  }

  attached(node: string): readonly DriverVolume[] {
    return (this.#drivers?.attachedVolumes(node) ?? []).flatMap((name) => {
      const volume = this.volume(name);
      const found = volume && driverVolumeOf(volume);
      return found ? [found] : [];
    });
  }

  match(claims: readonly PersistentVolumeClaim[], node: Node): VolumeMatch | 'none' | 'full' {
    let isFull = false;
    const match: VolumeMatch = { reserve: [], provision: [] };
    const taken = new Set(this.#taken);
    for (const claim of claims) {
      const selected = claim.metadata.annotations?.[volumeAnnotations.selectedNode];
      if (selected !== undefined && selected !== node.metadata.name) return 'none';
      const volume =
        selected === undefined ? findVolume(claim, this.#informers.volumes.list(), { node, taken }) : undefined;
      if (volume) {
        taken.add(volume.metadata.name ?? '');
        match.reserve.push({ claim, volume });
      } else if (this.#canProvision(claim, node)) {
        match.provision.push(claim);
        isFull ||= !this.#hasRoom(claim, node);
      } else return 'none';
    }
    return isFull ? 'full' : match;
  }

  /** Drivers that say how much they have left are believed (CSIDriver.spec.storageCapacity). */
  #hasRoom(claim: PersistentVolumeClaim, node: Node): boolean {
    const storageClass = this.storageClass(classOfClaim(claim));
    if (!this.#drivers || !storageClass) return true;
    return this.#drivers.hasRoom(storageClass, quantityOf(requestedBytes(claim)), node.metadata.labels ?? {});
  }

  #canProvision(claim: PersistentVolumeClaim, node: Node): boolean {
    const storageClass = this.storageClass(classOfClaim(claim));
    if (!storageClass?.provisioner || storageClass.provisioner === NO_PROVISIONER) return false;
    const { allowedTopologies } = storageClass;
    if (!allowedTopologies?.length) return true;
    return allowedTopologies.some((term) =>
      (term.matchLabelExpressions ?? []).every(({ key, values }) =>
        (values ?? []).includes(node.metadata.labels?.[key] ?? ''),
      ),
    );
  }

  /** Undefined: nothing to bind. Takes the volumes for this pod at once, so that the next cycle gives them to nobody else. */
  assume(pod: Pod, node: Node): VolumeMatch | undefined {
    const unbound = this.#claimsOf(pod).filter((each) => !isFullyBound(each));
    if (unbound.length === 0) return undefined;
    const match = this.match(unbound, node);
    if (typeof match === 'string') return undefined;
    for (const { volume } of match.reserve) this.#taken.add(volume.metadata.name ?? '');
    return match;
  }

  /** Resolves when every claim is bound; rejects when one cannot be, in time. */
  async bind(pod: Pod, node: string, match: VolumeMatch, signal: AbortSignal): Promise<void> {
    try {
      await this.#write(node, match);
      await this.#untilBound(pod, node, signal);
    } finally {
      for (const { volume } of match.reserve) this.#taken.delete(volume.metadata.name ?? '');
    }
  }

  async #write(node: string, { reserve, provision }: VolumeMatch): Promise<void> {
    const volumes = this.#client.resource<PersistentVolume>(refs.persistentVolumes);
    for (const { claim, volume } of reserve) {
      if (volume.spec?.claimRef) continue;
      const { name, namespace, uid, resourceVersion } = claim.metadata;
      const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid, resourceVersion };
      const annotations = { ...volume.metadata.annotations, [volumeAnnotations.boundByController]: 'yes' };
      await volumes.update({
        ...volume,
        metadata: { ...volume.metadata, annotations },
        spec: { ...volume.spec, claimRef },
      });
    }
    for (const claim of provision) {
      if (claim.metadata.annotations?.[volumeAnnotations.selectedNode] === node) continue;
      const annotations = { ...claim.metadata.annotations, [volumeAnnotations.selectedNode]: node };
      await this.#client
        .resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, claim.metadata.namespace)
        .update({ ...claim, metadata: { ...claim.metadata, annotations } });
    }
  }

  async #untilBound(pod: Pod, node: string, signal: AbortSignal): Promise<void> {
    const untilMs = this.#clock.monotonic() + BIND_TIMEOUT_MS;
    const selected = new Set<string | undefined>();
    for (;;) {
      if (signal.aborted) throw new Error('the scheduler ends');
      const claims = this.#claimsOf(pod);
      if (claims.length < countOf(pod)) throw new Error('a claim of the pod was deleted');
      if (claims.every((each) => isFullyBound(each) && each.status?.phase === 'Bound')) return;
      // A provisioner that cannot make the volume on this node takes the annotation away.
      const open = claims.filter((each) => !isFullyBound(each));
      const isSelected = (each: PersistentVolumeClaim) =>
        each.metadata.annotations?.[volumeAnnotations.selectedNode] === node;
      if (open.some((each) => !isSelected(each) && selected.has(each.metadata.uid)))
        throw new Error(`provisioning failed for node "${node}"`);
      for (const each of open.filter(isSelected)) selected.add(each.metadata.uid);
      if (this.#clock.monotonic() >= untilMs) throw new Error('binding volumes: context deadline exceeded');
      await this.#change(untilMs - this.#clock.monotonic(), signal);
    }
  }

  /** The next change of anything, or the time. */
  #change(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#clock.after(ms, done);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #claimsOf(pod: Pod): PersistentVolumeClaim[] {
    return (pod.spec?.volumes ?? []).flatMap((volume) => {
      const name = claimNameOf(pod, volume);
      const claim = name === undefined ? undefined : this.claim(pod.metadata.namespace ?? '', name);
      return claim ? [claim] : [];
    });
  }
}

function driverVolumeOf({ spec }: PersistentVolume): DriverVolume | undefined {
  return spec?.csi && { driver: spec.csi.driver, handle: spec.csi.volumeHandle };
}

const countOf = (pod: Pod) => (pod.spec?.volumes ?? []).filter((each) => claimNameOf(pod, each) !== undefined).length;
