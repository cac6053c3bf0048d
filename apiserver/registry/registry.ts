// The registry as the rest of the server sees it: the verbs of every kind, over one context.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CachedObject } from '../cache/port.ts';
import { createObject } from './create.ts';
import { deleteObject } from './delete.ts';
import { deleteCollection } from './delete-collection.ts';
import { type ListParameters, type ListResult, listObjects } from './list.ts';
import { findObject, getObject } from './read.ts';
import type { DeleteRequest, DeleteResult, RegistryContext, WriteRequest, WriteResult } from './types.ts';
import { type UpdateRequest, updateObject } from './update.ts';
import { type Watch, watchObjects } from './watch.ts';

export class Registry {
  readonly context: RegistryContext;

  constructor(context: RegistryContext) {
    this.context = context;
  }

  /** Throws when the kind is not in the scheme: for kinds that the server itself works with. */
  kind(group: string, resource: string): Kind {
    const found = this.context.scheme.byGroupResource(group, resource);
    if (!found) throw new Error(`the scheme has no ${resource} in group ${JSON.stringify(group)}`);
    return found;
  }

  get(
    kind: Kind,
    namespace: string,
    name: string,
    options?: { resourceVersion?: string | null; signal?: AbortSignal },
  ): Promise<CachedObject> {
    return getObject(this.context, kind, namespace, name, options);
  }

  /** `anyAge`: what the cache has will do; it looks again only for what it does not have. */
  async find<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    name: string,
    options?: { anyAge?: boolean },
  ): Promise<T | undefined> {
    return (await findObject(this.context, kind, namespace, name, options))?.object as T | undefined;
  }

  list(kind: Kind, namespace: string, parameters: ListParameters, signal?: AbortSignal): Promise<ListResult> {
    return listObjects(this.context, kind, namespace, parameters, signal);
  }

  watch(kind: Kind, namespace: string, query: URLSearchParams, signal: AbortSignal): Promise<Watch> {
    return watchObjects(this.context, kind, namespace, query, signal);
  }

  create(kind: Kind, object: KubeObject, request: WriteRequest): Promise<WriteResult> {
    return createObject(this.context, kind, object, request);
  }

  update(
    kind: Kind,
    request: UpdateRequest,
    change: (old: KubeObject) => KubeObject | Promise<KubeObject>,
    createFrom?: () => KubeObject | Promise<KubeObject>,
  ): Promise<WriteResult> {
    return updateObject(this.context, kind, request, change, createFrom);
  }

  delete(kind: Kind, name: string, request: DeleteRequest): Promise<DeleteResult> {
    return deleteObject(this.context, kind, name, request);
  }

  deleteCollection(kind: Kind, request: DeleteRequest, parameters: ListParameters): Promise<ListResult> {
    return deleteCollection(this.context, kind, request, parameters);
  }
}
