// deletecollection: a list, then a delete of each object with the same options, a few at a time.
import { ApiError } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import { deleteObject } from './delete.ts';
import { type ListParameters, type ListResult, listObjects } from './list.ts';
import type { DeleteRequest, RegistryContext } from './types.ts';

const AT_ONCE = 32;

/** Returns what was selected. Objects that vanish meanwhile are no error; the first other error is thrown at the end. */
export async function deleteCollection(
  context: RegistryContext,
  kind: Kind,
  request: DeleteRequest,
  parameters: ListParameters,
): Promise<ListResult> {
  const list = await listObjects(context, kind, request.namespace, parameters, request.signal);
  let failure: unknown;
  for (let from = 0; from < list.items.length && failure === undefined; from += AT_ONCE) {
    await Promise.all(
      list.items.slice(from, from + AT_ONCE).map(async ({ object }) => {
        try {
          const namespace = object.metadata.namespace ?? '';
          await deleteObject(context, kind, object.metadata.name as string, { ...request, namespace });
        } catch (error) {
          if (!(error instanceof ApiError) || error.code !== 404) failure ??= error;
        }
      }),
    );
  }
  if (failure !== undefined) throw failure;
  return list;
}
