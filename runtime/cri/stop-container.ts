// StopContainer: the stop signal, then after `timeout` seconds SIGKILL. Stopping what is gone or over succeeds.
import { status } from '../../lib/grpc/status.ts';
import { containerState, type ContainerRecord } from '../store/records.ts';
import type { Call, CriContext } from './context.ts';
import { CriError } from './errors.ts';
import { signalNumber } from './signals.ts';

/** How long a SIGKILL may take before it is an error. */
const killPatienceMs = 30_000;
const sigkill = 9;
const sigterm = 15;

export const stopContainer: Call<'StopContainer'> = async (context, request) => {
  const found = context.store.containers.find(request.containerId ?? '');
  if (found.kind === 'found') await stopRecord(context, found.value, request.timeout ?? 0);
  return {};
};

/** `timeoutSeconds` of 0 kills at once. A container that never started has nothing to stop. */
export async function stopRecord(
  context: CriContext,
  container: ContainerRecord,
  timeoutSeconds: number,
): Promise<void> {
  if (containerState(context.store.containers.get(container.id) ?? container) !== 'CONTAINER_RUNNING') return;
  const { id } = container;
  if (timeoutSeconds > 0) {
    await context.launcher.kill(id, signalNumber(container.stopSignal) ?? sigterm);
    if (await context.exits.wait(context, id, timeoutSeconds * 1000)) return;
    context.log.info({ container: id, timeoutSeconds }, 'container did not stop in time and is killed');
  }
  await context.launcher.kill(id, sigkill, { all: true });
  if (await context.exits.wait(context, id, killPatienceMs)) return;
  throw new CriError(
    status.DEADLINE_EXCEEDED,
    `container "${id}" did not die of SIGKILL in ${killPatienceMs / 1000} s`,
  );
}
