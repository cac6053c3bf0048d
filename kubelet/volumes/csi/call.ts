// One unary call to a plugin's socket, over a connection of its own: calls are rare, and plugins come and go.
import { credentials, type ServiceClientConstructor, status } from '@grpc/grpc-js';

const CALL_MS = 120_000;

/** What a plugin answered instead; `code` is gRPC's, the message as Go programs show it. */
export class PluginError extends Error {
  readonly code: status;

  constructor(code: status, details: string, cause: unknown) {
    super(`rpc error: code = ${codeName(code)} desc = ${details}`, { cause });
    this.name = 'PluginError';
    this.code = code;
  }
}

/** `FAILED_PRECONDITION` is `FailedPrecondition` in Go. */
const codeName = (code: status): string =>
  (status[code] ?? `Code(${code})`)
    .split('_')
    .map((each) => each.charAt(0) + each.slice(1).toLowerCase())
    .join('')
    .replace(/^Cancelled$/, 'Canceled');

/** Throws PluginError. */
export function callPlugin<Answer>(
  socket: string,
  service: ServiceClientConstructor,
  name: string,
  request: object,
  now: () => number = Date.now,
): Promise<Answer> {
  const method = service.service[name];
  if (!method) throw new Error(`no method ${name}`);
  const client = new service(`unix:${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      { deadline: now() + CALL_MS },
      (error, answer) => {
        client.close();
        if (error) reject(new PluginError(error.code, error.details || error.message, error));
        else resolve(answer as Answer);
      },
    );
  });
}
