// Gives a directory tree to the ids that a user namespace has for its owners.
import { lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Ids of the host for ids inside, and the other way round. */
export interface IdShift {
  uid(id: number): number;
  gid(id: number): number;
}

interface Range {
  containerId: number;
  hostId: number;
  length: number;
}

/** Throws on ids that have no counterpart. */
export function shiftOf(
  mappings: { uids: readonly Range[]; gids: readonly Range[] },
  to: 'host' | 'container',
): IdShift {
  const along = (ranges: readonly Range[], what: string) => (id: number) => {
    const [from, into] = to === 'host' ? (['containerId', 'hostId'] as const) : (['hostId', 'containerId'] as const);
    const range = ranges.find((each) => id >= each[from] && id < each[from] + each.length);
    if (!range) throw new Error(`${what} ${id} is not mapped in the user namespace`);
    return range[into] + (id - range[from]);
  };
  return { uid: along(mappings.uids, 'user'), gid: along(mappings.gids, 'group') };
}

/** Synchronous: only for trees with a handful of entries, as a new container's writable layer is. */
export function shiftOwners(path: string, shift: IdShift): void {
  const facts = lstatSync(path);
  if (facts.isDirectory()) for (const name of readdirSync(path)) shiftOwners(join(path, name), shift);
  lchownSync(path, shift.uid(facts.uid), shift.gid(facts.gid));
}
