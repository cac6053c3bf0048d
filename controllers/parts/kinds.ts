// Which kinds can be mirrored by informers.
import type { Kind } from '../../api/kind.ts';
import type { Scheme } from '../../api/scheme.ts';

/** One version of each namespaced kind whose objects go with their namespace. */
export function deletableKinds(scheme: Scheme): Kind[] {
  const byResource = new Map<string, Kind>();
  for (const kind of scheme.kinds()) {
    if (!kind.namespaced || !kind.verbs.includes('list') || !kind.verbs.includes('delete')) continue;
    // What is stored as another kind is deleted as that one.
    const { group, resource } = kind.conversion?.storage() ?? kind;
    const id = `${group}/${resource}`;
    if (!byResource.has(id)) byResource.set(id, kind);
  }
  return [...byResource.values()];
}

/** One version of each listable, watchable kind; Events are left out: they are many, own nothing and are owned by nobody. */
export function watchableKinds(scheme: Scheme): Kind[] {
  const byResource = new Map<string, Kind>();
  for (const kind of scheme.kinds()) {
    if (kind.resource === 'events' || !kind.verbs.includes('list') || !kind.verbs.includes('watch')) continue;
    const id = `${kind.group}/${kind.resource}`;
    if (!byResource.has(id)) byResource.set(id, kind);
  }
  return [...byResource.values()];
}
