// A definition that is being deleted takes its objects with it: all are deleted, and only when none is left (finalizers take
// their time) does the definition go.
import { CLEANUP_FINALIZER } from '../../api/kinds/custom-resource-definition.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CustomResourceDefinition } from '../../api/types/apiextensions-v1.ts';
import { isEstablished } from '../../api/validation/custom-resource-definition.ts';
import type { Registry } from '../registry/registry.ts';
import type { WriteRequest } from '../registry/types.ts';
import type { ConditionFacts } from './status.ts';

export interface CleanupContext {
  registry: Registry;
  /** Changes the conditions of the definition; a last step takes the finalizer away, too. */
  report(name: string, condition: ConditionFacts, isLast: boolean): Promise<void>;
  request: WriteRequest;
}

const NO_SELECTION = {
  labelSelector: null,
  fieldSelector: null,
  limit: null,
  continue: null,
  resourceVersion: null,
  resourceVersionMatch: null,
};

const terminating = (status: 'True' | 'False', reason: string, message: string): ConditionFacts => ({
  type: 'Terminating',
  status,
  reason,
  message,
});

export const needsCleanup = ({ metadata }: CustomResourceDefinition): boolean =>
  metadata.deletionTimestamp !== undefined && (metadata.finalizers?.includes(CLEANUP_FINALIZER) ?? false);

/** Throws what keeps it from finishing; it may be tried again. Ends early when `signal` aborts. */
export async function cleanUp(
  context: CleanupContext,
  definition: CustomResourceDefinition,
  storage: Kind | undefined,
  signal: AbortSignal,
): Promise<void> {
  const name = definition.metadata.name as string;
  const { report } = context;
  if (!isEstablished(definition) || !storage) {
    await report(name, terminating('False', 'NeverEstablished', 'resource was never established'), true);
    return;
  }
  const working = 'CustomResource deletion is in progress';
  await report(name, terminating('True', 'InstanceDeletionInProgress', working), false);
  try {
    await deleteAll(context, storage);
  } catch (error) {
    const why = `could not issue all deletes: ${error instanceof Error ? error.message : String(error)}`;
    await report(name, terminating('True', 'InstanceDeletionFailed', why), false);
    throw error;
  }
  if (!(await untilNoneIsLeft(context.registry, storage, signal))) return;
  await report(name, terminating('False', 'InstanceDeletionCompleted', 'removed all instances'), true);
}

async function deleteAll({ registry, request }: CleanupContext, storage: Kind): Promise<void> {
  await registry.deleteCollection(storage, { ...request, internal: true, options: {} }, NO_SELECTION);
}

/** False when the wait was ended. */
async function untilNoneIsLeft(registry: Registry, storage: Kind, signal: AbortSignal): Promise<boolean> {
  const cache = registry.context.caches.of(storage);
  await cache.current(signal);
  if (cache.list({}).items.length === 0) return true;
  for await (const _batch of cache.watch({ from: { kind: 'initial' }, bookmarks: false, signal })) {
    if (cache.list({}).items.length === 0) return true;
  }
  return false;
}

/** The definition as it goes: without the finalizer. */
export function withoutFinalizer<T extends KubeObject>(definition: T): T {
  const finalizers = (definition.metadata.finalizers ?? []).filter((each) => each !== CLEANUP_FINALIZER);
  const metadata = { ...definition.metadata, finalizers };
  return { ...definition, metadata };
}
