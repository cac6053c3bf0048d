// How many replicas each ReplicaSet of a Deployment gets: scaling in proportion, and the steps of a rolling update.
// Works on sizes alone; each function changes `replicas` of the sizes it is given and nothing else.
import type { Bounds } from './bounds.ts';

export interface Size {
  name: string;
  /** Of spec; what the functions here set. */
  replicas: number;
  available: number;
  /** The max-replicas annotation: the size of the whole when this one was last scaled. */
  annotatedMax: number | undefined;
  createdMs: number;
}

const sum = (sizes: readonly Size[], of: (size: Size) => number) => sizes.reduce((total, size) => total + of(size), 0);
export const totalReplicas = (sizes: readonly Size[]): number => sum(sizes, (size) => size.replicas);

/**
 * A changed spec.replicas in the middle of a rollout: what is to be added or taken away is shared out by size, so that a
 * rollout's risk stays as it was. Leftovers of rounding go to the largest.
 */
export function scaleInProportion(
  sizes: readonly Size[],
  replicas: number,
  { maxSurge }: Bounds,
  statusReplicas: number,
): void {
  const active = sizes.filter((size) => size.replicas > 0);
  const allowed = replicas > 0 ? replicas + maxSurge : 0;
  const toAdd = allowed - totalReplicas(active);
  const newerFirst = toAdd > 0 ? -1 : 1;
  active.sort((a, b) => b.replicas - a.replicas || newerFirst * (a.createdMs - b.createdMs));
  let added = 0;
  for (const size of active) {
    if (toAdd === 0 || toAdd === added) break;
    const before = size.annotatedMax || statusReplicas;
    const share =
      replicas === 0 || before === 0
        ? -size.replicas
        : Math.round((size.replicas * (replicas + maxSurge)) / before) - size.replicas;
    const bounded = toAdd > 0 ? Math.min(share, toAdd - added) : Math.max(share, toAdd - added);
    size.replicas += bounded;
    added += bounded;
  }
  const largest = active[0];
  if (largest && toAdd !== 0) largest.replicas = Math.max(0, largest.replicas + toAdd - added);
  for (const size of active) size.replicas = Math.max(0, size.replicas);
}

/** The new one grows as far as maxSurge allows. */
export function growNew(newest: Size, others: readonly Size[], replicas: number, { maxSurge }: Bounds): void {
  if (newest.replicas >= replicas) {
    newest.replicas = replicas;
    return;
  }
  const room = replicas + maxSurge - totalReplicas(others) - newest.replicas;
  if (room > 0) newest.replicas += Math.min(room, replicas - newest.replicas);
}

/** The old ones shrink: first pods that are of no use, then as many as stay above the minimum available. */
export function shrinkOld(newest: Size, old: readonly Size[], replicas: number, { maxUnavailable }: Bounds): void {
  const minAvailable = replicas - maxUnavailable;
  const newUnavailable = newest.replicas - newest.available;
  const maxScaledDown = totalReplicas(old) + newest.replicas - minAvailable - newUnavailable;
  if (maxScaledDown <= 0) return;
  const oldest = [...old].sort((a, b) => a.createdMs - b.createdMs);
  let scaledDown = 0;
  for (const size of oldest) {
    const useless = Math.max(0, Math.min(maxScaledDown - scaledDown, size.replicas - size.available));
    size.replicas -= useless;
    scaledDown += useless;
  }
  let surplus = sum([...old, newest], (size) => size.available) - minAvailable;
  for (const size of oldest) {
    if (surplus <= 0) return;
    const count = Math.min(size.replicas, surplus);
    size.replicas -= count;
    surplus -= count;
  }
}
