// Which device belongs to which container. Pure.
import type { Container, Pod } from '../../api/types/core-v1.ts';
import { bytesOf } from '../containers/amounts.ts';
import { allContainers, isSidecar } from '../pods/containers-of.ts';

/** Device ids by resource, of one container. */
export type ContainerDevices = Record<string, string[]>;
/** By pod uid, by container name. */
export type Allocations = Record<string, Record<string, ContainerDevices>>;

export interface DeviceSets {
  /** All ids by resource, with whether they work. */
  [resource: string]: ReadonlyMap<string, boolean>;
}

export type AllocationResult =
  | { kind: 'ok'; devices: Record<string, ContainerDevices> }
  | { kind: 'short'; message: string };

/**
 * Devices for every container of the pod, or why there are too few. An ordinary init container hands its devices on to the containers
 * that come after it.
 */
export function allocateDevices(pod: Pod, sets: DeviceSets, taken: Allocations): AllocationResult {
  const uid = pod.metadata.uid ?? '';
  const used = new Map<string, Set<string>>();
  const usedOf = (resource: string) => {
    let found = used.get(resource);
    if (!found) used.set(resource, (found = new Set()));
    return found;
  };
  for (const [owner, containers] of Object.entries(taken)) {
    if (owner === uid) continue;
    for (const devices of Object.values(containers)) {
      for (const [resource, ids] of Object.entries(devices)) for (const id of ids) usedOf(resource).add(id);
    }
  }
  const result: Record<string, ContainerDevices> = {};
  const handedOn = new Map<string, Set<string>>();
  for (const container of allContainers(pod)) {
    for (const [resource, count] of wantedDevices(container, sets)) {
      const reusable = handedOn.get(resource) ?? new Set<string>();
      const isFree = (id: string) => reusable.has(id) || !usedOf(resource).has(id);
      const working = [...(sets[resource] ?? new Map<string, boolean>())]
        .filter(([, works]) => works)
        .map(([id]) => id);
      const free = working
        .filter(isFree)
        .sort((a, b) => Number(reusable.has(b)) - Number(reusable.has(a)) || (a < b ? -1 : 1));
      if (free.length < count) {
        const message = `Allocate failed due to requested number of devices unavailable for ${resource}. Requested: ${count}, Available: ${free.length}, which is unexpected`;
        return { kind: 'short', message };
      }
      const chosen = free.slice(0, count);
      (result[container.name] ??= {})[resource] = chosen;
      for (const id of chosen) usedOf(resource).add(id);
      const isPassing = (pod.spec?.initContainers ?? []).includes(container) && !isSidecar(container);
      if (isPassing) handedOn.set(resource, new Set([...reusable, ...chosen]));
      else for (const id of chosen) reusable.delete(id);
    }
  }
  return { kind: 'ok', devices: result };
}

function wantedDevices(container: Container, sets: DeviceSets): [string, number][] {
  return Object.entries(container.resources?.limits ?? {})
    .filter(([resource]) => Object.hasOwn(sets, resource))
    .map(([resource, amount]): [string, number] => [resource, bytesOf(amount)])
    .filter(([, count]) => count > 0);
}
