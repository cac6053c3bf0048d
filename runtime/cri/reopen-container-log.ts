// ReopenContainerLog: after the log file was rotated away, a new one is opened under its name.
import { status } from '../../lib/grpc/status.ts';
import { containerState } from '../store/records.ts';
import { type Call, requireContainer } from './context.ts';
import { CriError } from './errors.ts';

export const reopenContainerLog: Call<'ReopenContainerLog'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  if (containerState(container) !== 'CONTAINER_RUNNING') {
    throw new CriError(status.FAILED_PRECONDITION, `container "${container.id}" is not running`);
  }
  await context.launcher.reopenLog(container.id);
  return {};
};
