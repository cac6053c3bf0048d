// What CSI drivers say of nodes, as scheduling asks it: how many volumes a node may have, which are attached, whether there is room for more.
import { compareQuantities, type Quantity, quantityOf } from '../api/quantity.ts';
import { type Labels, selectorFromObject } from '../api/selectors.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
} from '../api/types/storage-v1.ts';
import type { Informer } from '../client/port.ts';

/** Undefined where the server does not serve them. */
export interface DriverInformers {
  csiNodes: Informer<CSINode> | undefined;
  drivers: Informer<CSIDriver> | undefined;
  capacities: Informer<CSIStorageCapacity> | undefined;
  attachments: Informer<VolumeAttachment> | undefined;
}

/** What a node has once, however many of its pods use it. */
export interface DriverVolume {
  driver: string;
  handle: string;
}

export class SchedulerDrivers {
  #informers: DriverInformers;
  #limits = new Map<string, ReadonlyMap<string, number>>();
  /** Names of persistent volumes by node and attachment. */
  #attached = new Map<string, Map<string, string>>();

  constructor(informers: DriverInformers) {
    this.#informers = informers;
  }

  watch(onChange: () => void): (() => void)[] {
    const { csiNodes, drivers, capacities, attachments } = this.#informers;
    const on = (change: () => void) => {
      change();
      onChange();
    };
    const any = { onAdd: onChange, onUpdate: onChange, onDelete: onChange };
    return [
      csiNodes?.addHandler({
        onAdd: (each) => on(() => this.#limits.set(each.metadata.name ?? '', limitsOf(each))),
        onUpdate: (each) => on(() => this.#limits.set(each.metadata.name ?? '', limitsOf(each))),
        onDelete: (each) => on(() => this.#limits.delete(each.metadata.name ?? '')),
      }),
      attachments?.addHandler({
        onAdd: (each) => this.#attach(each),
        onUpdate: (each) => this.#attach(each),
        onDelete: (each) => on(() => this.#attached.get(each.spec.nodeName)?.delete(each.metadata.name ?? '')),
      }),
      drivers?.addHandler(any),
      capacities?.addHandler(any),
    ].filter((each) => each !== undefined);
  }

  #attach({ metadata, spec }: VolumeAttachment): void {
    const volume = spec.source.persistentVolumeName;
    if (!volume) return;
    let there = this.#attached.get(spec.nodeName);
    if (!there) this.#attached.set(spec.nodeName, (there = new Map()));
    there.set(metadata.name ?? '', volume);
  }

  limits(node: string): ReadonlyMap<string, number> | undefined {
    return this.#limits.get(node);
  }

  /** Names of persistent volumes. */
  attachedVolumes(node: string): string[] {
    return [...(this.#attached.get(node)?.values() ?? [])];
  }

  hasRoom({ metadata, provisioner }: StorageClass, size: Quantity, node: Labels): boolean {
    const { drivers, capacities } = this.#informers;
    if (!capacities || drivers?.get(provisioner)?.spec.storageCapacity !== true) return true;
    return capacities.list().some(({ storageClassName, capacity, maximumVolumeSize, nodeTopology }) => {
      const most = maximumVolumeSize ?? capacity;
      if (storageClassName !== metadata.name || most === undefined || !nodeTopology) return false;
      return compareQuantities(quantityOf(most), size) >= 0 && selectorFromObject(nodeTopology).matches(node);
    });
  }
}

function limitsOf({ spec }: CSINode): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const { name, allocatable } of spec.drivers ?? [])
    if (allocatable?.count !== undefined) limits.set(name, allocatable.count);
  return limits;
}
