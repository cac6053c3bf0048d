// Exec: a one-time URL on the streaming server.
import { type Call, requireContainer } from './context.ts';
import { invalidField } from './errors.ts';
import { execSpec, requireRunning } from './exec-sync.ts';

export const exec: Call<'Exec'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  refuseStreams(request);
  requireRunning(container);
  const tty = request.tty ?? false;
  const stdin = request.stdin ?? false;
  return {
    url: context.streams.execUrl({
      spec: execSpec(container, request.cmd ?? [], { terminal: tty, stdin }),
      tty,
      stdin,
      stdout: request.stdout ?? false,
      stderr: request.stderr ?? false,
    }),
  };
};

/** A terminal has one output; something must be connected. */
export function refuseStreams(request: { tty?: boolean; stdin?: boolean; stdout?: boolean; stderr?: boolean }): void {
  if (request.tty && request.stderr) throw invalidField('tty', 'tty and stderr cannot both be true');
  if (!request.stdin && !request.stdout && !request.stderr) {
    throw invalidField('stdin', 'one of stdin, stdout, or stderr must be set');
  }
}
