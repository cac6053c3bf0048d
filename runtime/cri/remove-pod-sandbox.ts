// RemovePodSandbox: stops it when it is not stopped, removes its containers, then everything it had.
import { rm } from 'node:fs/promises';
import { type Call, type CriContext } from './context.ts';
import { emitEvent } from './events.ts';
import { removeRecord } from './remove-container.ts';
import { podFiles } from './run-pod-sandbox.ts';
import { stopSandbox } from './stop-pod-sandbox.ts';

export const removePodSandbox: Call<'RemovePodSandbox'> = async (context, request) => {
  const found = context.store.sandboxes.find(request.podSandboxId ?? '');
  if (found.kind === 'found') await context.locks.run(found.value.id, () => removeSandbox(context, found.value.id));
  return {};
};

async function removeSandbox(context: CriContext, id: string): Promise<void> {
  if (!context.store.sandboxes.get(id)) return;
  await stopSandbox(context, id);
  for (const container of context.store.containersOf(id)) await removeRecord(context, container.id);
  await releaseSandbox(context, id);
  emitEvent(context, 'CONTAINER_DELETED_EVENT', id, id);
}

/** Everything outside the launcher; also for sandboxes that never came to be. */
export async function releaseSandbox(context: CriContext, id: string): Promise<void> {
  await context.launcher.removeSandbox(id);
  await rm(podFiles(context, id, 'pod').shm, { recursive: true, force: true });
  context.store.sandboxes.remove(id);
}
