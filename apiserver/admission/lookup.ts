// What plugins look up: objects from the watch caches, and from the store's newest state where a refusal would hang on it.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Registry } from '../registry/registry.ts';

export interface Lookup {
  /** Undefined when it does not exist, or the server does not serve its kind. */
  find<T extends KubeObject>(group: string, resource: string, namespace: string, name: string): Promise<T | undefined>;
  /** What the cache has; without a namespace everything. Shared: never mutate. */
  list<T extends KubeObject>(group: string, resource: string, namespace?: string): Promise<T[]>;
}

export function registryLookup(registry: Registry): Lookup {
  const { scheme, caches } = registry.context;
  const kindOf = (group: string, resource: string): Kind | undefined => scheme.byGroupResource(group, resource);
  return {
    async find<T extends KubeObject>(group: string, resource: string, namespace: string, name: string) {
      const kind = kindOf(group, resource);
      return kind && registry.find<T>(kind, namespace, name, { anyAge: true });
    },
    async list<T extends KubeObject>(group: string, resource: string, namespace?: string) {
      const kind = kindOf(group, resource);
      if (!kind) return [];
      const cache = caches.of(kind);
      await cache.ready();
      return cache.list(namespace === undefined ? {} : { namespace }).items.map((each) => each.object as T);
    },
  };
}
