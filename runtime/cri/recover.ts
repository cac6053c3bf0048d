// The start of the runtime: executes the recovery plan, then reports as events what nobody saw happen.
import type { CriContext } from './context.ts';
import { nowNs } from './context.ts';
import { emitEvent } from './events.ts';
import { releaseContainer } from './remove-container.ts';
import { releaseSandbox } from './remove-pod-sandbox.ts';
import { planRecovery, type RecoveryPlan } from '../store/recover.ts';

export async function recover(context: CriContext): Promise<RecoveryPlan> {
  const { store, launcher } = context;
  const sandboxes = store.sandboxes.files.load();
  const containers = store.containers.files.load();
  const plan = planRecovery({
    sandboxes: sandboxes.records,
    containers: containers.records,
    tornSandboxes: sandboxes.torn,
    tornContainers: containers.torn,
    knownSandboxes: await launcher.sandboxes(),
    facts: await launcher.facts(),
    nowNs: nowNs(context),
  });
  store.sandboxes.restore(sandboxes.records);
  store.containers.restore(containers.records);
  for (const id of plan.removeContainers) await attempt(context, 'container', id, () => releaseContainer(context, id));
  for (const id of plan.removeSandboxes) await attempt(context, 'sandbox', id, () => releaseSandbox(context, id));
  for (const { id, handle } of plan.handles) store.sandboxes.note(id, () => ({ handle }));
  for (const { id, pid, startedAtNs } of plan.started) {
    const container = store.containers.note(id, () => ({ pid, startedAtNs }));
    if (container) emitEvent(context, 'CONTAINER_STARTED_EVENT', id, container.sandboxId);
  }
  for (const { id, startedAtNs, exit } of plan.exited) {
    const container = store.containers.note(id, () => ({ startedAtNs, exit }));
    if (container) emitEvent(context, 'CONTAINER_STOPPED_EVENT', id, container.sandboxId);
  }
  for (const id of plan.stopSandboxes) {
    await attempt(context, 'sandbox', id, () => launcher.removeSandbox(id));
    store.sandboxes.note(id, () => ({ stoppedAtNs: nowNs(context) }));
    emitEvent(context, 'CONTAINER_STOPPED_EVENT', id, id);
  }
  const known = new Set(store.containers.list().map((container) => container.id));
  for (const id of context.images.snapshots.active()) {
    if (!known.has(id)) await context.images.snapshots.release(id);
  }
  return plan;
}

/** One thing that cannot be cleaned up must not keep the runtime from starting: it is tried again at the next start. */
async function attempt(context: CriContext, what: string, id: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.log.error({ what, id, err: error }, 'cleaning up after a crash failed');
  }
}
