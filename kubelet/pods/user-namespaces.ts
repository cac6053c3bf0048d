// The user namespaces of pods with `hostUsers: false`: who has which ids of the host. Kept in the pod's directory, so that a pod
// keeps its ids over any restart of the kubelet, and gone with it.
//   <stateDir>/pods/<uid>/userns      {"uidMappings":[{"hostId":65536,"containerId":0,"length":65536}],"gidMappings":[...]}
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../api/types/core-v1.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import type { UserNamespace } from '../../proto/cri-types.ts';
import { defaultPool, freeRange, type IdPool, type IdRange, poolOf } from './id-ranges.ts';

export interface UserNamespacesOptions {
  stateDir: string;
  /** An error's message when the node's ids are set up wrongly: no pod gets any then. */
  pool: IdPool | { problem: string };
  /** Names of the runtime's handlers that can make user namespaces. */
  handlers: ReadonlySet<string>;
  log: Logger;
}

export class UserNamespaces {
  #options: UserNamespacesOptions;
  #ranges = new Map<string, IdRange>();

  constructor(options: UserNamespacesOptions) {
    this.#options = options;
    const directory = join(options.stateDir, 'pods');
    for (const uid of names(directory)) {
      try {
        const range = readRange(this.#fileOf(uid));
        if (range) this.#ranges.set(uid, range);
      } catch (err) {
        options.log.error({ err, uid }, 'the user namespace of a pod cannot be read');
      }
    }
  }

  /**
   * What CRI is told: undefined when the pod says nothing, the host's for `hostUsers: true`, else the pod's own ids, which it
   * is given at the first call. Throws when it cannot have any.
   */
  of(pod: Pod, runtimeHandler = ''): UserNamespace | undefined {
    const { hostUsers } = pod.spec ?? {};
    if (hostUsers === undefined) return undefined;
    if (hostUsers) return { mode: 'NODE' };
    const { uid = '' } = pod.metadata;
    const range = this.#ranges.get(uid) ?? this.#give(uid, runtimeHandler);
    return { mode: 'POD', uids: [{ ...range }], gids: [{ ...range }] };
  }

  /** The pod has no containers any more. */
  release(uid: string): void {
    if (!this.#ranges.delete(uid)) return;
    rmSync(this.#fileOf(uid), { force: true });
  }

  #give(uid: string, runtimeHandler: string): IdRange {
    const { pool, handlers } = this.#options;
    if (!handlers.has(runtimeHandler)) {
      throw new Error(`the handler "${runtimeHandler}" does not support user namespaces`);
    }
    if ('problem' in pool) throw new Error(pool.problem);
    const file = this.#fileOf(uid);
    // Throws when it is there and cannot be read: containers may run with the ids that it held.
    const range = readRange(file) ?? freeRange(pool, this.#ranges.values());
    if (!range)
      throw new Error(`could not find an empty slot to allocate a user namespace: all ${pool.pods} are taken`);
    mkdirSync(join(file, '..'), { recursive: true, mode: 0o750 });
    writeFileAtomic(file, JSON.stringify({ uidMappings: [range], gidMappings: [range] }), 0o644);
    this.#ranges.set(uid, range);
    return range;
  }

  #fileOf(uid: string): string {
    return join(this.#options.stateDir, 'pods', uid, 'userns');
  }
}

function readRange(file: string): IdRange | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { uidMappings = [], gidMappings = [] } = JSON.parse(text) as Record<string, IdRange[]>;
  const [range] = uidMappings;
  const isSound =
    range !== undefined && [range.hostId, range.length].every((each) => Number.isSafeInteger(each) && each > 0);
  if (!isSound || uidMappings.length !== 1 || JSON.stringify(uidMappings) !== JSON.stringify(gidMappings)) {
    throw new Error(`${file}: it does not hold one mapping, the same for users and groups`);
  }
  return { hostId: range.hostId, containerId: 0, length: range.length };
}

/** What this host sets aside for pods. */
export function hostPool(maxPods: number, perPod?: number): UserNamespacesOptions['pool'] {
  try {
    const [subuid, subgid] = ['/etc/subuid', '/etc/subgid'].map(textOf) as [string, string];
    return poolOf(subuid, subgid, maxPods, perPod) ?? defaultPool(maxPods, perPod);
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
