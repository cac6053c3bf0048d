// After a restart: what the checkpoints say, merged with what the launcher knows. The merge is a pure plan; the caller
// executes it. Whatever is half-made, or known to one side only, is cleaned up; whatever runs goes on.
import type { ContainerFacts, SandboxHandle } from '../launch/port.ts';
import type { ContainerExit, ContainerRecord, SandboxRecord } from './records.ts';

export interface RecoveryPlan {
  /** Half-made, torn or unknown to the store: removed from the launcher and from disk. */
  removeSandboxes: string[];
  removeContainers: string[];
  /** Sandboxes that went away with their processes (a reboot). */
  stopSandboxes: string[];
  /** Facts that the checkpoint had not seen. */
  started: { id: string; pid: number; startedAtNs: number }[];
  exited: { id: string; startedAtNs: number | undefined; exit: ContainerExit }[];
  /** Launcher's handles that differ from the stored ones. */
  handles: { id: string; handle: SandboxHandle }[];
}

/** Exit code and reason of a container whose end nobody saw. */
export const unknownExit = { exitCode: 255, reason: 'Unknown' } as const;

export function planRecovery(input: {
  sandboxes: readonly SandboxRecord[];
  containers: readonly ContainerRecord[];
  tornSandboxes: readonly string[];
  tornContainers: readonly string[];
  knownSandboxes: ReadonlyMap<string, SandboxHandle>;
  facts: ReadonlyMap<string, ContainerFacts>;
  nowNs: number;
}): RecoveryPlan {
  const plan: RecoveryPlan = {
    removeSandboxes: [...input.tornSandboxes],
    removeContainers: [...input.tornContainers],
    stopSandboxes: [],
    started: [],
    exited: [],
    handles: [],
  };
  const keptSandboxes = new Set<string>();
  for (const sandbox of input.sandboxes) {
    if (!sandbox.handle) {
      plan.removeSandboxes.push(sandbox.id);
      continue;
    }
    keptSandboxes.add(sandbox.id);
    if (sandbox.stoppedAtNs !== undefined) continue;
    const handle = input.knownSandboxes.get(sandbox.id);
    if (!handle) plan.stopSandboxes.push(sandbox.id);
    else if (JSON.stringify(handle) !== JSON.stringify(sandbox.handle)) plan.handles.push({ id: sandbox.id, handle });
  }
  const keptContainers = new Set<string>();
  for (const container of input.containers) {
    if (container.pid === undefined || container.isRemoving || !keptSandboxes.has(container.sandboxId)) {
      plan.removeContainers.push(container.id);
      continue;
    }
    keptContainers.add(container.id);
    if (!container.exit) mergeFacts(container, input.facts.get(container.id), input.nowNs, plan);
  }
  const remove = new Set(plan.removeContainers);
  for (const id of input.facts.keys()) {
    if (!keptContainers.has(id) && !remove.has(id)) plan.removeContainers.push(id);
  }
  const removeSandboxes = new Set(plan.removeSandboxes);
  for (const id of input.knownSandboxes.keys()) {
    if (!keptSandboxes.has(id) && !removeSandboxes.has(id)) plan.removeSandboxes.push(id);
  }
  return plan;
}

function mergeFacts(
  container: ContainerRecord,
  facts: ContainerFacts | undefined,
  nowNs: number,
  plan: RecoveryPlan,
): void {
  if (!facts) {
    plan.exited.push({
      id: container.id,
      startedAtNs: container.startedAtNs,
      exit: { ...unknownExit, oomKilled: false, finishedAtNs: nowNs },
    });
    return;
  }
  switch (facts.state) {
    case 'created':
      return;
    case 'running':
      if (container.startedAtNs === undefined) {
        plan.started.push({ id: container.id, pid: facts.pid, startedAtNs: facts.startedAtNs });
      }
      return;
    case 'exited':
      plan.exited.push({
        id: container.id,
        startedAtNs: facts.startedAtNs,
        exit: {
          exitCode: facts.exit.exitCode,
          oomKilled: facts.exit.oomKilled,
          finishedAtNs: facts.exit.finishedAtNs,
        },
      });
  }
}
