// StartContainer: only a created container starts, once. What cannot be executed is an exit with code 128 and the
// reason StartError, as containerd reports it.
import { status } from '../../lib/grpc/status.ts';
import { containerState, sandboxState } from '../store/records.ts';
import { messageOf } from '../images/errors.ts';
import { type Call, type CriContext, nowNs, requireContainer, requireSandbox } from './context.ts';
import { CriError } from './errors.ts';
import { emitEvent } from './events.ts';

export const startContainer: Call<'StartContainer'> = async (context, request) => {
  const { id } = requireContainer(context, request.containerId);
  return context.locks.run(id, () => start(context, id));
};

const startErrorExitCode = 128;

async function start(context: CriContext, id: string): Promise<Record<string, never>> {
  const container = requireContainer(context, id);
  const state = containerState(container);
  if (state !== 'CONTAINER_CREATED') {
    throw new CriError(status.FAILED_PRECONDITION, `container "${id}" is in ${state} state`);
  }
  if (sandboxState(requireSandbox(context, container.sandboxId)) !== 'SANDBOX_READY') {
    throw new CriError(status.FAILED_PRECONDITION, `sandbox container "${container.sandboxId}" is not running`);
  }
  context.exits.beginStart(id);
  try {
    const { startedAtNs } = await context.launcher.startContainer(id);
    context.store.containers.note(id, () => ({ startedAtNs }));
    emitEvent(context, 'CONTAINER_STARTED_EVENT', id, container.sandboxId);
    return {};
  } catch (error) {
    const message = messageOf(error);
    context.store.containers.note(id, () => ({
      exit: {
        exitCode: startErrorExitCode,
        finishedAtNs: nowNs(context),
        oomKilled: false,
        reason: 'StartError',
        message,
      },
    }));
    context.exits.wake(id);
    emitEvent(context, 'CONTAINER_STOPPED_EVENT', id, container.sandboxId);
    throw new CriError(status.UNKNOWN, `failed to start container "${id}": ${message}`, { cause: error });
  } finally {
    context.exits.endStart(context, id);
  }
}
