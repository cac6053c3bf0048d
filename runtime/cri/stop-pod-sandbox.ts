// StopPodSandbox: kills its containers, gives back its network and namespaces. Stopping what is gone succeeds.
import type { SandboxRecord } from '../store/records.ts';
import { type Call, type CriContext, nowNs } from './context.ts';
import { emitEvent } from './events.ts';
import { stopRecord } from './stop-container.ts';

export const stopPodSandbox: Call<'StopPodSandbox'> = async (context, request) => {
  const found = context.store.sandboxes.find(request.podSandboxId ?? '');
  if (found.kind === 'found') await context.locks.run(found.value.id, () => stopSandbox(context, found.value.id));
  return {};
};

/** The caller holds the sandbox's lock. */
export async function stopSandbox(context: CriContext, id: string): Promise<void> {
  const sandbox: SandboxRecord | undefined = context.store.sandboxes.get(id);
  if (!sandbox) return;
  await Promise.all(context.store.containersOf(id).map((container) => stopRecord(context, container, 0)));
  if (sandbox.stoppedAtNs !== undefined) return;
  await context.launcher.removeSandbox(id);
  context.store.sandboxes.note(id, () => ({ stoppedAtNs: nowNs(context) }));
  emitEvent(context, 'CONTAINER_STOPPED_EVENT', id, id);
}
