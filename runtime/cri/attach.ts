// Attach: a one-time URL on the streaming server.
import { type Call, requireContainer } from './context.ts';
import { refuseStreams } from './exec.ts';
import { requireRunning } from './exec-sync.ts';

export const attach: Call<'Attach'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  refuseStreams(request);
  requireRunning(container);
  return {
    url: context.streams.attachUrl({
      containerId: container.id,
      tty: request.tty ?? false,
      stdin: request.stdin ?? false,
      stdout: request.stdout ?? false,
      stderr: request.stderr ?? false,
    }),
  };
};
