// Which ids of the host a pod's user namespace gets: one range of equal length per pod, users and groups alike. Pure.

export interface IdRange {
  hostId: number;
  containerId: number;
  length: number;
}

/** Ids of the host that pods may have. */
export interface IdPool {
  /** First id; at least 65536, so that no pod has an id that users and services of the host have. */
  first: number;
  /** Ids of one pod; a multiple of 65536. */
  perPod: number;
  pods: number;
}

export const IDS_PER_POD = 65_536;
const MAX_ID = 2 ** 32 - 1;

/** Upstream's choice when nobody is set aside for the kubelet: right after the ids that hosts use, as many as there may be pods. */
export function defaultPool(maxPods: number, perPod = IDS_PER_POD): IdPool {
  const first = Math.max(IDS_PER_POD, perPod);
  return { first, perPod, pods: Math.min(maxPods, Math.floor((MAX_ID - first) / perPod)) };
}

/**
 * The pool that /etc/subuid and /etc/subgid set aside for the user `kubelet`; undefined when they name no such user.
 * Throws what upstream refuses: more than one range, ranges that differ, ids below 65536, too few for all pods.
 */
export function poolOf(subuid: string, subgid: string, maxPods: number, perPod = IDS_PER_POD): IdPool | undefined {
  const [uids, gids] = [subuid, subgid].map(rangesOfKubelet) as [string[], string[]];
  if (uids.length === 0 && gids.length === 0) return undefined;
  if (uids.length !== 1 || uids[0] !== gids[0] || gids.length !== 1) {
    throw new Error(
      `the user kubelet needs one range, the same, in /etc/subuid and /etc/subgid: found ${uids.join(', ') || 'none'} and ${gids.join(', ') || 'none'}`,
    );
  }
  const [first, length] = (uids[0] as string).split(':').map(Number) as [number, number];
  if (!(first >= IDS_PER_POD))
    throw new Error(`the kubelet's ids begin at ${first}: they must not be below ${IDS_PER_POD}`);
  if (first % perPod !== 0) throw new Error(`the kubelet's ids begin at ${first}: not a multiple of ${perPod}`);
  if (!(length / perPod >= maxPods)) {
    throw new Error(`the kubelet's ids are ${length}: too few for ${maxPods} pods with ${perPod} each`);
  }
  return { first, perPod, pods: Math.floor(length / perPod) };
}

const rangesOfKubelet = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('kubelet:'))
    .map((line) => line.slice('kubelet:'.length).trim());

/** The lowest range that no pod has; undefined: none is left. */
export function freeRange(pool: IdPool, taken: Iterable<IdRange>): IdRange | undefined {
  const used = [...taken].sort((a, b) => a.hostId - b.hostId);
  let at = 0;
  for (let index = 0; index < pool.pods; index++) {
    const hostId = pool.first + index * pool.perPod;
    while (at < used.length && (used[at] as IdRange).hostId + (used[at] as IdRange).length <= hostId) at++;
    const next = used[at];
    // A range of an earlier pool may lie across two of this one's.
    if (!next || next.hostId >= hostId + pool.perPod) return { hostId, containerId: 0, length: pool.perPod };
  }
  return undefined;
}
