// One unary call to a plugin's socket, over a connection of its own: calls are rare, and plugins come and go.
import { credentials, type ServiceClientConstructor } from '@grpc/grpc-js';

const CALL_MS = 120_000;

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
        if (error) reject(new Error(`rpc error: ${name}: ${error.details || error.message}`, { cause: error }));
        else resolve(answer as Answer);
      },
    );
  });
}
