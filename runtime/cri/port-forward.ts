// PortForward: a one-time URL on the streaming server.
import { status } from '../../lib/grpc/status.ts';
import { sandboxState } from '../store/records.ts';
import { type Call, requireSandbox } from './context.ts';
import { CriError, invalidField } from './errors.ts';

export const portForward: Call<'PortForward'> = async (context, request) => {
  const sandbox = requireSandbox(context, request.podSandboxId);
  if (sandboxState(sandbox) !== 'SANDBOX_READY') {
    throw new CriError(status.FAILED_PRECONDITION, `sandbox "${sandbox.id}" is not running`);
  }
  for (const port of request.port ?? []) {
    if (port < 1 || port > 65535) throw invalidField('port', `${port} is not between 1 and 65535`);
  }
  return { url: context.streams.portForwardUrl({ sandboxId: sandbox.id, ports: request.port ?? [] }) };
};
