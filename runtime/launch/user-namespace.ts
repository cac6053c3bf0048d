// Id mappings of a pod's user namespace. Pure.
import type { IdMapping, UserNamespace } from './port.ts';

/** What the kernel reads from uid_map and gid_map. */
export const mapText = (mappings: readonly IdMapping[]): string =>
  mappings.map((each) => `${each.containerId} ${each.hostId} ${each.length}\n`).join('');

/** The host's id of `id` inside; undefined when it is not mapped. */
export function hostId(mappings: readonly IdMapping[], id: number): number | undefined {
  const range = mappings.find((each) => id >= each.containerId && id < each.containerId + each.length);
  return range && range.hostId + (id - range.containerId);
}

/** Root's ids on the host; throws when root is not mapped. */
export function namespaceRoot(namespace: UserNamespace): { uid: number; gid: number } {
  const uid = hostId(namespace.uids, 0);
  const gid = hostId(namespace.gids, 0);
  if (uid === undefined || gid === undefined) throw new Error('a user namespace needs a mapping of user and group 0');
  return { uid, gid };
}
