// The pod's user namespace as CRI tells it. Pure.
import { isDeepStrictEqual } from 'node:util';
import type { IDMapping, UserNamespace as CriUserNamespace } from '../../../proto/cri-types.ts';
import type { IdMapping, UserNamespace } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';

const maxId = 2 ** 32 - 1;

/** Undefined for the host's. */
export function userNamespace(options: CriUserNamespace | null | undefined, path: string): UserNamespace | undefined {
  if (!options || options.mode === 'NODE') return undefined;
  if ((options.mode ?? 'POD') !== 'POD') throw invalidField(`${path}.mode`, `${options.mode} is not possible`);
  return { uids: mappings(options.uids, `${path}.uids`), gids: mappings(options.gids, `${path}.gids`) };
}

function mappings(given: readonly IDMapping[] | undefined, path: string): IdMapping[] {
  const ranges = (given ?? []).map(({ containerId = 0, hostId = 0, length = 0 }, at) => {
    if (length < 1) throw invalidField(`${path}[${at}].length`, `${length} is not positive`);
    if (containerId + length > maxId || hostId + length > maxId)
      throw invalidField(`${path}[${at}]`, 'it goes beyond the ids there are');
    return { containerId, hostId, length };
  });
  if (!ranges.some((each) => each.containerId === 0)) throw invalidField(path, 'root has to be mapped');
  return ranges;
}

/** A container's namespace is its sandbox's. */
export function checkSameUserNamespace(
  container: CriUserNamespace | null | undefined,
  sandbox: CriUserNamespace | null | undefined,
  path: string,
): void {
  const ours = userNamespace(container, path);
  if (container && !isDeepStrictEqual(ours, userNamespace(sandbox, path)))
    throw invalidField(path, 'it differs from the sandbox');
}

/** Whether a mount's files are to be mapped; its mappings can only be the pod's. */
export function isIdMapped(
  mount: { uidMappings?: IDMapping[]; gidMappings?: IDMapping[] },
  pod: UserNamespace | undefined,
  path: string,
): boolean {
  if (!mount.uidMappings?.length && !mount.gidMappings?.length) return false;
  if (!pod) throw invalidField(`${path}.uidMappings`, 'the pod has no user namespace');
  const wanted = {
    uids: mappings(mount.uidMappings, `${path}.uidMappings`),
    gids: mappings(mount.gidMappings, `${path}.gidMappings`),
  };
  if (!isDeepStrictEqual(wanted, pod))
    throw invalidField(`${path}.uidMappings`, 'mappings other than those of the pod are not supported');
  return true;
}
