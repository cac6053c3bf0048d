// One unary call to a plugin's socket, over a connection of its own: calls are rare, and plugins come and go.
import { createGrpcClient } from '../../../lib/grpc/client.ts';
import type { ServiceDefinition } from '../../../lib/grpc/proto-file.ts';
import { GrpcError, status, type StatusCode } from '../../../lib/grpc/status.ts';

const CALL_MS = 120_000;

/** What a plugin answered instead; `code` is gRPC's, the message as Go programs show it. */
export class PluginError extends Error {
  readonly code: StatusCode;

  constructor(code: StatusCode, details: string, cause: unknown) {
    super(`rpc error: code = ${codeName(code)} desc = ${details}`, { cause });
    this.name = 'PluginError';
    this.code = code;
  }
}

/** `FAILED_PRECONDITION` is `FailedPrecondition` in Go. */
const codeName = (code: StatusCode): string =>
  (Object.keys(status)[code] ?? `Code(${code})`)
    .split('_')
    .map((each) => each.charAt(0) + each.slice(1).toLowerCase())
    .join('')
    .replace(/^Cancelled$/, 'Canceled');

/** Throws PluginError. */
export async function callPlugin<Answer>(
  socketPath: string,
  service: ServiceDefinition,
  name: string,
  request: object,
): Promise<Answer> {
  const method = service[name];
  if (!method) throw new Error(`no method ${name}`);
  const client = createGrpcClient({ socketPath });
  try {
    return await client.unary<Answer>(method, request, { timeoutMs: CALL_MS });
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    throw new PluginError(error.code, error.details, error);
  } finally {
    client.close();
  }
}
