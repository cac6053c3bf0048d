// RemoveContainer: stops it when it runs, then removes everything it had but its log. Removing what is gone succeeds.
import { containerState } from '../store/records.ts';
import type { Call, CriContext } from './context.ts';
import { emitEvent } from './events.ts';
import { stopRecord } from './stop-container.ts';

export const removeContainer: Call<'RemoveContainer'> = async (context, request) => {
  const found = context.store.containers.find(request.containerId ?? '');
  if (found.kind === 'found') await removeRecord(context, found.value.id);
  return {};
};

export async function removeRecord(context: CriContext, id: string): Promise<void> {
  await context.locks.run(id, async () => {
    const container = context.store.containers.get(id);
    if (!container) return;
    if (!container.exit) context.store.containers.note(id, () => ({ isRemoving: true }));
    if (containerState(container) === 'CONTAINER_RUNNING') await stopRecord(context, container, 0);
    await releaseContainer(context, id);
    emitEvent(context, 'CONTAINER_DELETED_EVENT', id, container.sandboxId);
  });
}

/** Also for containers that never came to be. */
export async function releaseContainer(context: CriContext, id: string): Promise<void> {
  await context.launcher.removeContainer(id);
  await context.images.snapshots.release(id);
  context.store.containers.remove(id);
  context.cpuSamples.delete(id);
  context.diskSamples.delete(id);
  context.exits.wake(id);
}
