// An event carries the state after it: the sandbox's status and those of all its containers.
import type { ContainerEventType } from '../../proto/cri-types.ts';
import { type CriContext, nowNs } from './context.ts';
import { containerStatusOf, sandboxStatusOf } from './status-of.ts';

/** `id` is a container's, or the sandbox's own. */
export function emitEvent(context: CriContext, type: ContainerEventType, id: string, sandboxId: string): void {
  const sandbox = context.store.sandboxes.get(sandboxId);
  context.events.emit({
    containerId: id,
    containerEventType: type,
    createdAt: nowNs(context),
    podSandboxStatus: sandbox ? sandboxStatusOf(sandbox) : null,
    containersStatuses: context.store.containersOf(sandboxId).map(containerStatusOf),
  });
}
